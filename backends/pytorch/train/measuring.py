"""Evaluation in a training script: sums over batches, combined once a split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backends.pytorch.train.script_spec import EVALUATION_NAMES, ScriptSpec
from compiler.writing.names import free_name, safe_name
from compiler.writing.python import write_literal

Lines = list[str]

WIDTH = 88
"""Columns of a line of a script."""

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
    additions += [
        f"{name}[RANK::WORLD][start : start + BATCH] = {expression}"
        for expression, name in kept.items()
    ]
    gathered = [f"{name} = all_sum({name})" for name in shapes]
    gathered += [f"{name} = {expression}" for expression, name in finals.items()]
    names = tuple(sums.values())
    return Measured(names, shapes, lines, additions, gathered, tuple(figures))


def start_sums(measured: Measured) -> Iterator[str]:
    """Lines that start all sums at 0, as many to a line as fit, and what is kept of every row."""
    for name, shape in measured.shapes.items():
        yield f"{name} = torch.zeros({shape}, dtype=torch.float64, device=device)"
    line = ""
    for name in measured.names:
        if len(line) + len(name) > LONGEST:
            yield f"{line}0"
            line = ""
        line += f"{name} = "
    yield f"{line}0"


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


def emit_batch(script: ScriptSpec) -> Lines:
    """Lines that name the columns of a batch that metrics read."""
    names = script.argument_names
    return [
        f"{names[output]} = batch[{place}]"
        for output, place in script.column_of.items()
        if output in names
    ]


def emit_additions(script: ScriptSpec) -> Lines:
    """Lines that add a batch to the sums."""
    measured = measure(script)
    text = "\n".join(measured.additions)
    size = ["size = len(batch[0])"] if re.search(r"\bsize\b", text) else []
    return [*emit_batch(script), *size, *measured.steps, *measured.additions]


def emit_figures(script: ScriptSpec) -> Lines:
    """Lines that read the sums and return the figures of the split."""
    measured = measure(script)
    names = ", ".join(measured.names)
    targets = names if len(measured.names) > 1 else f"({names},)"
    total = "all_sum(sums).tolist()"
    if len(targets) > LONGEST:
        read = [f"({targets}) = {total}"]
    elif len(f"    {targets} = {total}") > WIDTH >= len(f"    {targets} = all_sum("):
        read = [f"{targets} = all_sum(", "    sums", ").tolist()"]
    elif len(f"    {targets} = {total}") > WIDTH:
        read = [f"{targets} = (", f"    {total}", ")"]
    else:
        read = [f"{targets} = {total}"]
    figures = [f"{write_literal(name)}: {text}" for name, text in measured.figures]
    return [
        f"sums = torch.tensor([{names}], dtype=torch.float64, device=device)",
        *read,
        *measured.finals,
        f"return {{{', '.join(figures)}}}",
    ]


def emit_sizes(script: ScriptSpec) -> Lines:
    """Lines that name the rows of the split, where a figure reads them, and the device."""
    measured = measure(script)
    text = " ".join(figure for _, figure in measured.figures)
    if re.search(r"\brows\b", " ".join([text, *measured.shapes.values()])):
        return ["rows, device = len(columns[0]), columns[0].device"]
    return ["device = columns[0].device"]


def emit_outputs(script: ScriptSpec) -> str:
    """Targets of the call of the objective in `evaluate`."""
    read = {name for use in script.uses for name in use.reads}
    names = [script.argument_names[o.name] for o in script.step.outputs[1:]]
    targets = ", ".join(["loss" if "loss" in read else "_", *names])
    indent = 8 if script.train.precision == "f32" else 12
    return f"({targets})" if indent + len(f"{targets} = compute_loss(") > WIDTH else targets
