"""Well-typed specs with hostile names, numbers up to 10 ** 400 and sizes up to 10 ** 18."""

from __future__ import annotations

import random
from collections.abc import Callable

NAMES = [
    *("x", "y", "model", "self", "torch", "nn", "forward", "class", "import", "lambda", "None"),
    *("__init__", "__class__", "_", "_0", "in", "training", "state_dict", "np", "print", "batch"),
    *("é", "ﬁ", "K", "变量", "ℌ", "x" * 300, "a" * 4000),
    *("`a b`", "`model`", "`../../x`", '`"""`', "`{x}`", "`C:\\\\x`", "`é`", "`1`", "`for`"),
    *("`%1`", "`a.b.c`", "`" + "n" * 500 + "`", "`\u202eabc`", "`'`", "`#`", "`$(id)`"),
]
SIZES = ["1", "2", "3", "4", "7", "8", "16", "64"] * 3
HUGE = ["0", "-1", "10 ** 6", "10 ** 9", "10 ** 12", "10 ** 15", "10 ** 18", "2 ** 31", "2 ** 63"]
NUMBERS = [
    *("0", "1", "2", "-1", "0.5", "1e-8", "1e30", "1e308", "1e-320", "-0.0", "inf", "-inf", "pi"),
    *("10 ** 18", "10 ** 300", "10 ** 400", "2 ** 1022", "1e400", "10 ** 400 * 1%", "5%", "1e5%"),
    *("10 ** 300 / 3", "7 // 2", "2 ** 0.5", "true", "none", "1e308TiB", "3epochs", "1ns", "1e30h"),
    "(10 ** 17 + 1) % 10 ** 9",
]
ACTIVATIONS = ["relu", "gelu", "tanh", "sigmoid", "softmax", "dropout(10%)", "layer_norm"]


