"""The rows of a variant in the report: its contract, and figures beside the net before any pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compiler.compression.base import pass_of
from compiler.compression.contracts import Judgement, Verdict
from compiler.compression.requirements import find_all
from compiler.compression.wording import (
    describe_figures,
    describe_pass,
    describe_requirement,
    format_seconds,
    format_value,
)
from compiler.report.diagnostics import CompileError
from compiler.types.units import format_size
from weft.building.outcomes import SPREAD_ERROR, Outcome
from weft.building.plan import Plan
from weft.building.report import Section
from weft.deployed.loaded import list_loaded
from weft.deployed.sizing import describe_sizes


def describe_unfinished(items: Sequence[str], error: CompileError) -> Section:
    """The section of what a failed build did not finish: the item that failed, and the rest."""
    reasons = [f"{m.code}: {m.text.title}: {m.text.label}" for m in error.messages]
    rows = [(items[0], "; ".join(reasons)), *((item, "not begun") for item in items[1:])]
    return Section("not finished", tuple(rows), {"unfinished": list(items)})


def describe_weights(plan: Plan, folder: Path, results: Path) -> Iterator[Section]:
    """A section for each net that loads weights from elsewhere: files, commits, what was left out
    of them by a rule."""
    parts = [(part.name, part.net) for train in plan.trains for part in train.nets]
    parts += [(v.net, v.source) for v in plan.variants if v.source is not None]
    parts += [(deploy.net.name, deploy.net) for deploy in plan.deploys if deploy.net is not None]
    for name, net in dict(parts).items():
        found = list(list_loaded(net, folder, results))
        if not found:
            continue
        rows = [("loaded from", "; ".join(file.source for file in found))]
        left_out = [file.omissions for file in found if file.left_out]
        if left_out:
            rows.append(("left out by rule", "; ".join(left_out)))
        yield Section(f"weights {name}", tuple(rows), {"loaded": [asdict(file) for file in found]})


def describe_outcome(outcome: Outcome) -> Section:
    """The section of a variant."""
    return Section(
        f"variant {outcome.variant.name} of {outcome.base}",
        tuple(_find_rows(outcome)),
        _find_facts(outcome),
    )


def _find_rows(outcome: Outcome) -> Iterator[tuple[str, str]]:
    own, base = outcome.own, outcome.figures[outcome.base]
    passes = " -> ".join(describe_pass(pass_of(step)) for step in outcome.variant.steps)
    yield "passes", passes or "none"
    yield "file", str(outcome.path)
    size, before = own.plain["size"].value, base.plain["size"].value
    yield "size", f"{format_size(size)} of {format_size(before)}{describe_change(size, before)}"
    yield "parameters", f"{own.plain['params'].value:,.0f} of {base.plain['params'].value:,.0f}"
    yield "FLOPs", f"{own.plain['flops'].value:,.0f} of {base.plain['flops'].value:,.0f}"
    needed, before = (int(found.plain["memory"].value) for found in (own, base))
    yield "memory", f"{format_size(needed)} of {format_size(before)}"
    yield "latency", describe_latency(outcome)
    error, of_spread = (own.plain[name].value for name in ("error", SPREAD_ERROR))
    yield "output error", f"{error:.2%}, {of_spread:.2%} of the spread of the outputs"
    for split, metrics in own.splits.items():
        shown = (
            f"{name} {m.value:.4f} (was {base.splits[split][name].value:.4f})"
            for name, m in metrics.items()
        )
        yield f"{split}, ONNX file", ", ".join(shown)
    yield "verified", describe_verification(outcome.verified)
    for other in outcome.others:
        said = describe_verification(other.verified)
        yield f"deploy {other.deploy}", f"{other.path}, {format_size(other.size)}; {said}"
    yield "code", str(outcome.path.parent / outcome.variant.name / "model.py")
    if outcome.synthetic and outcome.variant.steps:
        yield "data", "none: passes saw synthetic inputs"
    for judgement in outcome.judgements:
        yield (
            f"require {describe_requirement(judgement.requirement)}",
            describe_judgement(judgement, outcome),
        )


def _warn(outcome: Outcome, judgement: Judgement) -> str:
    """What is to be known beside a metric that holds."""
    metric = any(figure.split is not None for figure in find_all(judgement.requirement))
    if judgement.verdict is Verdict.FAIL or not metric or not outcome.has_large_error:
        return ""
    return f"; but outputs differ by {outcome.own.plain[SPREAD_ERROR].value:.0%} of their spread"


def describe_change(size: float, before: float) -> str:
    """`: 4.6 times smaller`, `: 1.3 times larger`; nothing where it is about the same."""
    times = f"{max(size, before) / min(size, before):.1f}"
    if times == "1.0":
        return ""
    return f": {times} times {'smaller' if size < before else 'larger'}"


def explain_outcome(outcome: Outcome) -> Iterator[str]:
    """What each pass did to each layer, and why not more."""
    yield f"variant {outcome.variant.name}"
    known = {note.path for note in outcome.journal}
    for path in sorted(known):
        yield f"  {path or 'the whole net'}"
        for note in outcome.journal:
            if note.path != path:
                continue
            figures = describe_figures(note.figures)
            text = note.done or "left as it is"
            text += f": {note.reason}" if note.reason else ""
            yield f"    {note.step}: {text}" + (f" ({figures})" if figures else "")


def describe_latency(outcome: Outcome) -> str:
    """`0.021 ms of 0.044 ms: 0.48 at batch=64 (target); cpu, 1 thread`."""
    own = outcome.own.plain["latency"]
    base = outcome.figures[outcome.base].plain["latency"]
    return (
        f"{format_seconds(own.value)} of {format_seconds(base.value)}:"
        f" {own.value / base.value:.2f} at {describe_conditions(outcome.conditions)}"
    )


def describe_conditions(metadata: Mapping[str, Any]) -> str:
    """`batch=64 (target), t=128 (a row of text), cpu, 1 thread`: how a latency was measured."""
    threads = f"{metadata['threads']} thread{'' if metadata['threads'] == 1 else 's'}"
    return f"{describe_sizes(metadata['sizes'])}; {metadata['device']}, {threads}"


def describe_verification(metadata: Mapping[str, Any]) -> str:
    """`NumPy, PyTorch and ONNX Runtime agree on 6 inputs: …`."""
    if metadata.get("off"):
        return "NOT VERIFIED: the spec says `verify off`"
    return (
        f"NumPy, PyTorch and ONNX Runtime agree on {metadata['cases']} inputs:"
        f" nearest to its limit: off by {metadata['error']:.1e} (allowed {metadata['allowed']:.1e})"
    )


def describe_judgement(judgement: Judgement, outcome: Outcome) -> str:
    """`pass: 0.9722 against 0.9700, 95 % interval 0.9552 to 0.9892, n = 180`."""
    left = judgement.requirement.left
    shown = format_value(judgement.left, left)
    bound = format_value(judgement.right, left)
    text = f"{judgement.verdict.value}: {shown} against {bound}"
    if judgement.shown is not None:
        low, high = judgement.shown
        text += f", 95 % interval {format_value(low, left)} to {format_value(high, left)}"
    if judgement.rows:
        text += f", n = {judgement.rows:,}"
    if judgement.needed is not None:
        text += f": undecidable at this n, {judgement.needed:,} rows would decide"
    return text + _warn(outcome, judgement)


def _find_facts(outcome: Outcome) -> dict[str, Any]:
    return {
        "variant": outcome.variant.name,
        "base": outcome.base,
        "file": str(outcome.path),
        "passes": [describe_pass(pass_of(step)) for step in outcome.variant.steps],
        "figures": {name: found.metadata() for name, found in outcome.figures.items()},
        "latency": dict(outcome.conditions),
        "others": [
            {
                "deploy": other.deploy,
                "file": str(other.path),
                "size": other.size,
                "verified": dict(other.verified),
            }
            for other in outcome.others
        ],
        "synthetic": outcome.synthetic,
        "verified": dict(outcome.verified),
        "contract": [_encode(judgement) for judgement in outcome.judgements],
        "layers": [asdict(row) for row in outcome.layers],
        "journal": [
            {
                "step": note.step,
                "path": note.path,
                "done": note.done,
                "reason": note.reason,
                "figures": dict(note.figures),
                "trial": note.trial,
            }
            for note in outcome.journal
        ],
    }


def _encode(judgement: Judgement) -> dict[str, Any]:
    return {
        "require": describe_requirement(judgement.requirement),
        "verdict": judgement.verdict.value,
        "left": judgement.left,
        "right": judgement.right,
        "gap": judgement.gap,
        "interval": judgement.shown,
        "rows": judgement.rows,
        "rows_needed": judgement.needed,
    }
