"""Figures of columns that a training script fits on rows which it does not hold in memory.

Means and deviations are taken batch by batch; for other figures, medians say, the numbers of the
training rows are collected: one or a few for each row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backends.pytorch.functions import emit_function
from backends.pytorch.train.code import Function, Statement, suite
from backends.pytorch.train.column_statistics import give_figures
from backends.pytorch.train.functions import list_loader_names
from backends.pytorch.train.inlining import inline, rename_variables
from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.streaming import list_raw_columns
from compiler.data.statistics import MOMENTS, Statistic
from compiler.ir.graph import Graph
from compiler.rows.fitting import find_fitted_output, plan_passes
from compiler.rows.reading import cut_outputs
from compiler.types.tensor import DType
from compiler.writing.names import SCRIPT_GLOBALS, free_name, name_all

PIECE, MOST_ROWS = 4 << 20, 8192
"""Bytes, and rows, that are read at once, where a batch has fewer."""
FITTED = "compute_fitted"
"""What the function is called that computes what is fitted, where it is one."""


def write_fitting(script: ScriptSpec) -> Iterator[Function | list[str]]:
    """The functions that fit figures; none where rows are in memory, or nothing is fitted."""
    if not script.streams or not script.statistics:
        return
    graph = script.column_graph
    known = [s for s in script.data.statistics if s.path in script.statistics]
    methods = {statistic.method for statistic in known}
    if not methods.isdisjoint(MOMENTS):
        yield from _write_moments(script, methods)
    if "median" in methods:
        yield _write_figure("find_median", "rows.nanquantile(0.5, dim=0)", "The median")
    if "most_frequent" in methods:
        found = "rows.nan_to_num(math.inf).mode(0)[0]"
        yield _write_figure(
            "find_most_frequent", found, "The smallest of the most frequent numbers"
        )
    if "balanced" in methods:
        yield _write_weights()
    names = name_all([s.path for s in known], list_loader_names(script))
    body: list[Statement] = []
    rows = "torch.arange(len(split.chosen))"
    size = _find_size(script)
    done: list[str] = []
    for number, together in enumerate(plan_passes(graph, known)):
        shared = script.distributed and all(s.method in MOMENTS for s in together)
        own = "[RANK::WORLD]" if shared else ""
        made = _Pass(script, together, tuple(done), names, number)
        yield from made.functions
        body += [f"batches = {rows}{own}.split({size})", *made.write(shared=shared)]
        done += [statistic.path for statistic in together]
    results = ", ".join(names[path] for path in script.statistics)
    yield Function(
        "fit_figures",
        ("split: Rows",),
        "list[Tensor]",
        (*body, f"return [{results}]"),
        ("What the columns need to know of the training rows, a batch at a time.",),
    )


def _find_size(script: ScriptSpec) -> str:
    """How many rows are read at once: more than a batch where they are small."""
    columns = (c.type for c in list_raw_columns(script))
    row = sum((kind.size.known or 0) * kind.dtype.numpy.itemsize for kind in columns)
    size = min(MOST_ROWS, PIECE // max(1, row))
    return f"{size}" if size > script.train.batch else "BATCH"


class _Pass:
    """One pass through the training rows, with the figures that are fitted in it."""

    def __init__(
        self,
        script: ScriptSpec,
        statistics: Sequence[Statistic],
        done: tuple[str, ...],
        names: dict[str, str],
        number: int,
    ) -> None:
        self.script, self.statistics, self.names = script, statistics, names
        self.values = tuple(dict.fromkeys(statistic.of for statistic in statistics))
        self.graph = self._cut(done)
        self.done = done
        suffix = f"_{number + 1}" if number else ""
        self.function = free_name(f"{FITTED}{suffix}", {*SCRIPT_GLOBALS, *script.functions}, "_")
        text = emit_function(self.graph, name=self.function, nets={}).strip()
        self.inlined = inline(text, {*list_loader_names(script), *names.values()})
        self.functions = [] if self.inlined is not None else [text.split("\n")]
        taken = {*list_loader_names(script), *names.values()}
        taken |= self.inlined.variables if self.inlined is not None else set()
        self.sums = self._name_sums(taken)

    def _cut(self, done: Sequence[str]) -> Graph:
        """What is fitted, computed of raw columns and of figures that are known."""
        whole = self.script.column_graph
        first = {statistic.of: statistic for statistic in reversed(self.statistics)}
        outputs = [find_fitted_output(whole, first[of]) for of in self.values]
        part = cut_outputs(whole, outputs)
        return give_figures(part, [path for path in done if path in part.parameter])

    def _name_sums(self, taken: set[str]) -> dict[tuple[str, object], str]:
        """The variables of the moments of each value along its axes, and of collected rows."""
        found: dict[tuple[str, object], str] = {}
        for statistic in self.statistics:
            key = self._find_key(statistic)
            if key not in found:
                ending = "moments" if statistic.method in MOMENTS else "rows"
                base = name_all([statistic.path.rpartition(".")[0] or statistic.path])
                (wish,) = base.values()
                found[key] = free_name(f"{wish}_{ending}", {*taken, *found.values()}, "_")
        return found

    def _find_key(self, statistic: Statistic) -> tuple[str, object]:
        return statistic.of, statistic.joined if statistic.method in MOMENTS else None

    def write(self, *, shared: bool) -> Iterator[Statement]:
        """The statements of the pass."""
        for (_, axes), name in self.sums.items():
            kind = "list[Tensor] = []" if axes is None else "Tensor | None = None"
            yield f"{name}: {kind}"
        yield suite("for columns in read_rows(split, batches):", self._write_batch())
        for (_, axes), name in self.sums.items():
            if axes is not None and shared:
                yield f"{name} = gather_moments({name})"
        for statistic in self.statistics:
            yield f"{self.names[statistic.path]} = {self._spell(statistic)}"

    def _write_batch(self) -> Iterator[Statement]:
        inputs = [item.name for item in self.graph.inputs]
        raw = [c.name for c in list_raw_columns(self.script)]
        columns = [name for name in inputs if name in raw]
        figures = [self.names[name] for name in inputs[len(columns) :]]
        if self.inlined is None:
            given = [*(f"columns[{raw.index(name)}]" for name in columns), *figures]
            results = [*name_all([f"fitted_{n + 1}" for n in range(len(self.values))]).values()]
            yield f"{', '.join(results)} = {self.function}({', '.join(given)})"
        else:
            variables = self.inlined.parameters
            listed = dict(zip(columns, variables, strict=False))
            named = [listed.get(name, "_") for name in raw]
            yield f"{', '.join(named)} = columns" if len(raw) > 1 else f"({named[0]},) = columns"
            known = dict(zip(variables[len(columns) :], figures, strict=True))
            yield from (rename_variables(line, known) for line in self.inlined.lines)
            results = [rename_variables(text, known) for text in self.inlined.results]
        for (of, axes), name in self.sums.items():
            value = results[self.values.index(of)]
            if axes is None:
                yield f"{name}.append({value}.cpu())"
            else:
                along = (0, *axes)  # type: ignore[misc]
                yield f"{name} = add_moments({name}, {value}, {along if len(along) > 1 else 0})"

    def _spell(self, statistic: Statistic) -> str:
        """The figure, of the sums or of the rows."""
        name = self.sums[self._find_key(statistic)]
        f64 = self.script.column_graph.parameter[statistic.path].value.type.dtype is DType.F64
        cast = "" if f64 else ".float()"
        if statistic.method in MOMENTS:
            function = "find_mean" if statistic.method == "mean" else "find_spread"
            return f"{function}({name}){cast}"
        if statistic.method == "balanced":
            return f"find_class_weights({name}, {statistic.classes}).to(split.device)"
        function = "find_median" if statistic.method == "median" else "find_most_frequent"
        return f"{function}({name}){cast}.to(split.device)"


def _write_weights() -> Function:
    """The function of the weights of classes of collected labels."""
    return Function(
        "find_class_weights",
        ("parts: list[Tensor]", "classes: int"),
        "Tensor",
        (
            "counts = torch.cat(parts).flatten().bincount(minlength=classes)",
            "return counts.sum() / (classes * counts.clamp(min=1))",
        ),
        ("How much each class counts so that all count as much.",),
    )


def _write_figure(name: str, found: str, doc: str) -> Function:
    """The function of a figure of collected rows."""
    return Function(
        name,
        ("parts: list[Tensor]",),
        "Tensor",
        ("rows = torch.cat(parts).double()", f"return {found}"),
        (f"{doc} of rows in parts; what is NaN is left out.",),
    )


def _write_moments(script: ScriptSpec, methods: set[str]) -> Iterator[Function]:
    """The functions of counts, means and squared differences, which are one tensor."""
    yield Function(
        "merge_moments",
        ("one: Tensor", "other: Tensor"),
        "Tensor",
        (
            "count, share = one[0] + other[0], other[0] / (one[0] + other[0]).clamp(min=1)",
            "shift = other[1] - one[1]",
            "squares = one[2] + other[2] + shift.square() * one[0] * share",
            "return torch.stack([count, one[1] + shift * share, squares])",
        ),
        ("Count, mean and squared differences of two parts together (Chan et al. 1983).",),
    )
    yield Function(
        "add_moments",
        ("known: Tensor | None", "values: Tensor", "axes: int | tuple[int, ...]"),
        "Tensor",
        (
            "values = values.double()",
            "count = (~values.isnan()).sum(axes, keepdim=True).double()",
            "mean = values.nansum(axes, keepdim=True) / count.clamp(min=1)",
            "squares = (values - mean).square().nansum(axes, keepdim=True)",
            "moments = torch.stack([count, mean, squares]).squeeze(1)",
            "return moments if known is None else merge_moments(known, moments)",
        ),
        ("Those moments with the ones of more values; what is NaN is left out.",),
    )
    yield from _write_results(script, methods)


def _write_results(script: ScriptSpec, methods: set[str]) -> Iterator[Function]:
    """The functions that gather such moments of all processes, and make figures of them."""
    if script.distributed:
        yield Function(
            "gather_moments",
            ("moments: Tensor",),
            "Tensor",
            (
                suite("if WORLD == 1:", ["return moments"]),
                "parts = [torch.empty_like(moments) for _ in range(WORLD)]",
                "dist.all_gather(parts, moments)",
                "return reduce(merge_moments, parts)",
            ),
            ("The moments of the rows of all processes.",),
        )
    if "mean" in methods:
        yield Function(
            "find_mean",
            ("moments: Tensor",),
            "Tensor",
            ("return moments[1].where(moments[0] > 0, math.nan)",),
            ("The mean; NaN where there is no number.",),
        )
    if "scale" in methods:
        yield Function(
            "find_spread",
            ("moments: Tensor",),
            "Tensor",
            ("spread = (moments[2] / moments[0]).sqrt()", "return spread.where(spread > 0, 1)"),
            ("The standard deviation; 1 where nothing varies.",),
        )
