"""Rows that a training script keeps: the conditions of `where`, before anything is divided."""

from __future__ import annotations

from collections.abc import Mapping

from backends.pytorch.train.code import Statement, when
from backends.pytorch.train.functions import inline_conditions, name_conditions
from backends.pytorch.train.script_spec import ScriptSpec


def choose_rows(script: ScriptSpec, names: Mapping[str, str]) -> list[Statement]:
    """Statements that keep rows of raw columns, by their variables, and number the splits that
    the source brings, where these do not stay as long as they were. Where rows are brought into
    order besides, they are left out there."""
    data = script.data
    given = [count for _, count in data.split.given]
    parts = bool(given) and (data.where is not None or data.window is not None)
    numbered = when(parts, f"parts = np.repeat(np.arange({len(given)}), {given})")
    if data.where is None:
        return [*numbered]
    read = {item.name: names[item.name] for item in data.where.inputs}
    inlined = inline_conditions(script, read, {*names.values()})
    if inlined is None:
        made = [f"keep = {name_conditions(script)}({', '.join(read.values())})"]
    else:
        made = [*inlined.lines, f"keep = {inlined.results[0]}"]
    ordered = data.window is not None and data.window.has_order
    kept = [] if ordered else [f"{name} = {name}[keep]" for name in names.values()]
    return [*numbered, *made, *kept, *when(parts, "parts = parts[keep.numpy()]")]
