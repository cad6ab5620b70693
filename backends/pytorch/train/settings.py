"""The settings of a training: what its result follows from. A checkpoint carries them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from itertools import chain

from backends.pytorch.train.script_spec import ScriptSpec
from compiler.data.codes import describe_codes
from compiler.ir.graph import Graph
from compiler.vocabulary.signature import write_call
from compiler.writing.python import write_literal

Lines = list[str]
Setting = tuple[str, object, str]
"""Its name, its value as JSON has it, and the Python expression for it in the script."""

RESULTS = ("last.safetensors", "best.safetensors", "results.json", "metrics.jsonl")
"""Files that a training leaves; without the first there is nothing to go on with."""


OF_FIGURES = frozenset({"best epoch", "objective and metrics", "columns", "words", "split"})
"""Settings that say what is measured too: a net may be evaluated with others."""


def emit_settings(script: ScriptSpec) -> Lines:
    """The dictionary `SETTINGS`; numbers that are constants of the script stand by their names."""
    entries = [f"    {write_literal(name)}: {text}," for name, _, text in find_settings(script)]
    return ["SETTINGS = {", *entries, "}  # a checkpoint of other settings is not gone on with"]


def read_settings(script: ScriptSpec) -> dict[str, object]:
    """The settings that a script knows before it has loaded its data."""
    return {name: value for name, value, _ in find_settings(script)}


def find_settings(script: ScriptSpec) -> Iterator[Setting]:
    """Everything that changes the result but the numbers of the data, which only the script
    sees. What is too long to be read stands as a checksum."""
    train, settings = script.train, dict(script.settings)
    for name in ("seed", "batch", "epochs"):
        yield name, settings.pop(name), name.upper()
    rates = [group.optimizer.lr for group in train.groups]
    yield (
        "learning rate",
        rates if rates[1:] else rates[0],
        "LEARNING_RATES" if rates[1:] else "LEARNING_RATE",
    )
    said = {name: value for name, value in settings.items() if name in script.said}
    for name, value in said.items():
        if not isinstance(value, str):
            yield name, value, name.upper()
    if train.clip is not None:
        yield f"clip {train.clip.by}", train.clip.limit, "CLIP"
    if train.until is not None:
        yield "patience", train.until.epochs, "PATIENCE"
    for name, text in _find_texts(script):
        yield name, text, write_literal(text)


def _find_texts(script: ScriptSpec) -> Iterator[tuple[str, str]]:
    train, split = script.train, script.train.data.split
    groups = [
        write_call(g.optimizer) + (f" over {', '.join(g.patterns)}" if g.patterns else "")
        for g in train.groups
    ]
    yield "optimizer", "; ".join(groups)
    if train.regularizers:
        acting = [
            f"{write_call(r.regularizer)} over {', '.join(chain.from_iterable(r.layers))}"
            for r in train.regularizers
        ]
        yield "regularize", "; ".join(acting)
    if train.freeze:
        yield "freeze", ", ".join(train.freeze)
    for name, value in script.settings.items():
        if name in script.said and isinstance(value, str):
            yield name, value
    yield "best epoch", script.choice
    nets = [f"{net.name} {_hash_graph(net.net.graph)}" for net in train.nets]
    yield "nets", ", ".join(nets)
    yield "objective and metrics", _hash_graph(script.step)
    yield "columns", f"{', '.join(script.columns)} {_hash_graph(script.column_graph)}"
    shares = [f"{name} {share:g}" for name, share in (*split.given, *split.shares)]
    by = [f"stratified by {split.stratify}"] if split.stratify is not None else []
    apart = [f"{split.overlap} rows apart"] if split.overlap else []
    read = {item.name for item in script.column_graph.inputs}
    words = describe_codes(column for column in train.data.schema if column.name in read)
    if words:
        yield "words", json.dumps(words, ensure_ascii=False)
    yield "split", ", ".join([split.method, f"seed {split.seed}", *shares, *by, *apart])
    if script.starts:
        yield "start", script.starts
    if script.masks:
        yield "masks", script.masks


def _hash_graph(graph: Graph) -> str:
    return hashlib.sha256("\n".join(_describe(graph)).encode()).hexdigest()[:12]


def _describe(graph: Graph) -> Iterator[str]:
    """What a graph computes: not how its author called values and blocks, nor where they stand.
    Paths of parameters count, because checkpoints have them."""
    numbers: dict[str, int] = {}
    for item in graph.inputs:
        numbers[item.value.name] = len(numbers)
        yield f"{item.name} {item.value.type}"
    for parameter in graph.parameters:
        numbers[parameter.value.name] = len(numbers)
        initializer = parameter.initializer
        yield f"{parameter.path} {parameter.value.type} {initializer!r} {parameter.trainable}"
    for node in graph.nodes:
        fields = [getattr(node.op, field.name) for field in dataclasses.fields(node.op)]  # type: ignore[arg-type]
        nested = [list(_describe(f)) if isinstance(f, Graph) else repr(f) for f in fields]
        given = [None if v is None else numbers.get(v.name, v.name) for v in node.inputs]
        yield f"{node.op.name} {nested} {given}"
        for value in node.outputs:
            numbers[value.name] = len(numbers)
    yield f"{[numbers.get(output.value.name) for output in graph.outputs]}"
