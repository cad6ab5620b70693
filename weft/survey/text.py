"""A survey as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from compiler.data.summary import ColumnSummary
from weft.survey.survey import Survey, Target

MOST_COLUMNS = 200
"""Columns of a table that are printed."""
MOST_CLASSES = 30
"""Classes of a target that are printed."""
MOST_ASSOCIATED = 12
"""Columns that are printed beside a target."""


def describe_survey(survey: Survey) -> Iterator[str]:
    """Lines about rows, columns, targets and copies."""
    yield f"{survey.name}: {survey.rows.describe()}"
    yield from describe_columns(survey.columns)
    for target in survey.targets:
        yield from _describe_target(target, survey)
    yield ""
    yield from describe_copies(survey)


def describe_columns(columns: Sequence[ColumnSummary]) -> Iterator[str]:
    """A table with a line for each column of a source."""
    rows = [("column", "kind", "type", "range", "missing", "examples")]
    for column in columns[:MOST_COLUMNS]:
        examples = ", ".join(" ".join(text.split())[:30] for text in column.examples)
        missing = f"{column.missing:,}" if column.missing else "-"
        rows.append(
            (column.name, column.kind, column.type, column.range or "-", missing, examples or "-")
        )
    yield from lay_out(rows)
    if len(columns) > MOST_COLUMNS:
        yield f"  and {len(columns) - MOST_COLUMNS:,} more columns"


def lay_out(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table whose columns begin under each other."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"  {line.rstrip()}"


def _describe_target(target: Target, survey: Survey) -> Iterator[str]:
    yield ""
    yield f"target {target.column}:"
    if target.classes:
        yield from lay_out([*list_classes(target.classes[:MOST_CLASSES], target.counts)])
        if len(target.classes) > MOST_CLASSES:
            yield f"  and {len(target.classes) - MOST_CLASSES:,} more classes"
    shown = target.associations[:MOST_ASSOCIATED]
    if shown:
        yield f"  what goes together with it, in {survey.looked_at:,} rows:"
        yield from lay_out([(a.column, f"{a.value:.3f}", a.measure) for a in shown])
    if len(target.associations) > MOST_ASSOCIATED:
        yield f"  and {len(target.associations) - MOST_ASSOCIATED:,} columns less so"


def list_classes(
    classes: Sequence[str], counts: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[str, ...]]:
    """The rows of a table of classes: how many rows of each split, and which part of it."""
    yield ("class", *counts)
    for number, name in enumerate(classes):
        cells = (
            f"{found[number]:,} ({found[number] / max(1, sum(found)):.1%})"
            for found in counts.values()
        )
        yield (name, *cells)


def describe_copies(survey: Survey) -> Iterator[str]:
    """Lines about rows that stand several times."""
    copies = survey.copies
    if copies is None:
        yield "copies of rows: not looked for"
        return
    parts = [f"{count:,} in {split}" for split, count in copies.within.items() if count]
    parts += [
        f"{count:,} rows of {split} stand in train too"
        for split, count in copies.among_training.items()
        if count
    ]
    yield f"copies of rows, by what is read: {', '.join(parts) if parts else 'none'}"
