"""Evaluation in a training script: sums over batches, combined once a split."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from backends.pytorch.train.batches import (
    count_split,
    find_first_column,
    place_split,
    read_split,
    take_split,
    unpack_batch,
    unpack_columns,
)
from backends.pytorch.train.code import Function, Statement, suite, when
from backends.pytorch.train.draws import COUNT, DRAWS, EVALUATION_SEED
from backends.pytorch.train.functions import (
    call_computed,
    inline_objective,
)
from backends.pytorch.train.graphs import EVALUATION_NAMES
from backends.pytorch.train.rates import compute_last_numbers
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.ir.sizes import ROWS
from compiler.program.train import MetricUse
from compiler.types.dims import Dim
from compiler.writing.names import SCRIPT_GLOBALS, free_name, name_all, safe_name
from compiler.writing.python import WIDTH, show, write_literal

Lines = list[str]

LONGEST = 80
"""Names of more characters do not fit on a line of a function."""


@dataclass(frozen=True)
class Measured:
    """Lines of `evaluate`: names of the sums, shapes of tables and of what is kept of every row,
    what is computed of a batch, what it adds to the sums, what is computed of the split, the
    figures."""

    names: tuple[str, ...]
    shapes: Mapping[str, str]
    steps: Lines
    additions: Lines
    finals: Lines
    figures: tuple[tuple[str, str], ...]  # name in the record, Python expression


def measure(
    script: ScriptSpec,
    uses: Sequence[MetricUse],
    arguments: Mapping[str, str],
    taken: Collection[str],
) -> Measured:
    """The sums and values of figures, of the variables of outputs; equal sums and steps are shared.
    No other variable has a name that is `taken`."""
    taken = {*EVALUATION_NAMES, *script.functions, *arguments.values(), *taken}
    namer = _Namer(taken)
    sums: dict[str, str] = {}
    steps: dict[str, str] = {}
    tables: dict[str, str] = {}
    kept: dict[str, str] = {}
    shapes: dict[str, str] = {}
    finals: dict[str, str] = {}
    figures = []
    single = _list_single(script, arguments)
    for use in uses:
        code = use.metric.code([name and arguments[name] for name in use.arguments])
        renamed = {"rows": "size"}
        for name, expression in code.steps:
            renamed[name] = namer.share(steps, rename(expression, renamed), name, use.name)
        results = {}
        for name, expression in code.sums:
            if expression in single:
                results[name] = "rows"
                continue
            written = rename(expression, renamed)  # a step may be what is added up
            results[name] = namer.share(sums, steps.get(written, written), name, use.name)
        for table in code.tables:
            written = rename(table.expression, renamed)
            name = results[table.name] = namer.share(tables, written, table.name, use.name)
            shapes[name] = ", ".join(map(str, table.shape))
        for item in code.kept:
            written = rename(item.expression, renamed)
            name = results[item.name] = namer.share(kept, written, item.name, use.name)
            shapes[name] = "rows" if item.width is None else f"rows, {item.width}"
        for name, expression in code.finals:
            results[name] = namer.share(finals, rename(expression, results), name, use.name)
        figures.append((use.name, rename(code.result, results)))
    lines = [f"{name} = {expression}" for expression, name in steps.items()]
    additions = [f"{name} += {expression}" for expression, name in {**sums, **tables}.items()]
    place = _find_place(script)
    additions += [f"{name}{place} = {expression}" for expression, name in kept.items()]
    gathered = [f"{name} = all_sum({name})" for name in shapes if script.distributed]
    gathered += [f"{name} = {expression}" for expression, name in finals.items()]
    names = tuple(sums.values())
    return Measured(names, shapes, lines, additions, gathered, tuple(figures))


def _find_place(script: ScriptSpec) -> str:
    """Where what is kept of a batch stands among that of all rows."""
    own = "[RANK::WORLD]" if script.distributed else ""
    batch = "[start : start + BATCH]"
    return f"{batch}{own}" if script.draws_itself else f"{own}{batch}"


def _list_single(script: ScriptSpec, arguments: Mapping[str, str]) -> set[str]:
    """How metrics spell the number of entries of what has one for each row."""
    outputs = (o for o in script.measured[0].outputs if o.name in arguments)
    return {
        f"{arguments[o.name]}.numel()"
        for o in outputs
        if o.value.type.rank == 1 and o.value.type.shape[0] == Dim.of(ROWS)
    }


@dataclass(frozen=True)
class _Namer:
    taken: set[str]

    def share(self, known: dict[str, str], expression: str, name: str, metric: str) -> str:
        """The name of an expression among those that are known, where it gets one."""
        if expression not in known:
            of_loss = metric == "loss" or metric.endswith(".loss")
            wanted = f"{metric}_{name}" if of_loss or name in self.taken else name
            known[expression] = free_name(safe_name(wanted), self.taken, "_")
            self.taken.add(known[expression])
        return known[expression]


def rename(expression: str, names: Mapping[str, str]) -> str:
    """An expression with whole words replaced."""
    if not names:
        return expression
    pattern = re.compile(rf"(?<![\w.])({'|'.join(map(re.escape, names))})\b")
    return pattern.sub(lambda found: names[found[1]], expression)


def write_evaluation(script: ScriptSpec) -> Iterator[Function]:
    """`evaluate`: loss and metrics over a split; with several data sets behind a function for the
    figures of each."""
    if len(script.leads) == 1:
        yield _write_evaluation(script, "evaluate", script.uses, _pair_rows(script))
        return
    names = name_all(script.leads)
    steps = when(script.judges_by_steps, "steps")
    calls = []
    for data, uses in script.leads.items():
        name = free_name(f"evaluate_{names[data]}", SCRIPT_GLOBALS | script.functions.keys(), "_")
        yield _write_evaluation(script, name, uses, _pair_rows(script, data))
        calls.append(f"{name}({', '.join(('model', 'columns', *steps))})")
    yield Function(
        "evaluate",
        ("model: nn.Module", "columns: list[Tensor]", *(f"{name}: int" for name in steps)),
        f"dict[str, {_type_figure(script)}]",
        (f"return {' | '.join(calls)}",),
        (f"{_name_figures(script)} over a split, of each data set over its own rows.",),
    )


def _pair_rows(script: ScriptSpec, data: str = "") -> tuple[Statement, ...]:
    """The statement that pairs the rows of a data set, the first one if none is named, with those
    of the others."""
    if not script.data.members:
        return ()
    place = find_first_column(script, data or script.data.members[0].name)
    return (f"columns = repeat_rows(columns, len(columns[{place}]))",)


def _type_figure(script: ScriptSpec) -> str:
    return "float | list[list[float]]" if script.charts else "float"


def _write_evaluation(
    script: ScriptSpec, name: str, uses: Sequence[MetricUse], paired: Sequence[Statement]
) -> Function:
    """A function of some figures of a split."""
    objective = _Objective(script, uses)
    measured = measure(script, uses, objective.names, objective.variables)
    rank = "columns = [column[RANK::WORLD] for column in columns]"
    seed = EVALUATION_SEED
    text = " ".join((*(text for _, text in measured.figures), *measured.shapes.values()))
    placed = script.distributed or measured.shapes or script.autocast or script.draws_itself
    divided = script.distributed and not script.draws_itself
    counted = re.search(r"\brows\b", text)
    count = "rows" if counted and not divided else count_split(script)
    found = {"rows": count_split(script)} if counted else {}
    found |= {"device": place_split(script)} if placed else {}
    body: list[Statement] = [
        "model.eval()",
        *paired,
        *when(found, f"{', '.join(found)} = {', '.join(found.values())}"),
        *when(divided and not script.streams, rank),
        *when(script.nets_vary, "torch.manual_seed(SEED)"),
        *when(script.draws_itself, f"{DRAWS} = torch.Generator(device).manual_seed({seed})"),
        *compute_last_numbers(script),
        *_start_sums(script, measured),
        *_write_loop(script, _write_batch(objective, measured), measured, count),
        *_read_sums(script, measured),
        *measured.finals,
    ]
    figures = [f"{write_literal(name)}: {text}" for name, text in measured.figures]
    return Function(
        name,
        (
            "model: nn.Module",
            take_split(script),
            *when(script.judges_by_steps, "steps: int"),
        ),
        f"dict[str, {_type_figure(script)}]",
        (*body, f"return {{{', '.join(figures)}}}"),
        (_describe(script, uses),),
        ("@torch.no_grad()",),
    )


def _write_loop(
    script: ScriptSpec, batch: Sequence[Statement], measured: Measured, count: str
) -> Iterator[Statement]:
    """The loop through the batches of a split of so many rows."""
    if not script.streams:
        yield suite(f"for start in range(0, {count}, BATCH):", batch)
        return
    drawn, shared = script.draws_itself, script.distributed
    own = "[RANK::WORLD]" if shared and not drawn else ""
    yield f"batches = torch.arange({count_split(script)}){own}.split(BATCH)"
    if drawn and shared:  # no row of the last batch may be left
        yield "batches = [batch for batch in batches if len(batch) > RANK]"
    read = read_split(script, "batches", shared=drawn and shared)
    if not (measured.shapes or (drawn and shared)):
        yield suite(f"for columns in {read}:", batch)
        return
    yield suite(
        f"for number, columns in enumerate({read}):",
        [*when(measured.shapes, "start = number * BATCH"), *batch],
    )


def _describe(script: ScriptSpec, uses: Sequence[MetricUse]) -> str:
    """What a function of figures says of itself."""
    if len(uses) == len(script.uses):
        return f"{_name_figures(script)} over a split."
    (data,) = (name for name, own in script.leads.items() if own == tuple(uses))
    names = ", ".join(show(use.name) for use in uses)
    return f"Figures over the rows of {show(data)}: {names}."


def _name_figures(script: ScriptSpec) -> str:
    if not script.train.learns:
        return "Metrics"
    return "Loss and metrics" if script.train.metrics else "The loss"


def _start_sums(script: ScriptSpec, measured: Measured) -> Iterator[str]:
    """Statements that start all sums at 0, as many to a line as fit, and what is kept of every
    row."""
    for name, shape in measured.shapes.items():
        yield f"{name} = torch.zeros({shape}, dtype=torch.float64, device=device)"
    line = ""
    for name in measured.names:
        if len(line) + len(name) > LONGEST:
            yield f"{line}0"
            line = ""
        line += f"{name} = "
    if line:
        yield f"{line}0"


class _Objective:
    """The objective in `evaluate`: what it is computed by, and the variables of its outputs."""

    def __init__(self, script: ScriptSpec, uses: Sequence[MetricUse]) -> None:
        self.script = script
        self.read = {name for use in uses for name in use.reads}
        self.outputs = [o.name for o in script.graph.outputs if o.name in self.read]
        self.columns = {n: place for n, place in script.column_of.items() if n in self.read}
        simple = self.outputs and not script.alternates
        inlined = inline_objective(script, self.outputs) if simple else None
        self.inlined = inlined
        self.variables = inlined.variables if inlined is not None else ()
        self.names = dict(script.argument_names)
        if inlined is not None:
            results = dict(zip(self.outputs, inlined.results, strict=True))
            self.names |= {n: text for n, text in results.items() if text.isidentifier()}
            self.names |= {n: inlined.parameters[1 + at] for n, at in self.columns.items()}

    def compute(self, column: str, *, sized: bool) -> list[Statement]:
        """Statements from a batch, whose part of one column is given, to the outputs."""
        names = self.names
        if self.inlined is None:
            return self._compute_steps(column, sized=sized)
        given = self.inlined.parameters[1:]
        used = [given[place] for place in self.columns.values()]
        results = zip(self.outputs, self.inlined.results, strict=True)
        named = [f"{names[n]} = {text}" for n, text in results if text != names[n]]
        return [
            *unpack_columns(self.script, self.inlined, [column], *used, *when(sized, given[0])),
            *self._cast([*self.inlined.lines, *named]),
            *when(sized, f"size = len({given[0]})"),
        ]

    def _compute_steps(self, column: str, *, sized: bool) -> list[Statement]:
        """Statements from a batch through the functions of all steps."""
        script, names = self.script, self.names
        columns = [names[name] for name in script.columns]
        calls: list[Statement] = []
        for made in script.judging:
            outputs = [o.name for o in made.graph.outputs]
            if self.read.isdisjoint(outputs):
                continue
            targets = ", ".join(names[o] if o in self.read else "_" for o in outputs)
            calls.append(
                _unpack(targets, call_computed(script, made), 12 if script.autocast else 8)
            )
        return [
            *unpack_batch(script, [column]),
            *self._cast(calls),
            *(
                f"{names[n]} = {columns[place]}"
                for n, place in self.columns.items()
                if names[n] != columns[place]
            ),
            *when(sized, f"size = len({columns[0]})"),
        ]

    def _cast(self, statements: Sequence[Statement]) -> Sequence[Statement]:
        cast = self.script.autocast
        return (
            [suite(f"with torch.autocast(device.type, {cast}):", statements)]
            if cast
            else statements
        )


def _unpack(targets: str, call: str, depth: int) -> str:
    """An assignment of a call with brackets where a formatter puts them."""
    if depth + len(f"{targets} = {call.partition('(')[0]}(") <= WIDTH:
        return f"{targets} = {call}"
    if depth + len(f"{targets} = (") <= WIDTH:
        return f"{targets} = ({call})"
    return f"({targets}) = {call}"


def _write_batch(objective: _Objective, measured: Measured) -> list[Statement]:
    """Statements that compute what a batch adds to the sums, and add it."""
    sized = re.search(r"\bsize\b", "\n".join((*measured.steps, *measured.additions)))
    column = "column[start : start + BATCH]"
    counted: list[Statement] = []
    if objective.script.streams:
        column = "column"
        if objective.script.distributed and objective.script.draws_itself:
            counted = [f"{COUNT} = len(batches[number])"]
    elif objective.script.distributed and objective.script.draws_itself:
        counted = [
            f"{COUNT} = len(columns[0][start : start + BATCH])",
            suite(f"if {COUNT} <= RANK:", ["break  # no row of the last batch is left"]),
        ]
        column = f"{column}[RANK::WORLD]"
    return [
        *counted,
        *objective.compute(column, sized=bool(sized)),
        *measured.steps,
        *measured.additions,
    ]


def _read_sums(script: ScriptSpec, measured: Measured) -> list[Statement]:
    """Statements that make numbers of the sums; none where figures read whole splits alone."""
    if not measured.names:
        return []
    names = ", ".join(measured.names)
    targets = names if len(measured.names) > 1 else f"({names},)"
    if script.distributed:
        sums = f"torch.tensor([{names}], dtype=torch.float64, device=device)"
        return [f"sums = {sums}", _unpack(targets, "all_sum(sums).tolist()", 4)]
    if len(measured.names) == 1:
        return [f"{names} = float({names})"]
    short = f"{names} = map(float, ({names}))"
    if len(short) + 4 <= WIDTH:
        return [short]
    return [f"sums = [{names}]", _unpack(targets, "map(float, sums)", 4)]
