"""Random networks for pruning, as specs: residuals, concat, splits, groups, attention, loops."""

from __future__ import annotations

import random
from collections.abc import Callable

Step = Callable[[random.Random, int, int], tuple[str, int]]


def make_image_net(seed: int) -> str:
    """A network on images; every step takes `x` with some channels to `x` with others."""
    rng = random.Random(f"image {seed}")
    width = rng.choice((8, 12, 16))
    lines = [f"    x = image -> conv({width}, kernel=3, padding=1) as stem -> relu"]
    for place in range(rng.randint(2, 6)):
        text, width = rng.choice(IMAGE_STEPS)(rng, place, width)
        lines += [f"    {line}" for line in text.splitlines()]
    tail = rng.choice(("global_avg_pool", "flatten", "max_pool(2) -> flatten"))
    size = "6, 6"
    lines.append(f"    x = x -> {tail} -> dense(10) as hidden -> relu")
    body = "\n".join(lines)
    return (
        f"model M() {{\n    input image: f32[batch, 3, {size}]\n{body}\n"
        "    output logits: f32[batch, 5] = x -> dense(5) as head\n}\n"
    )


def make_token_net(seed: int) -> str:
    """A network on tokens."""
    rng = random.Random(f"token {seed}")
    width = rng.choice((8, 16))
    embedding, first = f"net embed = embedding(11, {width})", width
    lines = [f"    {embedding}", "    x = embed(tokens)"]
    for place in range(rng.randint(1, 4)):
        text, width = rng.choice(TOKEN_STEPS)(rng, place, width)
        lines += [f"    {line}" for line in text.splitlines()]
    tied = rng.random() < 0.5 and width == first
    head = "dense(11, bias=false, weight=embed.weight)" if tied else "dense(11) as head"
    body = "\n".join(lines)
    return (
        f"model M() {{\n    input tokens: i64[batch, 6]\n{body}\n"
        f"    output logits = x -> {head}\n}}\n"
    )


