"""Plain baselines of a search: each pass with one strength for all layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.compression.base import CompressionPass
from compiler.compression.search.sites import Family, list_strengths, sort_passes
from compiler.compression.search.trials import Trials, Tried
from compiler.compression.wording import describe_pass
from compiler.diagnostics import CompileError

Ladder = tuple[tuple[CompressionPass, ...], ...]
"""Settings of the whole net, weakest first: the passes of each in order."""


NEIGHBOURS = 2
"""Weaker settings that are tried beside what bisection found: latency is not monotonic, because
kernels like some widths better than the next smaller ones."""


def list_ladders(families: Sequence[Family]) -> Iterator[Ladder]:
    """What is tried with one strength for all layers: each family alone, and beside each other
    family that has one setting only."""
    ladders = [list_strengths(family) for family in families]
    for ladder in ladders:
        yield tuple((setting,) for setting in ladder)
    for number, ladder in enumerate(ladders):
        for other_number, other in enumerate(ladders):
            # Two families of one setting each make one pair; two of one name are alternatives.
            twice = len(ladder) == 1 and other_number < number
            if len(other) == 1 and not twice and other[0].name != ladder[0].name:
                yield tuple(tuple(sort_passes((s, *other))) for s in ladder)


def count_trials(ladder: Ladder) -> int:
    """How many nets are measured at most to find the weakest setting that keeps the goals."""
    return len(ladder).bit_length() + (NEIGHBOURS if len(ladder) > 1 else 0)


def measure_baselines(families: Sequence[Family], trials: Trials) -> list[Tried]:
    """The weakest setting of every ladder that keeps every goal; nothing of those that have none,
    and nothing at all where the net keeps the goals as it is."""
    if not trials.find_missed(trials.base):
        return []
    found: list[Tried] = []
    ladders = list(list_ladders(families))
    for number, ladder in enumerate(ladders):
        trials.tell("trying one strength for all layers", number, len(ladders))
        tried = find_weakest(ladder, trials)
        if tried is not None:
            found.append(tried)
    return found


def find_weakest(ladder: Ladder, trials: Trials) -> Tried | None:
    """The weakest setting that keeps every goal, by bisection and a look at its neighbours; None
    where the strongest does not."""
    kept: dict[int, Tried | None] = {}

    def keeps(place: int) -> bool:
        tried = _try(ladder[place], trials)
        held = tried is not None and not trials.find_missed(tried.figures)
        kept[place] = tried if held else None
        return held

    low, high = 0, len(ladder) - 1
    while low <= high:
        middle = (low + high) // 2
        low, high = (low, middle - 1) if keeps(middle) else (middle + 1, high)
    for place in [p for p in range(low - 1, -1, -1) if p not in kept][:NEIGHBOURS]:
        keeps(place)
    return next((kept[place] for place in sorted(kept) if kept[place] is not None), None)


def _try(passes: Sequence[CompressionPass], trials: Trials) -> Tried | None:
    """The measured net; None where a pass cannot do it, for the reason in the journal."""
    name = f"baseline {' -> '.join(map(describe_pass, passes))}"
    try:
        return trials.try_together(name, passes)
    except CompileError as error:
        reason = "; ".join(message.title() for message in error.messages)
        trials.note("", "", f"{name}: {reason}")
        return None
