"""Whole programs to fuzz with: items of valid form whose ops, arguments and shapes are random."""

from __future__ import annotations

import random
import re
import typing
from collections.abc import Callable, Sequence
from functools import cache

from compiler.data.registry import load_sources
from compiler.ops.registry import load_ops
from compiler.training.base import METRICS, OPTIMIZERS, SCHEDULES
from compiler.training.registry import load_training
from compiler.vocabulary.initializers import INITIALIZERS
from compiler.vocabulary.signature import Described, Option

DTYPES = ["f32", "f32", "f32", "f16", "bf16", "i64", "u8", "bool", "tensor"]
DIMS = ["batch", "n", "h", "1", "2", "3", "4", "8", "0", "2 * n", "n + 1", "_", "..."]
INTEGERS = ["0", "1", "2", "3", "4", "7", "8", "-1", "-2", "64", "1000000", "width", "n", "x"]
FLOATS = ["0", "0.5", "1e-5", "25%", "1", "-1.5", "1e30", "-0.0", "100%"]
OTHERS = ["true", "false", "none", '"same"', "[]", "[1, 2]", "relu", "f32", "2ms", "x", "(x, y)"]
STRINGS = ['"same"', '"valid"', '"mean"', '"*.weight"', '"layer{width}"', '"fit"', '"table.csv"']
TENSORS = ["x", "y", "z", "image", "label"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "@", "==", "<", "and", "or"]
SPLITS = ["train", "val", "test", "other"]
FILES = {
    "hf": ['"./table.csv"', '"./."', '"./missing"'],
    "jsonl": ['"table.csv"', '"missing.jsonl"'],
    "sql": ['"sqlite:///table.csv", "select * from t"', '"sqlite:///x.db", "select 1 order by 1"'],
    "csv": ['"table.csv"', '"ragged.csv"', '"empty.csv"', '"missing.csv"'],
    "text": ['"short.txt"', '"long.txt"', '"table.csv"'],
    "sklearn": ['"digits"', '"iris"', '"wine"', '"diabetes"', '"linnerud"', '"dogs"'],
}


PLAIN_MODEL = """model Net(width: int = 4) {
    input image: f32[batch, 8, 8]
    x = image -> flatten -> dense(width) -> relu as stem
    output logits = x -> dropout(10%) -> dense(10) as head
    output other = x -> dense(1) -> sigmoid
}"""
PLAIN_DATA = """data rows(path: str = "table.csv") {
    source sklearn("digits")
    image = image / 16
    split random(seed=0), train=80%, val=10%, test=10%
}"""


def make_program(rng: random.Random) -> str:
    """A model, and sometimes a block, data, a train and a deployment."""
    if rng.random() < 0.4:
        return make_training(rng)
    parts = []
    if rng.random() < 0.5:
        parts.append(make_block(rng))
    parts.append(make_model(rng))
    if rng.random() < 0.5:
        parts += [make_data(rng), make_train(rng)]
        if rng.random() < 0.5:
            parts.append(make_deploy(rng))
    if rng.random() < 0.2:
        parts.append(f"net other = Net({make_arguments(rng, ())})")
    rng.shuffle(parts)
    return "\n".join(parts) + "\n"


def make_training(rng: random.Random) -> str:
    """A sound model and mostly sound data under a random train and deployments."""
    data = PLAIN_DATA if rng.random() < 0.7 else make_data(rng)
    deploys = [make_deploy(rng) for _ in range(rng.randrange(3))]
    return "\n".join([PLAIN_MODEL, data, make_train(rng), *deploys]) + "\n"


# --- models -------------------------------------------------------------------------------------


def make_type(rng: random.Random) -> str:
    """A tensor type."""
    dims = ["batch"] * (rng.random() < 0.6)
    dims += [rng.choice(DIMS) for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 3, 4]))]
    return f"{rng.choice(DTYPES)}[{', '.join(dims)}]"


def make_model(rng: random.Random) -> str:
    """A model with random inputs, bindings and outputs."""
    lines = [f"    input {name}: {make_type(rng)}" for name in TENSORS[: rng.randrange(1, 4)]]
    lines += make_body(rng, rng.randrange(1, 6))
    lines += [f"    output logits = {make_tensor(rng, 2)}"]
    if rng.random() < 0.2:
        lines.append(f"    output other: {make_type(rng)} = {make_tensor(rng, 1)}")
    return "\n".join([f"model Net(width: int = {rng.randrange(10)}) {{", *lines, "}"])


