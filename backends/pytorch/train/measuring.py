"""Evaluation in a training script: sums over batches, combined once a split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backends.pytorch.train.code import Function, Statement, suite, when
from backends.pytorch.train.epoch import unpack_columns
from backends.pytorch.train.functions import OBJECTIVE, inline_objective
from backends.pytorch.train.models import model_argument
from backends.pytorch.train.script_spec import EVALUATION_NAMES, ScriptSpec
from compiler.writing.names import free_name, safe_name
from compiler.writing.python import WIDTH, write_literal

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


def measure(script: ScriptSpec) -> Measured:
    """The sums and figures of the loss and of every metric; equal sums and steps are shared."""
    taken = {*EVALUATION_NAMES, *script.functions, *script.argument_names.values()}
    namer = _Namer(taken)
    sums: dict[str, str] = {}
    steps: dict[str, str] = {}
    tables: dict[str, str] = {}
    kept: dict[str, str] = {}
    shapes: dict[str, str] = {}
    finals: dict[str, str] = {}
    figures = []
    for use in script.uses:
        code = use.metric.code([name and script.argument_names[name] for name in use.arguments])
        renamed = {"rows": "size"}
        for name, expression in code.steps:
            renamed[name] = namer.share(steps, rename(expression, renamed), name, use.name)
        results = {}
        for name, expression in code.sums:
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
    own = "[RANK::WORLD]" if script.distributed else ""
    additions += [
        f"{name}{own}[start : start + BATCH] = {expression}" for expression, name in kept.items()
    ]
    gathered = [f"{name} = all_sum({name})" for name in shapes if script.distributed]
    gathered += [f"{name} = {expression}" for expression, name in finals.items()]
    names = tuple(sums.values())
    return Measured(names, shapes, lines, additions, gathered, tuple(figures))


@dataclass(frozen=True)
class _Namer:
    taken: set[str]

    def share(self, known: dict[str, str], expression: str, name: str, metric: str) -> str:
        """The name of an expression among those that are known, where it gets one."""
        if expression not in known:
            wanted = f"{metric}_{name}" if metric == "loss" or name in self.taken else name
            known[expression] = free_name(safe_name(wanted), self.taken, "_")
            self.taken.add(known[expression])
        return known[expression]


def rename(expression: str, names: Mapping[str, str]) -> str:
    """An expression with whole words replaced."""
    if not names:
        return expression
    pattern = re.compile(rf"(?<![\w.])({'|'.join(map(re.escape, names))})\b")
    return pattern.sub(lambda found: names[found[1]], expression)


def write_evaluation(script: ScriptSpec) -> Function:
    """`evaluate`: loss and metrics over a split."""
    measured = measure(script)
    rank = "columns = [column[RANK::WORLD] for column in columns]"
    figure = "float | list[list[float]]" if script.charts else "float"
    text = " ".join((*(text for _, text in measured.figures), *measured.shapes.values()))
    placed = script.distributed or measured.shapes or script.autocast
    body: list[Statement] = [
        "model.eval()",
        *when(re.search(r"\brows\b", text), "rows = len(columns[0])"),
        *when(placed, "device = columns[0].device"),
        *when(script.distributed, rank),
        *_start_sums(script, measured),
        suite("for start in range(0, len(columns[0]), BATCH):", _write_batch(script, measured)),
        *_read_sums(script, measured),
        *measured.finals,
    ]
    figures = [f"{write_literal(name)}: {text}" for name, text in measured.figures]
    return Function(
        "evaluate",
        ("model: nn.Module", "columns: list[Tensor]"),
        f"dict[str, {figure}]",
        (*body, f"return {{{', '.join(figures)}}}"),
        (f"{'Loss and metrics' if script.train.metrics else 'The loss'} over a split.",),
        ("@torch.no_grad()",),
    )


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
    yield f"{line}0"


def _write_batch(script: ScriptSpec, measured: Measured) -> list[Statement]:
    """Statements that compute what a batch adds to the sums, and add it."""
    read = {name for use in script.uses for name in use.reads}
    names = script.argument_names
    outputs = [o.name for o in script.step.outputs if o.name in read]
    inlined = inline_objective(script, outputs) if outputs else None
    size = re.search(r"\bsize\b", "\n".join((*measured.steps, *measured.additions)))
    column = "column[start : start + BATCH]"
    columns = {n: place for n, place in script.column_of.items() if n in names}
    if inlined is None:
        first: list[Statement] = [f"batch = [{column} for column in columns]"]
        targets = ", ".join(
            ["loss" if "loss" in read else "_", *(names[o.name] for o in script.step.outputs[1:])]
        )
        net = "model" if script.single else model_argument(script)
        computed: list[Statement] = [f"{targets} = {OBJECTIVE}({net}, *batch)"]
        renamed = [f"{names[output]} = batch[{place}]" for output, place in columns.items()]
        counted = "size = len(batch[0])"
    else:
        given = inlined.parameters[1:]
        used = [given[place] for place in columns.values()]
        first = unpack_columns(inlined, column, *used, *when(size, given[0]))
        results = zip(outputs, inlined.results, strict=True)
        changed = {names[output]: result for output, result in results}
        changed |= {names[output]: given[place] for output, place in columns.items()}
        computed = list(inlined.lines)
        renamed = [f"{name} = {text}" for name, text in changed.items() if name != text]
        counted = f"size = len({given[0]})"
    if script.autocast:
        computed = [suite(f"with torch.autocast(device.type, {script.autocast}):", computed)]
    return [
        *first,
        *computed,
        *renamed,
        *when(size, counted),
        *measured.steps,
        *measured.additions,
    ]


def _read_sums(script: ScriptSpec, measured: Measured) -> list[Statement]:
    """Statements that make numbers of the sums."""
    names = ", ".join(measured.names)
    targets = names if len(measured.names) > 1 else f"({names},)"
    total = "all_sum(sums).tolist()" if script.distributed else "map(float, sums)"
    if len(targets) > LONGEST:
        targets = f"({targets})"
    elif len(f"    {targets} = {total}") > WIDTH:
        total = f"({total})"
    sums = f"[{names}]"
    if script.distributed:
        sums = f"torch.tensor({sums}, dtype=torch.float64, device=device)"
    return [f"sums = {sums}", f"{targets} = {total}"]
