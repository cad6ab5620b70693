"""Data in a training script: raw columns, column expressions, splits."""

from __future__ import annotations

import re

from backends.pytorch.script.facts import Facts
from backends.pytorch.script.names import write_literal

Lines = list[str]


def reads_folder(facts: Facts) -> bool:
    """Whether the source reads files, so that the script needs to know where they are."""
    return any("folder" in line for line in emit_loading(facts))


def emit_loading(facts: Facts) -> Lines:
    """Body of `load_columns`: the raw columns that the train needs."""
    data = facts.train.data
    wanted = {item.name for item in facts.column_graph.inputs}
    if data.split.stratify is not None:
        wanted.add(data.split.stratify)
    return list(data.source.code([c for c in data.schema if c.name in wanted]))


def emit_columns(facts: Facts) -> Lines:
    """Lines of `load_splits` that compute the columns and divide the rows."""
    inputs = [f"raw[{write_literal(item.name)}]" for item in facts.column_graph.inputs]
    computed = f"compute_columns({', '.join(inputs)})"
    if not facts.column_graph.nodes:
        by_value = {
            item.value.name: text
            for item, text in zip(facts.column_graph.inputs, inputs, strict=True)
        }
        given = [by_value[o.value.name] for o in facts.column_graph.outputs]
        lines = [f"columns = [{', '.join(given)}]"]
    elif len(facts.columns) == 1:
        lines = [f"columns = [{computed}]"]
    else:
        lines = [f"columns = {computed}"]
    return [*lines, f"splits = split_rows({', '.join(_split_parameters(facts))})"]


def emit_split(facts: Facts) -> Lines:
    """The function `split_rows`."""
    return [
        f"def split_rows({', '.join(_split_parameters(facts).values())}) -> dict[str, np.ndarray]:",
        '    """Which rows belong to which split."""',
        *(f"    {line}" for line in facts.train.data.split.code()),
    ]


def _split_parameters(facts: Facts) -> dict[str, str]:
    """What `split_rows` needs: arguments of the call, and the parameters they are given for."""
    split = facts.train.data.split
    text = "\n".join(split.code())
    found = {}
    if re.search(r"\brows\b", text):
        found["len(columns[0])"] = "rows: int"
    if split.stratify is not None:
        found[f"values[{write_literal(split.stratify)}]"] = "labels: np.ndarray"
    return found