def make_block(rng: random.Random) -> str:
    """A block that the model may call."""
    first = rng.choice(["x", f"x: {make_type(rng)}"])
    lines = [f"block Part({first}, width: int = 4, inner: layer = relu, k: float = 0.5) {{"]
    lines += make_body(rng, rng.randrange(4))
    returned = [make_tensor(rng, 2), "x -> inner", "Part(x, width - 1)", "width * 2", "x, y=x"]
    return "\n".join([*lines, f"    return {rng.choice(returned)}", "}"])


def make_body(rng: random.Random, count: int, depth: int = 0) -> list[str]:
    """Statements of a block or model."""
    lines = []
    for _ in range(count):
        lines += make_statement(rng, depth)
    return ["    " + line for line in lines]


def make_statement(rng: random.Random, depth: int) -> list[str]:
    """One statement."""
    name = rng.choice(TENSORS)
    if depth < 2 and rng.random() < 0.15:
        inner = make_body(rng, rng.randrange(1, 3), depth + 1)
        heads = [
            f"if {make_number(rng)} {rng.choice(['<', '==', '>='])} {make_number(rng)} {{",
            f"for i in 0..{rng.choice(['2', 'width', '-1', 'n', '100000000'])} {{",
            f"for i in {rng.choice(['[1, 2]', 'x', 'range(3)', 'zip([1], [2])'])} {{",
            f"scan s in {name}, axis={rng.choice(['0', '1', '-1', '9'])} {{",
        ]
        ends = [f"    emit {name} = {make_tensor(rng, 1)}"] if rng.random() < 0.5 else []
        return [rng.choice(heads), *inner, *ends, "}"]
    forms: list[Callable[[], str]] = [
        lambda: f"{name} = {make_tensor(rng, 3)}",
        lambda: f"{name} = {make_tensor(rng, 3)}",
        lambda: f"{name}: {make_type(rng)} = {make_tensor(rng, 2)}",
        lambda: f"{name}, y = {make_tensor(rng, 2)}",
        lambda: f"param {name}: {make_type(rng)} = {make_call(rng, INITIALIZERS.classes())}",
        lambda: f"buffer {name}: {make_type(rng)} = {make_tensor(rng, 1)}",
        lambda: f"net {name} = {make_layer(rng)}",
        lambda: f"assert {make_number(rng)} < {make_number(rng)}",
        lambda: f"width = {make_number(rng)}",
    ]
    return [rng.choice(forms)()]


# --- expressions --------------------------------------------------------------------------------


def make_tensor(rng: random.Random, depth: int) -> str:
    """An expression that is a tensor where all fits."""
    if depth == 0 or rng.random() < 0.15:
        return rng.choice(TENSORS)
    inner = make_tensor(rng, depth - 1)
    forms: list[Callable[[], str]] = [
        *[
            lambda: (
                f"({inner} -> {' -> '.join(make_layer(rng) for _ in range(rng.randrange(1, 4)))})"
            )
        ]
        * 4,
        lambda: f"({inner} {rng.choice(OPERATORS)} {make_tensor(rng, depth - 1)})",
        lambda: f"({inner} {rng.choice(OPERATORS)} {make_number(rng)})",
        lambda: f"{inner}[{make_subscript(rng)}]",
        lambda: f"(({inner}, {make_tensor(rng, depth - 1)}) -> {make_layer(rng)})",
        lambda: make_call(rng, load_ops().classes(), operands=True),
        lambda: f"({inner} if {make_number(rng)} > 1 else {make_tensor(rng, depth - 1)})",
        lambda: f"[{inner} for i in 0..3]",
        lambda: f"-{inner}.{rng.choice(['shape', 'weight', 'y', 'dtype'])}",
        lambda: f"tensor([{make_number(rng)}, {make_number(rng)}])",
    ]
    return rng.choice(forms)()


def make_layer(rng: random.Random) -> str:
    """An expression that is a layer where all fits."""
    form = rng.random()
    if form < 0.7:
        return make_call(rng, load_ops().classes())
    if form < 0.8:
        return f"{rng.choice(['2', '0', 'width', '-1', '1e9'])} * {rng.choice(names_of_ops())}"
    if form < 0.9:
        arguments = rng.choice(["", "(width=2)", "(3)", "(inner=dense(4))", "(-1, k=2)"])
        return f"Part{arguments}"
    return f"{make_call(rng, load_ops().classes())} as {rng.choice(['a', 'b', 'head'])}"