def _plain(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    out = rng.choice((4, 8, 12))
    norm = rng.choice(("", " -> batch_norm as bn{p}", " -> instance_norm(affine=true) as in{p}"))
    act = rng.choice(("relu", "silu", "leaky_relu(0.1)", "tanh"))
    return f"x = x -> conv({out}, kernel=1) as c{place}{norm.format(p=place)} -> {act}", out


def _residual(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    inner = rng.choice((4, 6, 8))
    return (
        f"y = x -> conv({inner}, kernel=3, padding=1, bias=false) as a{place} -> "
        f"batch_norm as an{place} -> relu\n"
        f"y = y -> conv({c}, kernel=3, padding=1, bias=false) as b{place} -> "
        f"batch_norm as bn{place}\nx = relu(x + y)",
        c,
    )


def _depthwise(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    times = rng.choice((1, 1, 2))
    out = times * c
    return (
        f"x = x -> conv({out}, kernel=3, padding=1, groups={c}) as dw{place} -> "
        f"batch_norm as dn{place} -> relu6",
        out,
    )


def _grouped(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    groups = rng.choice([g for g in (2, 4) if c % g == 0] or [1])
    out = rng.choice((8, 16))
    return f"x = x -> conv({out}, kernel=1, groups={groups}) as g{place} -> relu", out


def _transposed(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    groups = rng.choice([g for g in (1, 1, 2, 4) if c % g == 0])
    out = rng.choice((4, 8))
    return f"x = x -> conv_transpose({out}, kernel=1, groups={groups}) as t{place} -> relu", out


def _joined(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    out = rng.choice((4, 8))
    order = rng.choice(("[x, y]", "[y, x]", "[y, x, y]"))
    total = c + out * (2 if order.count("y") == 2 else 1)
    return f"y = x -> conv({out}, kernel=1) as j{place}\nx = concat({order}, axis=1)", total


def _halves(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    kind = rng.choice(("chunk", "split", "glu", "slice"))
    grow = f"x = x -> conv({2 * c}, kernel=1) as h{place}\n"
    if kind == "chunk":
        return f"{grow}a, b = x -> chunk(2, axis=1)\nx = a * sigmoid(b)", c
    if kind == "split":
        pieces = f"[{c - 2}, {c + 2}]"
        return f"{grow}a, b = x -> split({pieces}, axis=1)\nx = concat([relu(b), a], axis=1)", 2 * c
    if kind == "glu":
        return f"{grow}x = x -> glu(axis=1)", c
    return f"{grow}x = x[:, 2:{c}] + x[:, -{c - 2}:]", c - 2


def _gated(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    return (
        f"g = x -> global_avg_pool -> dense(4) as s{place} -> relu -> dense({c}) as e{place} -> "
        f"sigmoid\nx = x * g[:, :, none, none]",
        c,
    )


def _normed(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    groups = rng.choice([g for g in (1, 2, 4, c) if c % g == 0])
    return f"x = x -> group_norm({groups}) as gn{place} -> silu", c


def _padded(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    out = c + 6
    return (
        f"y = x -> conv({out}, kernel=1) as p{place}\nx = y + (x -> pad([0, 0, 0, 0, 2, 4]))",
        out,
    )


def _shuffled(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    if c % 4:
        return f"x = x -> flip(3) -> prelu as pr{place}", c
    return (
        f"x = x -> reshape([batch, 2, {c // 2}, 6, 6]) -> transpose(1, 2)"
        f" -> reshape([batch, {c}, 6, 6]) -> conv({c}, kernel=1, groups=2) as sh{place}",
        c,
    )


def _pixels(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    return (
        f"x = x -> conv(16, kernel=1) as px{place} -> pixel_shuffle(2) -> relu"
        f" -> pixel_unshuffle(2) -> conv(8, kernel=1) as pu{place}",
        8,
    )


IMAGE_STEPS: tuple[Step, ...] = (
    *(_plain, _residual, _depthwise, _grouped, _transposed, _joined, _halves, _gated),
    *(_normed, _padded, _shuffled, _pixels),
)


def _attention(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    heads = rng.choice((2, 4))
    causal = rng.choice(("true", "false"))
    return (
        f"split{place} = reshape([batch, 6, {heads}, {c // heads}]) -> transpose(1, 2)\n"
        f"q, k, v = x -> layer_norm as ln{place} -> dense({3 * c}) as in{place} -> "
        f"chunk(3, axis=-1)\n"
        f"y = (q -> split{place}, k -> split{place}, v -> split{place})"
        f" -> scaled_dot_product_attention(causal={causal})\n"
        f"x = x + (y -> transpose(1, 2) -> flatten(2) -> dense({c}) as out{place})",
        c,
    )


def _by_hand(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    size = rng.choice((2, 3))
    heads = 4
    return (
        f"z = x -> dense({3 * heads * size}) as qkv{place}"
        f" -> reshape([batch, 6, 3, {heads}, {size}])\n"
        f"q, k, v = unbind(z -> permute([2, 0, 3, 1, 4]), 0)\n"
        f"w = softmax(q @ transpose(k, -2, -1) / {size}.0, axis=-1)\n"
        f"y = (w @ v) -> transpose(1, 2) -> reshape([batch, 6, {heads * size}])\n"
        f"x = x + (y -> dense({c}) as ho{place})",
        c,
    )


def _grouped_heads(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    times = rng.choice((1, 2))
    return (
        f"q = x -> dense({4 * times * 3}) as gq{place} -> reshape([batch, 6, {4 * times}, 3])"
        f" -> transpose(1, 2)\n"
        f"k = x -> dense(12) as gk{place} -> reshape([batch, 6, 4, 3]) -> transpose(1, 2)\n"
        f"v = x -> dense(12) as gv{place} -> reshape([batch, 6, 4, 3]) -> transpose(1, 2)\n"
        f"y = (q, k, v) -> scaled_dot_product_attention(grouped=true)\n"
        f"x = x + (y -> transpose(1, 2) -> flatten(2) -> dense({c}, bias=false) as go{place})",
        c,
    )


def _single_head(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    return (
        f"y = (x -> dense(6) as sq{place}, x -> dense(6) as sk{place}, x -> dense(5) as sv{place})"
        f" -> scaled_dot_product_attention\n"
        f"x = x + (y -> dense({c}) as so{place})",
        c,
    )


def _gated_mlp(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    return (
        f"y = silu(x -> dense(12) as mg{place}) * (x -> dense(12) as mu{place})\n"
        f"x = x + (y -> dense({c}) as md{place})",
        c,
    )


def _recurrent(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    hidden = rng.choice((4, 8))
    return (
        f"h = zeros([batch, {hidden}])\ncell = zeros([batch, {hidden}])\n"
        f"scan x_t in x, axis=1 {{\n"
        f"    i, f, g, o = concat([x_t, h], axis=-1) -> dense({4 * hidden}) as rnn{place}"
        f" -> chunk(4, axis=-1)\n"
        f"    cell = sigmoid(f) * cell + sigmoid(i) * tanh(g)\n"
        f"    h = sigmoid(o) * tanh(cell)\n"
        f"    emit states{place} = h, axis=1\n}}\n"
        f"x = states{place} + (h -> dense({hidden}) as last{place})[:, none]",
        hidden,
    )


def _mixed_in_time(rng: random.Random, place: int, c: int) -> tuple[str, int]:
    return (
        f"x = x -> rms_norm as rn{place} -> transpose(1, 2) -> conv(8, kernel=3, padding=1)"
        f" as tc{place} -> relu -> transpose(1, 2)",
        8,
    )


TOKEN_STEPS: tuple[Step, ...] = (
    *(_attention, _by_hand, _grouped_heads, _single_head, _gated_mlp, _recurrent, _mixed_in_time),
)
