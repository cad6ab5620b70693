"""Plain baselines of a search: each pass with one strength for all layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product

from compiler.compression.base import CompressionPass
from compiler.compression.search.sites import Family, list_scales, list_settings, sort_passes
from compiler.compression.search.trials import Trials, Tried
from compiler.compression.wording import describe_pass
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError

NEIGHBOURS = 2
"""Weaker settings that are tried beside what bisection found: latency is not monotonic, because
kernels like some widths better than the next smaller ones."""
TIMED = 15
"""Settings of a ladder that may be timed; all of them are counted."""

Setting = tuple[CompressionPass, ...]
"""Passes for the whole net, in order."""


@dataclass(frozen=True)
class Ladder:
    """Settings of the whole net, weakest first: one scale of a family, beside `fixed` passes of
    others. `leader` is the number of the ladder with the first scale of the same passes."""

    settings: tuple[Setting, ...]
    fixed: Setting
    leader: int | None = None


def list_ladders(families: Sequence[Family]) -> list[Ladder]:
    """What is tried with one strength for all layers: each family alone, and beside the other
    families that have one setting only."""
    scales = [list_scales(family) for family in families]
    single = [settings[0] for (settings, *_) in scales if len(settings) == 1]
    ladders = [Ladder((passes,), ()) for passes in _join(single)]
    for (first, *others), family in zip(scales, families, strict=True):
        if len(first) == 1:
            continue
        name = list_settings(family)[0].name
        for fixed in ((), *_join([one for one in single if one.name != name])):
            leader = len(ladders)
            ladders.append(_put_beside(first, fixed))
            ladders += [_put_beside(scale, fixed, leader) for scale in others]
    return ladders


def _join(single: Sequence[CompressionPass]) -> Iterator[Setting]:
    """Every choice of passes with different names, few first; two of one name are alternatives."""
    names = dict.fromkeys(one.name for one in single)
    columns = [[None, *(one for one in single if one.name == name)] for name in names]
    joined = [[one for one in picks if one is not None] for picks in product(*columns)]
    for passes in sorted(joined, key=len):
        if passes:
            yield tuple(sort_passes(passes))


def _put_beside(
    scale: Sequence[CompressionPass], fixed: Setting, leader: int | None = None
) -> Ladder:
    return Ladder(tuple(tuple(sort_passes((one, *fixed))) for one in scale), fixed, leader)


def count_trials(ladder: Ladder) -> int:
    """How many nets are measured at most to find the weakest setting that keeps the goals."""
    if len(ladder.settings) == 1 or ladder.leader is not None:
        return 1
    return TIMED.bit_length() + NEIGHBOURS


def measure_baselines(families: Sequence[Family], trials: Trials) -> list[Tried]:
    """The weakest setting of every ladder that keeps every goal; nothing of those that have none,
    and nothing at all where the net keeps the goals as it is."""
    if not trials.find_missed(trials.base):
        return []
    found: list[Tried | None] = []
    enough: list[Setting] = []
    ladders = list_ladders(families)
    for number, ladder in enumerate(ladders):
        trials.tell("trying one strength for all layers", number, len(ladders))
        tried = None
        if ladder.fixed not in enough:
            leader = found[ladder.leader] if ladder.leader is not None else None
            tried = find_weakest(ladder, trials, leader)
        found.append(tried)
        if tried is not None and len(ladder.settings) == 1:
            enough.append(ladder.settings[0])
    return _drop_equal([tried for tried in found if tried is not None])


def _drop_equal(baselines: Sequence[Tried]) -> list[Tried]:
    """Each net once: a pass that finds nothing to do is none of what made it."""
    kept: dict[str, Tried] = {}
    for tried in baselines:
        kept.setdefault(tried.net_hash, tried)
    return list(kept.values())


def find_weakest(ladder: Ladder, trials: Trials, leader: Tried | None = None) -> Tried | None:
    """The weakest setting that keeps every goal; None where the strongest does not.

    What can be counted is found by bisection without measuring anything. Only where latency is
    bounded some stronger settings are timed; of another scale of the same passes just the one
    that computes no more than what the first scale came to.
    """
    settings = ladder.settings
    timed = "latency" in trials.figures
    most = _guess_work(leader, trials) if timed and ladder.leader is not None else None

    def fits(place: int) -> bool:
        figures = _count(settings[place], trials)
        if figures is None or (most is not None and figures["flops"] > most):
            return False
        return all(figures.get(g.figure, g.bound) <= g.bound for g in trials.goals)

    place = _bisect(0, len(settings), fits) if len(settings) > 1 else 0
    if place == len(settings):
        return _keep(settings[-1], trials)
    if not timed or ladder.leader is not None or len(settings) == 1:
        return _keep(settings[place], trials)
    return _find_fast(settings[place:], trials)


def _find_fast(settings: Sequence[Setting], trials: Trials) -> Tried | None:
    """The weakest setting that keeps every goal, by bisection of some and a look at neighbours."""
    last, count = len(settings) - 1, min(len(settings), TIMED)
    rungs = [settings[round(last * i / max(count - 1, 1))] for i in range(count)]
    kept: dict[int, Tried | None] = {}

    def keeps(place: int) -> bool:
        kept[place] = _keep(rungs[place], trials)
        return kept[place] is not None

    low = _bisect(0, len(rungs), keeps)
    for place in [p for p in range(low - 1, -1, -1) if p not in kept][:NEIGHBOURS]:
        keeps(place)
    return next((kept[place] for place in sorted(kept) if kept[place] is not None), None)


def _bisect(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The first place from `low` that holds, where all behind it do; `high` where none does."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _guess_work(leader: Tried | None, trials: Trials) -> float:
    """What a net that is timed only once may compute: as much as what another scale of the same
    passes came to, else the share of the net's work that the bound is of its latency."""
    if leader is not None:
        return trials.count(leader.passes)["flops"]
    bounds = [goal.bound for goal in trials.goals if goal.figure == "latency"]
    return trials.count(())["flops"] * min(bounds) / trials.base_latency


def _count(passes: Setting, trials: Trials) -> Mapping[str, float] | None:
    """What can be counted of the net; None where a pass cannot do it."""
    try:
        return trials.count(passes)
    except CompileError:
        return None


def _keep(passes: Setting, trials: Trials) -> Tried | None:
    """The measured net; None where it misses a goal, or a pass cannot do it, for the reason in the
    journal."""
    name = f"baseline {' -> '.join(map(describe_pass, passes))}"
    try:
        tried = trials.try_together(name, passes)
    except CompileError as error:
        reason = "; ".join(message.text.title for message in error.messages)
        trials.note("", "", f"{name}: {reason}")
        return None
    return None if trials.find_missed(tried.figures) else tried