class Writer:
    """Writes one spec; `tensors` are the names of float tensors with their last size."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.names = rng.sample(NAMES, len(NAMES))
        self.tensors: list[str] = []

    def name(self) -> str:
        """A name that was not used before; mostly an ordinary one."""
        if self.rng.random() < 0.3 and self.names:
            return self.names.pop()
        return f"{self.rng.choice('abcdefgh')}{self.rng.randrange(10**6)}"

    def size(self) -> str:
        """A size; rarely a huge one."""
        return self.rng.choice(HUGE) if self.rng.random() < 0.06 else self.rng.choice(SIZES)

    def number(self) -> str:
        """A number that an activation or an operator takes."""
        return self.rng.choice(NUMBERS)

    def tensor(self) -> str:
        """A tensor that was made."""
        return self.rng.choice(self.tensors)

    def stage(self) -> str:
        """A layer that any float tensor of two axes goes through."""
        rng = self.rng
        forms: list[Callable[[], str]] = [
            lambda: f"dense({self.size()})",
            lambda: f"dense({self.size()}) as {self.name()}",
            lambda: f'dense({self.size()}) as "{self.name().strip("`")}.{rng.randrange(3)}"',
            lambda: rng.choice(ACTIVATIONS),
            lambda: f"leaky_relu({self.number()})",
            lambda: f"clip({self.number()}, {self.number()})",
            lambda: f"{rng.choice(['1', '2', '3', '10 ** 9'])} * relu",
        ]
        return rng.choice(forms)()

    def value(self) -> str:
        """A float tensor of two axes."""
        rng, x = self.rng, self.tensor()
        forms: list[Callable[[], str]] = [
            *[lambda: f"{x} -> {' -> '.join(self.stage() for _ in range(rng.randrange(1, 4)))}"]
            * 5,
            lambda: f"{x} {rng.choice('+-*/')} {self.number()}",
            lambda: f"{x} ** {self.number()}",
            lambda: f"concat([{x}, {x}], axis=-1)",
            lambda: f"{x} + {x}",
            lambda: f"{x} * sum([{self.number()} * i for i in 0..{self.size()}])",
            lambda: f"if {self.number()} < {self.number()} then {x} else -{x}",
            lambda: f"{x} * zeros([1, {self.size()}])",
            lambda: f"{x} + cast(arange({self.size()}), f32)",
            lambda: f"{x}[:, :{self.size()}]",
            lambda: f"{x}[:, ::{self.size()}]",
            lambda: f"{x} -> pad([[0, 0], [{self.size()}, {self.size()}]])",
            lambda: f"{x} + one_hot(argmax({x}, axis=-1), {self.size()})",
            lambda: f"repeat({x}, {self.size()}, axis=-1)",
            lambda: f"full([1, {self.size()}], {self.number()}) + {x}",
        ]
        return rng.choice(forms)()

    def statement(self) -> str:
        """One statement of the model."""
        rng = self.rng
        last = self.tensors[-1]
        if rng.random() < 0.15:
            form = rng.choice(
                [
                    f"param {self.name()}: f32[{self.size()}, 8] = normal({self.number()})",
                    f"buffer {self.name()}: i64[{self.size()}] = zeros",
                    f"assert {self.number()} <= {self.number()}",
                    f"{self.name()} = {self.number()} {rng.choice(['+', '*', '//', '%', '**'])} "
                    f"{self.number()}",
                    f"for i in 0..{self.size()} {{ {last} = {last} -> relu }}",
                ]
            )
            return f"    {form}"
        value = self.value()
        name = self.name() if rng.random() < 0.6 else self.tensor()
        self.tensors.append(name)
        return f"    {name} = {value}"


def make_hostile(rng: random.Random) -> str:
    """A model, and sometimes a train on a table and a deployment of it."""
    writer = Writer(rng)
    model, first = writer.name(), writer.name()
    dims = rng.choice(["batch, 8", "n, m", "batch, 1", "4, 8", f"batch, {writer.size()}"])
    lines = [f"## {writer.name()}", f"model {model}({writer.name()}: int = {writer.size()}) {{"]
    lines.append(f"    input {first}: f32[{dims}]")
    writer.tensors.append(first)
    lines += [writer.statement() for _ in range(rng.randrange(1, 7))]
    lines += [f"    output {writer.name()} = {writer.tensor()} -> relu", "}"]
    if rng.random() < 0.3:
        lines.append(f"net {writer.name()} = {model}({rng.choice(['', writer.size()])})")
    if rng.random() < 0.3:
        lines += write_training(writer)
    return "\n".join(lines) + "\n"


def write_training(writer: Writer) -> list[str]:
    """A data item, a train of a small net on it, and what follows from it."""
    rng, number = writer.rng, writer.number
    fit, variant = writer.name(), writer.name()
    keep = rng.choice(["8", "80%", "0.5"])
    lines = [
        "model Small() {\n    input x: f32[batch, 4]\n    output y = x -> dense(3)\n}",
        'data rows {\n    source sklearn("iris")\n    x = features / ' + number(),
        f"    split random(seed={rng.choice(['0', number()])}), "
        f"train={rng.choice(['70%', number()])}, val={rng.choice(['15%', number()])}, test=15%\n}}",
        f"train {fit} of Small on rows {{",
        f"    minimize cross_entropy(y, target) with adamw(lr={rng.choice(['1e-3', number()])})",
        f"    batch {rng.choice(['16', number(), writer.size()])}",
        f"    epochs {rng.choice(['2', number()])}",
        *([f"    clip {number()}"] if rng.random() < 0.3 else []),
        *([f"    seed {number()}"] if rng.random() < 0.3 else []),
        "}",
    ]
    if rng.random() < 0.5:
        batch = rng.choice(["1", "10 ** 12", writer.size()])
        lines += [
            f"variant {variant} of {fit} {{",
            f"    apply {rng.choice([f'prune(channels={keep})', f'low_rank(rank={keep})'])}",
            f"    target cpu(threads={writer.size()}, batch={batch})",
            f"    require size <= {number()}",
            f"    require latency <= {number()}",
            "}",
        ]
    if rng.random() < 0.5:
        subject = rng.choice([fit, variant])
        lines.append(
            f"deploy {subject} as onnx {{ dynamic batch  opset {rng.choice(['21', number()])} }}"
        )
    return lines
