"""Rows that a training script keeps, before anything is divided, and draws, behind that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from backends.pytorch.train.code import Function, Statement, when
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


def draw_balanced(script: ScriptSpec, names: Mapping[str, str]) -> list[Statement]:
    """The statement that draws training rows so that all classes have as many."""
    balance = script.data.balance
    if balance is None:
        return []
    labels = f"{names[balance.column]}.numpy()"
    return [f'balanced = {name_balancing(script)}(splits["train"], {labels})']


def name_balancing(script: ScriptSpec) -> str:
    """The function that draws the rows of a data set."""
    own = script.data is not script.train.data
    return script.loader.replace("load", "balance", 1) if own else "balance_rows"


def write_balancing(script: ScriptSpec) -> Iterator[Function]:
    """The functions that draw training rows, for each data set that is balanced."""
    for each in script.sets:
        balance = each.data.balance
        if balance is None:
            continue
        size = "max" if balance.method == "repeat" else "min"
        said = (
            "The rows, those of rarer classes several times, so that all classes have as many."
            if balance.method == "repeat"
            else "As many rows of every class as the rarest has."
        )
        yield Function(
            name_balancing(each),
            ("rows: np.ndarray", "labels: np.ndarray"),
            "np.ndarray",
            (
                f"draws = np.random.default_rng({balance.seed})",
                "classes = [rows[labels[rows] == label] for label in np.unique(labels[rows])]",
                f"size = {size}(map(len, classes))",
                "drawn = [np.resize(draws.permutation(part), size) for part in classes]",
                "return np.concatenate(drawn)",
            ),
            (said,),
        )
