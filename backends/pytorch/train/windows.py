"""Windows of rows in a training script: rows brought into order, and windows cut of each split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from backends.pytorch.train.code import Function, Statement, suite, when
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.data.windows import Window
from compiler.writing.python import write_string

FIND = "find_windows"


def order_rows(script: ScriptSpec, names: Mapping[str, str]) -> list[Statement]:
    """Statements that bring raw columns, by their variables, into the order of their windows."""
    window = script.data.window
    if window is None or not window.has_order:
        return []
    given = [count for _, count in script.data.split.given]
    moved = [f"{name} = {name}[order]" for name in names.values()]
    kept = script.data.where is not None
    order = _write_order(window, names, "[keep]" if kept else "", given)
    return [f"order = {'np.flatnonzero(keep)[' * kept}{order}{']' * kept}", *moved]


def _write_order(window: Window, names: Mapping[str, str], kept: str, given: Sequence[int]) -> str:
    """The numbers of the rows in order, as `Window.sort` has them; `kept` is the index of those
    that are left."""
    keys = [f"{names[name]}{kept}.numpy()" for name in reversed(window.keys)]
    keys += when(given, "parts")
    if len(keys) == 1:
        return f'np.argsort({keys[0]}, kind="stable")'
    return f"np.lexsort([{', '.join(keys)}])"


def spell_times(script: ScriptSpec, names: Mapping[str, str]) -> str:
    """What a split goes by that is timed."""
    by = script.data.split.by
    return f"{names[by]}.numpy()" if by is not None else "order"


def cut_windows(
    script: ScriptSpec, names: Mapping[str, str], results: Sequence[str]
) -> list[Statement]:
    """Statements that return the windows of each split, of columns by their expressions; none
    where rows stay single."""
    window = script.data.window
    if window is None:
        return []
    stretches = [*_number_stretches(window, names, given=bool(script.data.split.given))]
    reached = f"[:-{window.reach}]" if window.reach else ""
    stride = f"[::{window.stride}]" if window.stride > 1 else ""
    found = (
        f"{name_finder(script)}(rows, stretches)"
        if window.has_stretches
        else f"rows{reached}{stride}"
    )
    taken = []
    for name, result in zip(script.columns, results, strict=True):
        rows = _list_offsets(window) if name in window.targets else f"np.arange({window.length})"
        index = f"first[:, None] + {rows}" if rows else f"first + {window.reach}"
        taken.append(f"{result}[{index}].to(device)")
    return [
        *stretches,
        f"starts = {{split: {found} for split, rows in splits.items()}}",
        f"return {{split: [{', '.join(taken)}] for split, first in starts.items()}}",
    ]


def _list_offsets(window: Window) -> str:
    """The rows of a target after the first of its window; empty where it is of one row."""
    found = window.offsets
    if not found:
        return ""
    if found == tuple(range(found[0], found[-1] + 1)):
        return f"np.arange({found[0]}, {found[-1] + 1})"
    return f"np.array([{', '.join(map(str, found))}])"


def _number_stretches(
    window: Window, names: Mapping[str, str], *, given: bool
) -> Iterator[Statement]:
    """Statements that leave the stretch that each row belongs to, as `Window.number_stretches`;
    none where all rows follow one another."""
    group = f"np.diff({names[window.group]}.numpy()) != 0" if window.group is not None else ""
    if not window.has_steps:
        yield from when(group, f"stretches = np.append(0, np.cumsum({group}))")
        return
    if given:  # rows of another split follow at any step
        group = f"({group}) | (np.diff(parts) != 0)" if group else "np.diff(parts) != 0"
    assert window.by is not None, "steps are those of a column"
    yield f"steps = np.diff({names[window.by]}.numpy())"
    yield from when(group, f"begins = {group}")
    inside = "steps[~begins]" if group else "steps"
    yield f"usual = np.sort({inside})[({inside}.size - 1) // 2]"
    if window.gaps == "split":
        both = "begins | (steps != usual)" if group else "steps != usual"
        yield f"stretches = np.append(0, np.cumsum({both}))"
        return
    refused = f"the steps of the column {window.by!r} are not equal"
    yield suite(f"if ({inside} != usual).any():", [f"sys.exit({write_string(refused)})"])
    yield from when(window.has_stretches, "stretches = np.append(0, np.cumsum(begins))")


def write_window_functions(script: ScriptSpec) -> Iterator[Function]:
    """The functions that find the windows of a split; none where rows stay single, or where all
    rows of a split follow one another: it is drawn at random of none."""
    for each in script.sets:
        window = each.data.window
        if window is not None and window.has_stretches:
            yield _write_window_function(each, window)


def name_finder(script: ScriptSpec) -> str:
    """The function that finds the windows of a split of a data set."""
    own = script.data is not script.train.data
    return f"{FIND}_{script.loader.removeprefix('load_').removesuffix('_rows')}" if own else FIND


def _write_window_function(script: ScriptSpec, window: Window) -> Function:
    reach = window.reach
    ahead = f", and the row {window.ahead} behind it," if window.ahead else ""
    firsts = f"[:-{reach}]" if reach else ""
    fits = [f"runs{firsts} == runs[{reach}:]"] if reach else []
    fits += [f"places{firsts} % {window.stride} == 0"] if window.stride > 1 else []
    body: list[Statement] = [
        "broken = (np.diff(rows) != 1) | (np.diff(stretches[rows]) != 0)",
        "runs = np.append(0, np.cumsum(broken))",
        *when(window.stride > 1, "places = np.arange(len(rows)) - np.searchsorted(runs, runs)"),
        f"return rows{firsts}[{' & '.join(f'({fit})' for fit in fits)}]"
        if len(fits) > 1
        else f"return rows{firsts}[{''.join(fits)}]",
    ]
    return Function(
        name_finder(script),
        ("rows: np.ndarray", "stretches: np.ndarray"),
        "np.ndarray",
        tuple(body) if fits else ("return rows",),
        (f"The first rows of the windows of {window.length}{ahead} that lie in these rows.",),
    )