@cache
def names_of_ops() -> tuple[str, ...]:
    """Every word that names an op."""
    return tuple(load_ops().names())


def make_subscript(rng: random.Random) -> str:
    """What stands in brackets behind a tensor."""
    pieces = ["0", "-1", "1:", ":2", "::2", "::-1", "none", "...", "y", "n", "9", "1:width", ":"]
    return ", ".join(rng.choice(pieces) for _ in range(rng.randrange(1, 4)))


def make_number(rng: random.Random) -> str:
    """An expression of compile-time numbers."""
    forms = ["width", "n", "batch", "2 ** 70", "1 / 0", "len([1])", "sqrt(4)", "7 // 2", "i"]
    return rng.choice([*forms, *INTEGERS, *FLOATS])


# --- calls of what the registries hold ----------------------------------------------------------


def make_call(
    rng: random.Random, classes: Sequence[type[Described]], *, operands: bool = False
) -> str:
    """A call of one of the classes with random options."""
    cls = rng.choice(classes)
    given = [rng.choice(TENSORS) for o in cls.operands] if operands else []
    arguments = [*given, *make_options(rng, cls.options())]
    return f"{cls.name}({', '.join(arguments)})" if arguments or operands else cls.name


def make_arguments(rng: random.Random, options: Sequence[Option]) -> str:
    """Arguments for some of the options, and now and then one that does not exist."""
    return ", ".join(make_options(rng, options))


def make_options(rng: random.Random, options: Sequence[Option]) -> list[str]:
    """Arguments, those without names first."""
    found = []
    positional = True
    for option in options:
        if rng.random() > (0.95 if option.required else 0.3):
            positional = False
            continue
        value = make_value(rng, option.annotation)
        positional = positional and rng.random() < 0.7
        found.append(value if positional else f"{option.name}={value}")
    if rng.random() < 0.03:
        found.append(f"width={make_number(rng)}")
    return found


def make_value(rng: random.Random, annotation: object) -> str:
    """A value that mostly fits an option of that type."""
    if rng.random() < 0.08:
        return rng.choice([*OTHERS, *STRINGS, *INTEGERS, *FLOATS])
    choices = [c for t in flatten_type(annotation) for c in values_of(t)]
    pieces = [rng.choice(INTEGERS) for _ in range(rng.randrange(1, 5))]
    if "tuple" in str(annotation) and rng.random() < 0.6:
        return f"[{', '.join(pieces)}]"
    return rng.choice(choices or OTHERS)


def flatten_type(annotation: object) -> list[object]:
    """The alternatives of a union."""
    parts = typing.get_args(annotation)
    if parts and typing.get_origin(annotation) is not typing.Literal:
        return [leaf for part in parts for leaf in flatten_type(part)]
    return [annotation]


def values_of(annotation: object) -> Sequence[str]:
    """Texts of values of a type."""
    if typing.get_origin(annotation) is typing.Literal:
        return [f'"{word}"' for word in typing.get_args(annotation)]
    if annotation is bool:
        return ["true", "false"]
    if annotation is int:
        return INTEGERS
    if annotation is float:
        return FLOATS
    if annotation is str:
        return STRINGS
    if re.search("DType", str(annotation)):
        return DTYPES
    return INTEGERS if "Dim" in str(annotation) else OTHERS


# --- data, trains and deployments ---------------------------------------------------------------


def make_data(rng: random.Random) -> str:
    """A data item on files of the fuzzer's folder or the sets of scikit-learn."""
    source = rng.choice(load_sources().classes())
    options = make_options(rng, source.options())
    if source.name in FILES and rng.random() < 0.9:
        options = [rng.choice(FILES[source.name]), *[o for o in options[1:] if "=" in o]]
    columns = ["image", "label", "size", "rooms", "kind", "price", "features", "tokens", "target"]
    lines = [f"    source {source.name}({', '.join(options)})"]
    for _ in range(rng.randrange(4)):
        value = re.sub(r"\b[xyz]\b", rng.choice(columns), make_tensor(rng, 2))
        lines.append(f"    {rng.choice(columns)} = {value}")
    fits = ["standardize", "fill", "one_hot", "flatten(0)", "reshape([1, 8, 8])"]
    if rng.random() < 0.5:
        lines.append(f"    x = {rng.choice(columns)} -> {rng.choice(fits)}")
    parts = ["80%", "10%", "10%", "0.5", "100", "200%", "-1", "x", '"file"']
    shares = [f"{name}={rng.choice(parts)}" for name in SPLITS if rng.random() < 0.7]
    methods = ["random", "random(seed=0)", "in_order", "given", "random(stratify=label)", "none"]
    lines.append(f"    split {', '.join([rng.choice(methods), *shares])}")
    return "\n".join(['data rows(path: str = "table.csv") {', *lines, "}"])


