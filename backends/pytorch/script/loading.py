"""Data in a training script: raw columns, column expressions, splits."""

from __future__ import annotations

from backends.pytorch.script.facts import Facts
from backends.pytorch.script.names import write_literal
from compiler.program import Split

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
    return [*lines, f"splits = split_rows({_split_argument(facts.train.data.split)})"]


def _split_argument(split: Split) -> str:
    if split.stratify is None:
        return "len(columns[0])"
    return f"values[{write_literal(split.stratify)}]"


def emit_split(facts: Facts) -> Lines:
    """The function `split_rows`."""
    split = facts.train.data.split
    order = "np.arange(rows)"
    if split.method == "random":
        order = f"np.random.default_rng({split.seed}).permutation(rows)"
    return [
        "def split_rows(rows: int) -> dict[str, np.ndarray]:",
        '    """Which rows belong to which split."""',
        f"    order = {order}",
        "    return {",
        *(f"        {write_literal(name)}: {part}," for name, part in _parts(split)),
        "    }",
    ]


def _parts(split: Split) -> list[tuple[str, str]]:
    """Names of splits and slices of `order`."""
    parts, begin, shares = [], "", 0.0
    for number, (name, share) in enumerate(split.shares):
        shares += share
        last = number == len(split.shares) - 1
        whole = last and abs(shares - 1) < 1e-9
        end = "" if whole else _boundary(shares)
        parts.append((name, _slice(begin, end)))
        begin = end
    return parts


def _slice(begin: str, end: str) -> str:
    complex_bound = any("(" in text for text in (begin, end))
    middle = " : " if complex_bound and begin and end else ":"
    if complex_bound and not (begin and end):
        middle = " :" if begin else ": "
    return f"order[{begin}{middle}{end}]"


def _boundary(share: float) -> str:
    return str(int(share)) if share > 1 else f"round({round(share, 12)!r} * rows)"
