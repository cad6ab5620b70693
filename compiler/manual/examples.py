"""Examples of the manual: from the line that an entry shows to a whole spec that runs.

An entry says `y = x -> relu`, or `minimize mse(prediction, target) with adam(lr=1e-3)`. What stands
around it follows from its first word, and what its names are from the tables here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from textwrap import indent

from compiler.elaborate.items.item_elaborator import load_clauses
from compiler.elaborate.scopes.library import find_blocks
from compiler.ops.registry import OPS, load_ops
from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from compiler.text.format.format import format_source
from compiler.vocabulary.clauses import ClauseHome

INPUTS = {
    "x": "f32[n, 64]",
    "y": "f32[n, 64]",
    "a": "f32[n, 64]",
    "b": "f32[n, 64]",
    "image": "f32[n, 3, 32, 32]",
    "features": "f32[n, 16, 8, 8]",
    "signal": "f32[n, 16, 100]",
    "wave": "f32[n, 8000]",
    "seconds": "i64[n]",
    "sequence": "f32[n, t, 64]",
    "tokens": "i64[n, t]",
    "mask": "bool[n, t]",
    "length": "i64[n]",
    "q": "f32[n, 4, t, 16]",
    "k": "f32[n, 4, t, 16]",
    "v": "f32[n, 4, t, 16]",
    "query": "f32[n, t, 64]",
    "key": "f32[n, s, 64]",
    "value": "f32[n, s, 64]",
    "logits": "f32[n, 10]",
    "label": "i64[n]",
    "score": "f32[n]",
    "prediction": "f32[n]",
    "target": "f32[n]",
    "weight": "f32[n]",
    "matrix": "f32[n, 8, 8]",
    "covariance": "f32[n, 8, 8]",
    "boxes": "f32[n, 4]",
}
"""What the inputs of examples are, by name."""

COLUMNS = {
    "x": "(image / 16) -> reshape([64])",
    "image": "(image / 16) -> reshape([1, 8, 8])",
    "target": "cast(label, f32)",
    "even": "label % 2",
}
"""Columns of the data of trainings in examples, beside `label`, from scikit-learn's digits."""

COLUMN_TYPES = {"x": "f32[batch, 64]", "image": "f32[batch, 1, 8, 8]"}
"""What the inputs of nets of trainings are."""

OUTPUTS = {
    "logits": "x -> dense(64) as hidden -> relu -> dense(10) as head",
    "score": "x -> dense(64) -> relu -> dense(1) -> squeeze(1)",
    "prediction": "x -> dense(64) -> relu -> dense(1) -> squeeze(1)",
    "line": "x -> dense(1) -> squeeze(1)",
    "decoded": "x -> dense(16) -> relu -> dense(64)",
    "painted": "image -> conv(8, kernel=3, padding=1) -> relu -> conv(1, kernel=3, padding=1)",
}
"""Outputs of the nets of trainings in examples."""

OBJECTIVES = {
    "score": "bce_with_logits(score, cast(even, f32))",
    "prediction": "mse(prediction, target)",
    "line": "mse(line, target)",
    "decoded": "mse(decoded, x)",
    "painted": "mse(painted, image)",
    "logits": "cross_entropy(logits, label)",
}
"""What a training in an example minimizes where the example is about something else."""

_CONVOLUTIONS = (
    "image -> conv(16, kernel=3, bias=false) as conv -> batch_norm -> relu -> flatten"
    " -> dense(64) as hidden -> relu -> dense(10) as head"
)
"""The net that examples make smaller."""

_TRAIN = {"batch": "batch 64", "epochs": "epochs 10"}
_VARIANT = {"apply": "apply quantize(stored8)", "require": "require size <= 100KiB"}
_SEARCHED = {"lr": ("float", "1e-3"), "decay": ("float", "0.01"), "rows": ("int", "64")}
"""Parameters that trainings have where a sweep searches them: their types and defaults."""
_METRIC = "metric accuracy = accuracy(logits, label)"
_SPLIT = "split random(seed=0), train=80%, val=10%, test=10%"
_WORD = re.compile(r"(?<![\w.\"])([A-Za-z_]\w*)(?!\w)")
_STRING = re.compile(r'"[^"]*"|#.*')
_ASSIGNED = re.compile(r"(?:net |output |emit )?(\w+(?:, \w+)*)(?:: [^=]+)? = ")


def write_example(text: str) -> str:
    """The whole spec of an example: as it is where it has items, else with a model, a training, a
    variant or a data item around it."""
    first, second, *_ = text.split()
    lines = text.split("\n")
    homes = _list_homes(first) if second != "=" else frozenset()
    if first in ClauseHome.every and "{" in text:
        spec = text
    elif "train" in homes and "model" not in homes:
        spec = _write_train(lines)
    elif "variant" in homes:
        train = _write_train([], {"logits": _CONVOLUTIONS})
        spec = f"{train}\n\n{_write_variant(lines)}"
    elif second == "in" or "sweep" in homes:
        spec = _write_sweep(lines)
    elif "data" in homes:
        spec = _write_data(lines)
    else:
        spec = _write_model(lines)
    uses = _list_uses(spec)
    whole = "\n".join([*uses, "", spec] if uses else [spec])
    return format_source(Source("example.weft", whole), Sink())


@cache
def _list_homes(word: str) -> frozenset[str]:
    load_clauses()
    return frozenset(kind for kind, home in ClauseHome.every.items() if word in home.clauses)


@cache
def _list_library() -> Mapping[str, str]:
    """Blocks of the library by name, but for those that share their name with an op, and files."""
    load_ops()
    return {block.name: block.file for block in find_blocks() if OPS.get(block.name) is None}


