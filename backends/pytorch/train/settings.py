"""The settings of a training: what its result follows from. A checkpoint carries them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain

from backends.pytorch.train.script_spec import ScriptSpec
from compiler.data.codes import describe_codes
from compiler.data.windows import Window
from compiler.ir.graph import Graph
from compiler.program.data import DataSet
from compiler.program.train import ParameterGroup, Train
from compiler.vocabulary.signature import write_call
from compiler.writing.python import write_literal

RESULTS = ("last.pt", "best.safetensors", "results.json", "metrics.jsonl")
"""Files that a training leaves; without the first there is nothing to go on with."""


OF_FIGURES = frozenset({"best epoch", "objective and metrics", "columns", "words", "split"})
"""Settings that say what is measured too: a net may be evaluated with others."""

CONSTANTS = "constants"
"""The entry of `SETTINGS` with the figures that stand by their names: `SEED=0 BATCH=64`."""


def emit_settings(script: ScriptSpec) -> str:
    """The dictionary `SETTINGS`: a checkpoint of other settings is not gone on with."""
    apart = {"EPOCHS"} if script.extends and script.train.learns else set()
    constants, texts = (
        " ".join(f"{{{name}=}}" for name in _find_constants(script) if name not in apart),
        _find_texts(script),
    )
    entries = [f'"{CONSTANTS}": f"{constants}"', *(['"epochs": f"{EPOCHS}"'] if apart else [])]
    entries += [f"{write_literal(name)}: {write_literal(text)}" for name, text in texts]
    return f"SETTINGS = {{{', '.join(entries)}}}"


def read_settings(script: ScriptSpec) -> dict[str, str]:
    """The settings of a script, by name."""
    constants = {_call(name): repr(value) for name, value in _find_constants(script).items()}
    return constants | dict(_find_texts(script))


def expand_settings(found: Mapping[str, object]) -> dict[str, str]:
    """The settings that a script has left, by name, as `read_settings` gives them."""
    pairs = re.findall(
        r"([A-Z][A-Z0-9_]*)=(.*?)(?= [A-Z][A-Z0-9_]*=|$)", str(found.get(CONSTANTS, ""))
    )
    texts = {name: str(text) for name, text in found.items() if name != CONSTANTS}
    return {_call(name): value for name, value in pairs} | texts


def _call(constant: str) -> str:
    """What a constant is called in messages."""
    return constant.lower().replace("_", " ")


def _find_constants(script: ScriptSpec) -> dict[str, object]:
    """The constants of the script that its result follows from."""
    train, settings = script.train, dict(script.settings)
    found: dict[str, object] = {n.upper(): settings.pop(n) for n in ("seed", "batch", "epochs")}
    rates = [group.optimizer.lr for group in train.groups]
    if rates[1:]:
        found["LEARNING_RATES"] = rates
    elif rates:
        found["LEARNING_RATE"] = rates[0]
    else:
        del found["EPOCHS"]
    for name, value in settings.items():
        if name in script.said and not isinstance(value, str | bool):
            found[name.upper()] = value
    if train.clip is not None:
        found["CLIP"] = train.clip.limit
    if train.until is not None:
        found["PATIENCE"] = train.until.epochs
    return found


def _find_texts(script: ScriptSpec) -> Iterator[tuple[str, str]]:
    train = script.train
    yield from _describe_steps(train)
    yield from _describe_state(script)
    for name, value in script.settings.items():
        if name in script.said and isinstance(value, str | bool):
            yield name, str(value).lower() if isinstance(value, bool) else value
    if train.learns:
        yield "best epoch", script.choice
    nets = [f"{net.name} {_hash_graph(net.net.graph)}" for net in train.nets]
    yield "nets", ", ".join(nets)
    yield "objective and metrics", _hash_graph(script.graph)
    yield from _describe_rows(script)
    if script.starts:
        yield "start", script.starts
    if script.masks:
        yield "masks", script.masks


def _describe_steps(train: Train) -> Iterator[tuple[str, str]]:
    """What lowers what."""
    if train.clip is not None:
        yield "clipped", train.clip.by
    for step in train.steps:
        called = f" {step.name}" if step.name else ""
        yield f"optimizer{called}", "; ".join(map(_describe_group, step.groups))
        if step.over:
            yield f"over{called}", ", ".join(step.over)
        if step.every > 1:
            yield f"every{called}", str(step.every)
    if train.regularizers:
        acting = [
            f"{write_call(r.regularizer)} over {', '.join(chain.from_iterable(r.layers))}"
            for r in train.regularizers
        ]
        yield "regularize", "; ".join(acting)


def _describe_state(script: ScriptSpec) -> Iterator[tuple[str, str]]:
    """What a training holds beside what its steps change, and what stays as it is."""
    train = script.train
    for sample, made in zip(train.samples, script.samples, strict=True):
        shown = f"[{sample.low}, {sample.high}]"
        yield f"sample {sample.name}", f"{sample.every} {shown} {_hash_graph(made.graph)}"
    for net in script.followers:
        assert net.average is not None, "it follows another"
        yield f"average {net.name}", f"{write_call(net.average)} of {net.source.removesuffix('.')}"
    if train.checkpoint is not None:
        yield "checkpoint", "within epochs"
    if train.buffers:
        yield "buffers", ", ".join(_describe_buffers(script))
    if train.updates:
        yield "updates", _hash_graph(script.updated)
    if train.freeze:
        yield "freeze", ", ".join(train.freeze)
    for thaw in train.thaws:
        yield f"freeze until epoch {thaw.epochs}", ", ".join(thaw.patterns)


def _describe_rows(script: ScriptSpec) -> Iterator[tuple[str, str]]:
    """The rows that it is trained on."""
    data = script.data
    yield "columns", f"{', '.join(script.columns)} {_hash_graph(script.column_graph)}"
    if script.augmentation is not None:
        graph = script.augmentation.graph
        changed = ", ".join(output.name for output in graph.outputs)
        yield "augmentation", f"{changed} {_hash_graph(graph)}"
    read = {item.name for item in script.column_graph.inputs}
    words = describe_codes(column for column in data.schema if column.name in read)
    if words:
        yield "words", json.dumps(words, ensure_ascii=False)
    kept = [_hash_graph(part.where) for part in data.parts if part.where is not None]
    if kept:
        yield "where", "; ".join(kept)
    drawn = [f"{b.column} by {b.method}, seed {b.seed}" for p in data.parts if (b := p.balance)]
    if drawn:
        yield "balance", "; ".join(drawn)
    windows = [(part, part.window) for part in data.parts if part.window is not None]
    if windows:
        named = (f"{part.name} " if data.members else "" for part, _ in windows)
        texts = (_describe_window(window) for _, window in windows)
        yield "window", "; ".join(map("".join, zip(named, texts, strict=True)))
    yield "split", "; ".join(_describe_split(part, len(data.parts)) for part in data.parts)


def _describe_split(data: DataSet, among: int) -> str:
    split = data.split
    named = [data.name] if among > 1 else []
    shares = [f"{name} {share:g}" for name, share in (*split.given, *split.shares)]
    by = [f"stratified by {split.stratify}"] if split.stratify is not None else []
    by += [f"by {split.by}"] if split.by is not None else []
    by += [f"group {split.group}"] if split.group is not None else []
    apart = [f"{split.overlap} rows apart"] if split.overlap else []
    return ", ".join([*named, split.method, f"seed {split.seed}", *shares, *by, *apart])


def _describe_window(window: Window) -> str:
    """How rows become windows."""
    targets = (
        f", {', '.join(window.targets)} {window.describe_ahead()} ahead" if window.targets else ""
    )
    keys = [f"by {window.by}, gaps {window.gaps}"] if window.by is not None else []
    keys += [f"group {window.group}"] if window.group is not None else []
    keys += [f"stride {window.stride}"] if window.stride > 1 else []
    return ", ".join([f"{window.length} rows{targets}", *keys])


def _describe_buffers(script: ScriptSpec) -> Iterator[str]:
    for buffer in script.train.buffers:
        computed = script.beginnings.get(buffer.path)
        start = write_call(buffer.initializer) if computed is None else _hash_graph(computed.graph)
        yield f"{buffer.path} {buffer.value.type} {start}"


def _describe_group(group: ParameterGroup) -> str:
    over = f" over {', '.join(group.patterns)}" if group.patterns else ""
    return f"{write_call(group.optimizer)}{over}"


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