def make_train(rng: random.Random) -> str:
    """A train with random losses, optimizers, metrics and clauses."""
    durations = ["8", "3", "2epochs", "5%", "100steps", "-1", "1.5", "x", '"a"', "1e9"]
    names = ['"*"', '"head.*"', '"stem.weight"', "Net", *STRINGS]
    metric = f"{rng.choice(METRICS.classes()).name}({make_terms(rng)})"
    spans = ["val.loss", "val.m", "val.m", "m", "x.y", "val.loss, epochs=3", "test.m, epochs=2"]
    clauses = [
        make_objective(rng),
        f"batch {rng.choice(['64', *durations])}",
        f"epochs {rng.choice(['3', *durations])}",
        f"metric m = {metric}",
        *(f"{word} {rng.choice(durations)}" for word in ("seed", "clip")),
        f"precision {rng.choice(['bf16', 'f16', 'f32', '8'])}",
        f"until stalled({rng.choice(spans)})",
        f"freeze {rng.choice(names)}",
        f"layout {rng.choice(STRINGS)}",
        f"{make_objective(rng)} over {rng.choice(names)} with {make_optimizer(rng)}",
        f"x = {make_tensor(rng, 1)}",
        "net twin = Net(width=3)",
    ]
    kept = [c for i, c in enumerate(clauses) if rng.random() < (0.95 if i < 3 else 0.2)]
    given = rng.choice(["", "", "", "(width=2)", "(x=image)", "(x=features)", "(image=image)"])
    data = rng.choice([*["rows"] * 6, 'rows(path="long.txt")', "rows(1)", "Net"])
    return "\n".join([f"train fit of Net{given} on {data} {{", *("    " + c for c in kept), "}"])


def make_objective(rng: random.Random) -> str:
    """A `minimize` clause up to its optimizer."""
    words = ("entropy", "loss", "mse", "mae", "nll")
    losses = [name for name in load_ops().names() if name.endswith(words)]
    loss = f"{rng.choice([*losses, 'cross_entropy', 'sum'])}({make_terms(rng)})"
    if rng.random() < 0.2:
        loss = f"{loss} + {rng.choice(['0.1 * mean(logits)', 'x', 'sum(Net.head.weight)', '1'])}"
    return f"minimize {loss} with {make_optimizer(rng)}"


def make_terms(rng: random.Random) -> str:
    """What a loss or metric compares."""
    pairs = ["logits, label", "logits, target", "other, label", "other, image", "x, y", "fit"]
    return rng.choice(["logits, label", *pairs])


def make_optimizer(rng: random.Random) -> str:
    """An optimizer, perhaps with a schedule."""
    load_training()
    optimizer = make_call(rng, OPTIMIZERS.classes())
    if rng.random() < 0.5:
        schedule = make_call(rng, SCHEDULES.classes())
        optimizer = f"{optimizer.split('(')[0]}(lr=1e-3, schedule={schedule})"
    return optimizer


def make_deploy(rng: random.Random) -> str:
    """A deployment."""
    clauses = [
        f"dynamic {rng.choice(['batch', 'batch', 'n', 'h, w', '3', 'nothing'])}",
        f"fix {rng.choice(['n=3', 'batch=2', 'batch=0', 'h=-1, w=2', 'q=1', 'n'])}",
        f"opset {rng.choice(['21', '17', '3', '99', 'x'])}",
        f"labels {rng.choice(['[]', '[1, 2]', 'rows', '3'])}",
        f"outputs {rng.choice(['logits', 'other', 'logits, other', '1'])}",
        f"preprocess {rng.choice(['rows', 'rows(1)', 'Net', 'fit'])}",
    ]
    kept = " ".join(c for c in clauses if rng.random() < 0.3)
    subject = rng.choice(["fit", "fit", "other", "Net", "fit.Net", "rows"])
    return f"deploy {subject} as {rng.choice(['onnx', 'onnx', 'torch', 'fit'])} {{ {kept} }}"