def _list_uses(spec: str) -> list[str]:
    """The files of the library that a spec needs beside those that it uses itself."""
    called = set(re.findall(r"\b(\w+)\b(?! *=(?!=))", _STRING.sub("", spec)))
    own = set(re.findall(r"(?:block|net|input|output|param) (\w+)|(\w+) = ", spec))
    taken = {name for pair in own for name in pair}
    files = {file for name, file in _list_library().items() if name in called - taken}
    return [f"use {file}" for file in sorted(files) if f"use {file}" not in spec]


def _write_item(head: str, lines: Iterable[str]) -> str:
    return "\n".join([f"{head} {{", indent("\n".join(lines), "    "), "}"])


def _write_model(lines: Sequence[str]) -> str:
    declared = [f"input {name}: {INPUTS[name]}" for name in find_free(lines) if name in INPUTS]
    return _write_item("model Example", [*declared, *_give_results(lines)])


def _write_train(lines: Sequence[str], nets: Mapping[str, str] = OUTPUTS) -> str:
    """A net, data and a training of it with these clauses, and the usual ones beside them."""
    given = {line.split()[0] for line in lines}
    free = find_free(lines)
    objective = next((text for name, text in OBJECTIVES.items() if name in free), "")
    objective = objective or OBJECTIVES["logits"]
    first = [] if "minimize" in given else [f"minimize {objective} with adamw(lr=1e-3)"]
    rest = [line for word, line in _TRAIN.items() if word not in given]
    clauses = [*first, *lines, *rest]
    names = find_free(clauses)
    outputs = [f"output {name} = {nets[name]}" for name in names if name in nets]
    inputs = [name for name in find_free(outputs) if name in COLUMN_TYPES]
    declared = [f"input {name}: {COLUMN_TYPES[name]}" for name in inputs]
    columns = [name for name in dict.fromkeys([*inputs, *names]) if name in COLUMNS]
    rows = ['source sklearn("digits")', *(f"{name} = {COLUMNS[name]}" for name in columns), _SPLIT]
    items = [
        _write_item("model Net", [*declared, *outputs]),
        _write_item("data digits", rows),
        _write_item("train fit of Net on digits", clauses),
    ]
    return "\n\n".join(items)


def _write_variant(lines: Sequence[str]) -> str:
    given = {line.split()[0] for line in lines}
    usual = {word: line for word, line in _VARIANT.items() if word not in given}
    first = [usual.pop("apply")] if "apply" in usual else []
    return _write_item("variant small of fit", [*first, *lines, *usual.values()])


def _write_sweep(lines: Sequence[str]) -> str:
    """A sweep with these spaces and clauses of a train that has such parameters."""
    searched = [line.split()[0] for line in lines if line.split()[1] == "in"] or ["lr"]
    known = {name: (name if name in searched else plain) for name, (_, plain) in _SEARCHED.items()}
    options = f"lr={known['lr']}, weight_decay={known['decay']}"
    clauses = [f"minimize cross_entropy(logits, label) with adamw({options})", _METRIC]
    train = _write_train([*clauses, f"batch {known['rows']}"])
    parameters = (
        f"{name}: {kind} = {plain}" for name, (kind, plain) in _SEARCHED.items() if name in searched
    )
    train = train.replace("train fit of", f"train fit({', '.join(parameters)}) of")
    given = {line.split()[0] for line in lines}
    found = any(line.split()[1] == "in" for line in lines)
    first = [] if found else ["lr in log_uniform(1e-4, 1e-1)"]
    usual = [] if given & {"maximize", "minimize"} else ["maximize val.accuracy"]
    last = [] if "trials" in given else ["trials 20"]
    return f"{train}\n\n{_write_item('sweep tune of fit', [*first, *lines, *usual, *last])}"


def _write_data(lines: Sequence[str]) -> str:
    split = [] if any(line.startswith("split") for line in lines) else [_SPLIT]
    return _write_item("data rows", [*lines, *split])


def find_free(lines: Iterable[str]) -> list[str]:
    """Names that are read before the lines give them a value, in order."""
    found: dict[str, None] = {}
    bound: set[str] = set()
    for line in lines:
        code = _STRING.sub('""', line)
        assigned = _ASSIGNED.match(code.strip())
        declared = re.match(r"\s*(?:input|param|buffer) (\w+)", code)
        read = code[assigned.end() :] if assigned is not None else code
        for match in _WORD.finditer(read):
            behind = read[match.end() :]
            keyword = re.match(r"\s*=(?!=)", behind) is not None
            called = behind.startswith("(")
            if not keyword and not called and match[1] not in bound:
                found.setdefault(match[1])
        if assigned is not None:
            bound.update(assigned[1].split(", "))
        if declared is not None:
            bound.add(declared[1])
    return [name for name in found if name not in _declared(lines)]


def _declared(lines: Iterable[str]) -> set[str]:
    words = ("input", "param", "buffer", "net", "block")
    return {
        line.split()[1].rstrip(":")
        for line in lines
        if line.split()[:1] and line.split()[0] in words
    }


def _give_results(lines: Sequence[str]) -> list[str]:
    """The lines of a model with what no later line reads as its outputs."""
    if any(line.startswith("output ") for line in lines):
        return list(lines)
    body, outputs = list(lines), []
    for number, line in enumerate(lines):
        assigned = _ASSIGNED.match(line)
        if assigned is None or line.startswith("net "):
            continue
        later = " ".join(lines[number + 1 :])
        names = [
            n for n in assigned[1].split(", ") if n != "_" and not re.search(rf"\b{n}\b", later)
        ]
        if names and names == [assigned[1]]:
            body[number] = f"output {line}"
        else:
            outputs += [f"output {name} = {name}" for name in names]
    return [*body, *outputs]
