"""Activations, attention and normalised layers of the library: from arrays in double precision,
the options of their blocks, and the weights `w` by path."""

from __future__ import annotations

from collections.abc import Mapping
from math import erf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.formulas.quoted import Formulas

Array = NDArray[Any]
Weights = Mapping[str, Array]
FORMULAS = Formulas("block")
ACTIVATIONS = {
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * (1 + np.vectorize(erf)(x / np.sqrt(2))) / 2,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}
"""What functions in formulas mean."""


def _gate(x: Array, act: str, axis: int, gate_last: bool) -> Array:
    a, b = np.split(x, 2, axis=axis)
    return np.asarray(a * ACTIVATIONS[act](b) if gate_last else ACTIVATIONS[act](a) * b)


@FORMULAS.of("swiglu", "silu(a) * b", "a * silu(b)")
def swiglu(x: Array, axis: int = -1, gate_last: bool = False) -> Array:
    return _gate(x, "silu", axis, gate_last)


@FORMULAS.of("geglu", "gelu(a) * b", "a * gelu(b)")
def geglu(x: Array, axis: int = -1, gate_last: bool = False) -> Array:
    return _gate(x, "gelu", axis, gate_last)


@FORMULAS.of("reglu", "relu(a) * b", "a * relu(b)")
def reglu(x: Array, axis: int = -1, gate_last: bool = False) -> Array:
    return _gate(x, "relu", axis, gate_last)


def _dense(x: Array, w: Weights, path: str) -> Array:
    return np.asarray(x @ w[f"{path}.weight"].T + w.get(f"{path}.bias", 0))


@FORMULAS.of("gated_feed_forward", "y = (act(x Aᵀ) * (x Bᵀ)) @ Cᵀ")
def gated_feed_forward(
    x: Array, w: Weights, hidden: int, act: str = "silu", bias: bool = False
) -> Array:
    assert len(w["gate_proj.weight"]) == hidden
    assert ("up_proj.bias" in w) == bias
    gated = ACTIVATIONS[act](_dense(x, w, "gate_proj")) * _dense(x, w, "up_proj")
    return _dense(gated, w, "down_proj")


@FORMULAS.of("squared_relu", "max(x, 0)²")
def squared_relu(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0) ** 2)


@FORMULAS.of("quick_gelu", "x * sigmoid(1.702 x)")
def quick_gelu(x: Array) -> Array:
    return np.asarray(x / (1 + np.exp(-1.702 * x)))


@FORMULAS.of("log_softmin", "y = log_softmax(-x)")
def log_softmin(x: Array, axis: int) -> Array:
    return np.asarray(np.log(np.exp(-x) / np.exp(-x).sum(axis=axis, keepdims=True)))


@FORMULAS.of("snake", "x + sin²(a x) / a")
def snake(x: Array, w: Weights, start: float = 1.0) -> Array:
    """`start` is what the weights are drawn as."""
    a = w["alpha"].reshape(-1, *[1] * (x.ndim - 2))
    return np.asarray(x + np.sin(a * x) ** 2 / a)


@FORMULAS.of("maxout", "max_k (W_k x + b_k)")
def maxout(x: Array, w: Weights, out: int, pieces: int = 2, bias: bool = True) -> Array:
    assert ("linear.bias" in w) == bias
    y = _dense(x, w, "linear")
    return np.asarray([[max(row[i * pieces : (i + 1) * pieces]) for i in range(out)] for row in y])


@FORMULAS.of("bilinear", "y[k] = aᵀ W[k] b + bias[k]")
def bilinear(a: Array, b: Array, w: Weights, out: int, bias: bool = True) -> Array:
    rows = [
        [p @ w["weight"][k] @ q + (w["bias"][k] if bias else 0) for k in range(out)]
        for p, q in zip(a, b, strict=True)
    ]
    return np.array(rows)


# --- attention ---


@FORMULAS.of("padding_mask", "y[i, j] = (j < length[i])")
def padding_mask(lengths: Array, t: int) -> Array:
    return np.array([[j < length for j in range(t)] for length in lengths])


@FORMULAS.of("window_mask", "|i - j| < size", "y[i, j] = (0 <= i - j < size)")
def window_mask(t: int, size: int, causal: bool = True) -> Array:
    near = [
        [0 <= i - j < size if causal else abs(i - j) < size for j in range(t)] for i in range(t)
    ]
    return np.array(near)


