"""Evaluation in a training script: sums over batches, combined once a split."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from backends.pytorch.script.facts import RESERVED, Facts
from backends.pytorch.script.names import to_identifier, write_literal

Lines = list[str]


@dataclass(frozen=True)
class Measured:
    """Lines of `evaluate`: names of the sums, what each batch adds to them, the figures."""

    names: tuple[str, ...]
    additions: Lines
    figures: tuple[tuple[str, str], ...]  # name in the record, Python expression


def measure(facts: Facts) -> Measured:
    """The sums and figures of the loss and of every metric; equal sums are shared."""
    taken = set(RESERVED) | set(facts.argument_names.values())
    sums: dict[str, str] = {"loss.double() * size": "total_loss"}
    taken.add("total_loss")
    figures = [("loss", "total_loss / rows")]
    for use in facts.train.metrics:
        code = use.metric.code([facts.argument_names[name] for name in use.arguments])
        renamed: dict[str, str] = {}
        for name, expression in code.sums:
            expression = rename(expression, {"rows": "size"})
            if expression not in sums:
                wanted = name if name not in taken else f"{use.name}_{name}"
                sums[expression] = to_identifier(wanted, taken)
                taken.add(sums[expression])
            renamed[name] = sums[expression]
        figures.append((use.name, rename(code.result, renamed)))
    additions = [f"{name} += {expression}" for expression, name in sums.items()]
    return Measured(tuple(sums.values()), additions, tuple(figures))


def rename(expression: str, names: Mapping[str, str]) -> str:
    """An expression with whole words replaced."""
    if not names:
        return expression
    pattern = re.compile(rf"(?<![\w.])({'|'.join(map(re.escape, names))})\b")
    return pattern.sub(lambda found: names[found[1]], expression)


def emit_batch(facts: Facts) -> Lines:
    """Lines that name the columns of a batch that metrics read."""
    names = facts.argument_names
    return [
        f"{names[output]} = batch[{place}]"
        for output, place in facts.column_of.items()
        if output in names
    ]


def emit_additions(facts: Facts) -> Lines:
    """Lines that add a batch to the sums."""
    measured = measure(facts)
    text = "\n".join(measured.additions)
    size = ["size = len(batch[0])"] if re.search(r"\bsize\b", text) else []
    return [*emit_batch(facts), *size, *measured.additions]


def emit_figures(facts: Facts) -> Lines:
    """Lines that read the sums and return the figures of the split."""
    measured = measure(facts)
    names = ", ".join(measured.names)
    targets = names if len(measured.names) > 1 else f"({names},)"
    lines = [
        f"sums = torch.tensor([{names}], dtype=torch.float64, device=device)",
        f"{targets} = all_sum(sums).tolist()",
    ]
    figures = [f"{write_literal(name)}: {text}" for name, text in measured.figures]
    return [*lines, f"return {{{', '.join(figures)}}}"]


def emit_outputs(facts: Facts) -> str:
    """Targets of the call of the objective in `evaluate`."""
    names = [facts.argument_names[o.name] for o in facts.step.outputs[1:]]
    return ", ".join(["loss", *names])