@FORMULAS.of(
    "sinusoidal_positions",
    "y[p, 2 i] = sin(p / base^(2 i / d)),   y[p, 2 i + 1] = cos(p / base^(2 i / d))",
)
def sinusoidal_positions(t: int, d: int, base: float = 10000.0, interleaved: bool = True) -> Array:
    y = np.zeros((t, d))
    for p in range(t):
        for i in range(d // 2):
            places = (2 * i, 2 * i + 1) if interleaved else (i, d // 2 + i)
            angle = p / base ** (2 * i / d)
            y[p, places] = np.sin(angle), np.cos(angle)
    return y


@FORMULAS.of(
    "rotary",
    "turned / 2",
    "a' = a cos(φ) - b sin(φ),   b' = b cos(φ) + a sin(φ)",
    "φ = p * base^(-2 i / turned)",
)
def rotary(
    x: Array,
    base: float = 10000.0,
    interleaved: bool = False,
    part: int = 0,
    start: int = 0,
) -> Array:
    turned, y = part or x.shape[-1], x.copy()
    for p in range(x.shape[2]):
        for i in range(turned // 2):
            phi = (start + p) * base ** (-2 * i / turned)
            first, second = (2 * i, 2 * i + 1) if interleaved else (i, i + turned // 2)
            a, b = x[:, :, p, first], x[:, :, p, second]
            y[:, :, p, first] = a * np.cos(phi) - b * np.sin(phi)
            y[:, :, p, second] = b * np.cos(phi) + a * np.sin(phi)
    return y


@FORMULAS.of("alibi", "y[h, i, j] = -2^(-8 (h + 1) / heads) * (i - j) where j <= i, else -∞")
def alibi(t: int, heads: int) -> Array:
    y = np.full((heads, t, t), -np.inf)
    for h, i in np.ndindex(heads, t):
        for j in range(i + 1):
            y[h, i, j] = -(2 ** (-8 * (h + 1) / heads)) * (i - j)
    return y


@FORMULAS.of("attention_weights", "y = softmax(scores + mask)")
def attention_weights(scores: Array, mask: Any = None) -> Array:
    """A bool mask adds 0 or -∞; where it leaves no key, all weights are 0."""
    if mask is not None and mask.dtype == bool:
        mask = np.where(mask, 0.0, -np.inf)
    powers = np.exp(scores if mask is None else scores + mask)
    total = powers.sum(axis=-1, keepdims=True)
    return np.asarray(powers / np.where(total > 0, total, 1))


@FORMULAS.of("attend", "q·k / √d", "-‖q - k‖² / temperature")
def attend(
    query: Array,
    key: Array,
    value: Array,
    mask: Any = None,
    score: str = "scaled_dot",
    temperature: float = 1.0,
) -> tuple[Array, Array]:
    q, k = query[..., :, None, :], key[..., None, :, :]
    lengths = np.linalg.norm(q, axis=-1) * np.linalg.norm(k, axis=-1)
    scores = {
        "dot": (q * k).sum(-1),
        "scaled_dot": (q * k).sum(-1) / np.sqrt(query.shape[-1]),
        "cosine": (q * k).sum(-1) / lengths / temperature,
        "mahalanobis": -((q - k) ** 2).sum(-1) / temperature,
    }[score]
    weights = attention_weights(scores, mask)
    return weights @ value, weights


@FORMULAS.of("additive_attention", "vᵀ tanh(W q + U k)")
def additive_attention(
    query: Array, key: Array, value: Array, w: Weights, hidden: int, mask: Any = None
) -> tuple[Array, Array]:
    assert w["query.weight"].shape[0] == hidden
    mixed = _dense(query, w, "query")[:, :, None] + _dense(key, w, "key")[:, None]
    weights = attention_weights((np.tanh(mixed) * w["score.weight"][0]).sum(-1), mask)
    return weights @ value, weights


@FORMULAS.of("mahalanobis_attention", "exp(-‖θ (x - x_s)‖²)")
def mahalanobis_attention(
    query: Array, key: Array, value: Array, w: Weights, rank: int | None = None, mask: Any = None
) -> tuple[Array, Array]:
    (theta,) = w.values()
    assert rank is None or len(theta) == rank
    apart = (query[:, :, None] - key[:, None]) @ theta.T
    weights = np.exp(-(apart**2).sum(-1)) * (1 if mask is None else mask)
    weights = weights / weights.sum(-1, keepdims=True)
    return weights @ value, weights


@FORMULAS.of(
    "kernel_regression",
    "f(x) = (Σ_s α(x, x_s) y_s) / (Σ_s α(x, x_s))",
    "α(x, x_s) = exp(-‖x - x_s‖² / (2 width²))",
)
def kernel_regression(
    x: Array, rows: Array, values: Array, width: float = 1.0
) -> tuple[Array, Array]:
    alpha = np.exp(-((x[:, None] - rows) ** 2).sum(-1) / (2 * width**2))
    weights = alpha / alpha.sum(1, keepdims=True)
    return weights @ values, weights


def _heads(q: Array, k: Array, v: Array, mask: Any, causal: bool) -> Array:
    """`[n, heads, t, e]` each; the heads side by side."""
    scores = np.einsum("nhte,nhse->nhts", q, k) / np.sqrt(q.shape[-1])
    if causal:
        later = np.arange(k.shape[2]) > np.arange(q.shape[2])[:, None]
        scores = np.where(later, -np.inf, scores)
    y = attention_weights(scores, mask) @ v
    return np.concatenate([y[:, h] for h in range(y.shape[1])], axis=-1)


def _split(x: Array, heads: int) -> Array:
    return np.stack(np.split(x, heads, axis=-1), axis=1)


@FORMULAS.of("multi_head_attention", "e = d / heads", "head_h = softmax(q_h k_hᵀ / √e + mask) v_h")
def multi_head_attention(
    query: Array,
    key: Any = None,
    value: Any = None,
    w: Weights | None = None,
    mask: Any = None,
    heads: int = 1,
    causal: bool = False,
    bias: bool = True,
    weights: bool = False,
    drop: float = 0.0,
) -> Any:
    assert w is not None
    key = query if key is None else key
    value = key if value is None else value
    matrices = np.split(w["in_proj_weight"], 3)
    shifts = np.split(w["in_proj_bias"], 3) if bias else [0.0, 0.0, 0.0]
    q, k, v = (
        _split(x @ matrix.T + shift, heads)
        for x, matrix, shift in zip((query, key, value), matrices, shifts, strict=True)
    )
    y = _dense(_heads(q, k, v, mask, causal), w, "out_proj")
    if not weights:
        return y
    unit = np.broadcast_to(np.eye(k.shape[2]), (*k.shape[:2], k.shape[2], k.shape[2]))
    shares = np.split(_heads(q, k, unit, mask, causal), heads, axis=-1)
    return y, np.mean(shares, axis=0)


@FORMULAS.of("self_attention", "softmax(q_h k_hᵀ / √e + mask) v_h", "e = d / heads")
def self_attention(
    x: Array, w: Weights, heads: int, causal: bool = False, mask: Any = None, path: str = ""
) -> Array:
    q, k, v = (_split(y, heads) for y in np.split(_dense(x, w, f"{path}in_proj"), 3, axis=-1))
    return _dense(_heads(q, k, v, mask, causal), w, f"{path}out_proj")


@FORMULAS.of("mlp", "y = act(x Aᵀ + a) @ Bᵀ + b")
def mlp(
    x: Array, w: Weights, hidden: int, act: str = "gelu", drop: float = 0, path: str = ""
) -> Array:
    assert len(w[f"{path}0.weight"]) == hidden
    return _dense(ACTIVATIONS[act](_dense(x, w, f"{path}0")), w, f"{path}3")


def _norm(x: Array, w: Weights, path: str, eps: float = 1e-5) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    y = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
    return np.asarray(y * w[f"{path}.weight"] + w.get(f"{path}.bias", 0))


NORMED = ("y = x + attention(norm(x))", "y + mlp(norm(y))")


@FORMULAS.of("encoder_block", *NORMED)
def encoder_block(
    x: Array,
    w: Weights,
    heads: int,
    hidden: int,
    eps: float = 1e-5,
    drop: float = 0,
    causal: bool = False,
) -> Array:
    y = x + self_attention(_norm(x, w, "ln_1", eps), w, heads, causal, path="self_attention.")
    return y + mlp(_norm(y, w, "ln_2", eps), w, hidden, path="mlp.")


@FORMULAS.of("pre_norm_block", *NORMED)
def pre_norm_block(
    x: Array,
    w: Weights,
    heads: int,
    hidden: int | None = None,
    mask: Any = None,
    act: str = "gelu",
    eps: float = 1e-5,
    drop: float = 0,
    causal: bool = False,
) -> Array:
    hidden = 4 * x.shape[-1] if hidden is None else hidden
    y = x + self_attention(_norm(x, w, "ln_1", eps), w, heads, causal, mask, "attn.")
    return y + mlp(_norm(y, w, "ln_2", eps), w, hidden, act, path="mlp.")


@FORMULAS.of("add_sinusoidal", "y[n, p] = x[n, p] + positions[p]")
def add_sinusoidal(x: Array, base: float = 10000.0) -> Array:
    return np.asarray(x + sinusoidal_positions(x.shape[1], x.shape[2], base))


@FORMULAS.of("add_learned", "y[n, p] = x[n, p] + weight[p]")
def add_learned(x: Array, w: Weights, longest: int, std: float = 0.02) -> Array:
    """`std` is what the weights are drawn with."""
    assert len(w["weight"]) == longest
    return np.asarray([[row[p] + w["weight"][p] for p in range(len(row))] for row in x])


@FORMULAS.of(
    "transformer_encoder_layer",
    "y = x + attention(norm1(x)), z = y + mlp(norm2(y))",
    "y = norm1(x + attention(x)),   z = norm2(y + mlp(y))",
)
def transformer_encoder_layer(
    x: Array,
    w: Weights,
    heads: int,
    hidden: int = 2048,
    act: str = "relu",
    drop: float = 0.1,
    norm_first: bool = False,
    causal: bool = False,
    mask: Any = None,
    bias: bool = True,
) -> Array:
    assert len(w["linear1.weight"]) == hidden
    own = {path.removeprefix("self_attn."): a for path, a in w.items() if "self_attn" in path}

    def attention(y: Array) -> Array:
        return multi_head_attention(y, w=own, mask=mask, heads=heads, causal=causal, bias=bias)

    def feed(y: Array) -> Array:
        return _dense(ACTIVATIONS[act](_dense(y, w, "linear1")), w, "linear2")

    if norm_first:
        y = x + attention(_norm(x, w, "norm1"))
        return np.asarray(y + feed(_norm(y, w, "norm2")))
    y = _norm(x + attention(x), w, "norm1")
    return _norm(y + feed(y), w, "norm2")


@FORMULAS.of("squeeze_excite", "y = x * sigmoid(relu(m Aᵀ + a) @ Bᵀ + b)")
def squeeze_excite(x: Array, w: Weights, reduction: int = 16) -> Array:
    assert len(w["fc1.weight"]) == x.shape[1] // reduction
    hidden = ACTIVATIONS["relu"](_dense(x.mean((2, 3)), w, "fc1"))
    return np.asarray(x * ACTIVATIONS["sigmoid"](_dense(hidden, w, "fc2"))[:, :, None, None])


@FORMULAS.of(
    "grouped_query_attention",
    "head_h = softmax(q_h k_gᵀ / √e + mask) v_g,   g = h * kv_heads // heads",
)
def grouped_query_attention(
    x: Array,
    w: Weights,
    heads: int,
    kv_heads: int | None = None,
    head_size: int | None = None,
    base: float = 10000.0,
    bias: bool = False,
    causal: bool = True,
    mask: Any = None,
    normalize: bool = False,
) -> Array:
    kv_heads = heads if kv_heads is None else kv_heads
    assert head_size is None or len(w["q_proj.weight"]) == heads * head_size
    assert ("q_proj.bias" in w) == bias
    q, k = _split(_dense(x, w, "q_proj"), heads), _split(_dense(x, w, "k_proj"), kv_heads)
    v = _split(_dense(x, w, "v_proj"), kv_heads)
    if normalize:
        q, k = (
            y / np.sqrt((y**2).mean(-1, keepdims=True) + 1e-6) * w[f"{name}.weight"]
            for y, name in ((q, "q_norm"), (k, "k_norm"))
        )
    if base:
        q, k = rotary(q, base), rotary(k, base)
    groups = [h * kv_heads // heads for h in range(heads)]
    return _dense(_heads(q, k[:, groups], v[:, groups], mask, causal), w, "o_proj")


# --- normalised weights ---


@FORMULAS.of("scale_rows", "g v / ‖v‖")
def scale_rows(v: Array, g: Array) -> Array:
    return np.stack(
        [scale * row / np.sqrt((row**2).sum()) for row, scale in zip(v, g, strict=True)]
    )


def _convolve(
    x: Array, weight: Array, stride: int, padding: int, dilation: int, groups: int
) -> Array:
    """Cross-correlation over one or two axes of space, sum by sum."""
    space = x.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0), *[(padding, padding)] * space])
    kernel = weight.shape[2:]
    sizes = [(x.shape[2 + a] - dilation * (kernel[a] - 1) - 1) // stride + 1 for a in range(space)]
    y = np.zeros((len(x), len(weight), *sizes))
    share, own = len(weight) // groups, weight.shape[1]
    for o in range(len(weight)):
        begin = o // share * own
        for place in np.ndindex(*sizes):
            cut = tuple(
                slice(p * stride, p * stride + dilation * (k - 1) + 1, dilation)
                for p, k in zip(place, kernel, strict=True)
            )
            seen = x[(slice(None), slice(begin, begin + own), *cut)]
            y[(slice(None), o, *place)] = (seen * weight[o]).reshape(len(x), -1).sum(1)
    return y


def _weight_norm(w: Weights) -> Array:
    return scale_rows(w["weight_v"], w["weight_g"])


@FORMULAS.of("weight_norm_dense", "weight = g * v / ‖v‖")
def weight_norm_dense(x: Array, w: Weights, out: int, start: float = 0.577) -> Array:
    assert len(w["bias"]) == out
    return np.asarray(x @ _weight_norm(w).T + w["bias"])


def _weight_norm_conv(x: Array, w: Weights, **options: int) -> Array:
    settings = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | options
    y = _convolve(x, _weight_norm(w), **settings)
    return np.asarray(y + w["bias"].reshape(-1, *[1] * (x.ndim - 2)))


@FORMULAS.of("weight_norm_conv1d", "weight = g * v / ‖v‖")
def weight_norm_conv1d(
    x: Array, w: Weights, out: int, kernel: int, start: float = 0.577, **options: int
) -> Array:
    assert w["weight_v"].shape[::2] == (out, kernel)
    return _weight_norm_conv(x, w, **options)


@FORMULAS.of("weight_norm_conv2d", "weight = g * v / ‖v‖")
def weight_norm_conv2d(
    x: Array, w: Weights, out: int, kernel: int, start: float = 0.577, **options: int
) -> Array:
    assert w["weight_v"].shape[::2] == (out, kernel)
    return _weight_norm_conv(x, w, **options)


def _spectral_norm(w: Weights) -> Array:
    """In evaluation, where u and v stay."""
    matrix = w["weight_orig"].reshape(len(w["weight_orig"]), -1)
    return np.asarray(w["weight_orig"] / (w["weight_u"] @ matrix @ w["weight_v"]))


@FORMULAS.of("spectral_norm_dense", "weight = W / σ,  σ = uᵀ W v")
def spectral_norm_dense(
    x: Array, w: Weights, out: int, bias: bool = True, iterations: int = 1
) -> Array:
    assert len(w["weight_orig"]) == out
    return np.asarray(x @ _spectral_norm(w).T + (w["bias"] if bias else 0))


@FORMULAS.of("spectral_norm_conv2d", "weight = W / σ,  σ = uᵀ W v")
def spectral_norm_conv2d(
    x: Array,
    w: Weights,
    out: int,
    kernel: int,
    bias: bool = True,
    iterations: int = 1,
    **options: int,
) -> Array:
    assert w["weight_orig"].shape[::2] == (out, kernel)
    settings = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | options
    y = _convolve(x, _spectral_norm(w), **settings)
    return np.asarray(y + (w["bias"][:, None, None] if bias else 0))
