"""Rules that bring the names of a weights file to those of a net: what `load(rename=[…])` takes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import islice

from compiler.weights.layout import rename_path
from compiler.weights.left_out import find_surplus

Shapes = Mapping[str, tuple[int, ...]]
Rule = tuple[str, str]

MOST_RULES = 24
"""More would be no rules, but a list of names."""
TRIED = 60
"""Rules that are tried at a time, the most frequent ones."""

SAMPLE = 100
"""Tensors that are compared with weights of other layers: a rule for some of them is one for
all."""
LEAVES = ("weight", "bias", "running_mean", "running_var")
"""What the tensors of one layer are called: they stay together."""
PLACES = ("post", "pre", "after", "before")
"""The word behind one of these says where a layer is, not what it is."""
SAME_WORDS = {
    **dict.fromkeys(("q", "wq", "query"), "query"),
    **dict.fromkeys(("k", "wk", "key"), "key"),
    **dict.fromkeys(("v", "wv", "value"), "value"),
    **dict.fromkeys(("o", "wo", "out"), "out"),
}
"""Short words of attention, and what they stand for."""


@dataclass(frozen=True)
class Rules:
    """Rules, in order, and what they leave: weights of the net that the file has not, or has in
    another shape, and tensors of the file that the net has not."""

    rules: tuple[Rule, ...]
    missing: tuple[str, ...]
    surplus: tuple[str, ...]


def propose_rules(found: Shapes, wanted: Shapes) -> Rules:
    """Rules under which as many tensors of a file as can be have the name and shape of a weight of
    a net: those that names with equal shapes and like words ask for, the most useful one first."""
    rules: list[Rule] = []
    names = {path: path for path in found}
    right = _find_right(found, wanted, names)
    conflicts = _find_conflicts(found, wanted, names)
    while len(rules) < MOST_RULES:
        pairs = _pair(
            {names[p]: shape for p, shape in found.items() if p not in right},
            {p: shape for p, shape in wanted.items() if p not in {names[r] for r in right}},
        )
        counts = Counter(rule for old, new in pairs.items() for rule in _write_rules(old, new))
        best, most, renamed = None, right, names
        for rule, _ in counts.most_common(TRIED):
            tried = {path: rename_path(name, [rule]) for path, name in names.items()}
            now = _find_right(found, wanted, tried)
            if (
                right <= now
                and len(now) > len(most)
                and _find_conflicts(found, wanted, tried) <= conflicts
            ):
                best, most, renamed = rule, now, tried
        if best is None:
            break
        rules.append(best)
        names, right = renamed, most
    taken = {names[path] for path in right}
    rest = [names[path] for path in found if path not in right]
    surplus = find_surplus(rest, wanted) + [path for path in rest if path in wanted]
    return Rules(tuple(rules), tuple(p for p in wanted if p not in taken), tuple(surplus))


def _find_right(found: Shapes, wanted: Shapes, names: Mapping[str, str]) -> set[str]:
    """Tensors that have the name and shape of a weight, no two the same one; none where two do."""
    counts = Counter(names.values())
    if any(count > 1 and name in wanted for name, count in counts.items()):
        return set()
    return {path for path, name in names.items() if wanted.get(name) == found[path]}


def _find_conflicts(found: Shapes, wanted: Shapes, names: Mapping[str, str]) -> set[str]:
    """Tensors that speak against their names: those of a weight of another shape, even transposed,
    or of another layer than the bias beside them."""
    conflicts: set[str] = set()
    layers: dict[str, set[str]] = {}
    for path, name in names.items():
        if name in wanted and sorted(wanted[name]) != sorted(found[path]):
            conflicts.add(path)
        layer, _, leaf = path.rpartition(".")
        if leaf in LEAVES:
            layers.setdefault(layer, set()).add(name.rpartition(".")[0])
    return conflicts | {layer for layer, places in layers.items() if len(places) > 1}


def _pair(found: Shapes, wanted: Shapes) -> dict[str, str]:
    """Tensors and weights of one shape that belong together by their words, and have equal numbers
    where there are such."""
    pairs = _pair_within(found, wanted, by_numbers=True)
    taken = {*pairs.values()}
    rest = dict(islice(((p, s) for p, s in found.items() if p not in pairs), SAMPLE))
    free = {path: shape for path, shape in wanted.items() if path not in taken}
    return pairs | _pair_within(rest, free, by_numbers=False)


def _pair_within(found: Shapes, wanted: Shapes, *, by_numbers: bool) -> dict[str, str]:
    """Pairs of one shape, and with the same numbers if that is asked for, of which each is more
    like the other than all else that could be: where several are equally alike, nothing tells."""

    def describe(path: str, shape: tuple[int, ...]) -> tuple[object, ...]:
        return (shape, *find_numbers(path)) if by_numbers else (shape,)

    groups: dict[tuple[object, ...], list[str]] = {}
    for path, shape in wanted.items():
        groups.setdefault(describe(path, shape), []).append(path)
    scores = {
        (old, new): count_common(old, new)
        for old, shape in found.items()
        for new in groups.get(describe(old, shape), ())
        if not renumbers(old, new)
    }
    best = _find_best((old, new, score) for (old, new), score in scores.items())
    back = _find_best((new, old, score) for (old, new), score in scores.items())
    return {old: new for old, new in best.items() if back.get(new) == old}


def _find_best(scored: Iterable[tuple[str, str, int]]) -> dict[str, str]:
    """For each name the other that has the highest score, where no two have it."""
    ranked: dict[str, list[tuple[int, str]]] = {}
    for one, other, score in scored:
        ranked.setdefault(one, []).append((score, other))
    best = {}
    for one, others in ranked.items():
        highest = max(score for score, _ in others)
        first, *more = [other for score, other in others if score == highest]
        if not more:
            best[one] = first
    return best


@lru_cache(maxsize=1 << 16)
def count_common(old: str, new: str) -> int:
    """How much two names say that they are of the same: parts and words that both have, the last
    part and the number at its end once more."""
    left, right = _read_name(old), _read_name(new)
    ends = (left.end == right.end) + bool(left.tail and left.tail == right.tail)
    return (
        len(left.parts & right.parts)
        + len(left.words & right.words)
        + (left.leaf == right.leaf)
        + ends
    )


@dataclass(frozen=True)
class _Name:
    """A name of a tensor: that of its layer, read as parts and words, and its leaf."""

    parts: frozenset[str]
    words: frozenset[str]
    end: str
    tail: str
    leaf: str


@lru_cache(maxsize=1 << 16)
def _read_name(path: str) -> _Name:
    *parts, leaf = path.split(".")
    if leaf not in LEAVES:
        parts.append(leaf)
    end = parts[-1] if parts else ""
    words = set()
    for part in parts:
        before = ""
        for word in re.findall(r"[a-z]+\d*", part.lower()):
            # `post_attention` is what is not attention.
            if before not in PLACES and word not in PLACES:
                words.add(SAME_WORDS.get(word, word))
            before = word
    tail = re.search(r"(?<!\d)\d+$", end)
    return _Name(frozenset(parts), frozenset(words), end, tail[0] if tail else "", leaf)


def renumbers(old: str, new: str) -> bool:
    """Whether two names are of different layers: no shape tells that layer 3 is layer 2."""
    numbers = find_numbers(old), find_numbers(new)
    return len(numbers[0]) == len(numbers[1]) and numbers[0] != numbers[1]


@lru_cache(maxsize=1 << 16)
def compare(old: str, new: str) -> float:
    """How alike two names are: words in common, and, for 1 more, the same numbers."""
    left, right = (re.split(r"[._]", path) for path in (old, new))
    last = old.rpartition(".")[2] == new.rpartition(".")[2]
    alike = SequenceMatcher(None, left, right, autojunk=False).ratio()
    return alike + (find_numbers(old) == find_numbers(new)) + 0.5 * last


def find_numbers(path: str) -> list[str]:
    """The numbers among the words of a name: which layer it is of."""
    return [word for word in re.split(r"[._]", path) if word.isdigit()]


def _write_rules(old: str, new: str) -> Iterator[Rule]:
    """Rules that make one name of another: by what differs at most, and by less and less of it."""
    if old == new:
        return
    left, right = old.split("."), new.split(".")
    behind = 0
    while behind < min(len(left), len(right)) and left[-1 - behind] == right[-1 - behind]:
        behind += 1
    for kept in range(behind, -1, -1):
        ends = (len(left) - kept, len(right) - kept)
        front = 0
        while front < min(ends) and left[front] == right[front]:
            front += 1
        for start in {0, front}:
            pair = (left[start : ends[0]], right[start : ends[1]])
            rule = open_numbers(*(".".join(part) for part in pair))
            yield _close(rule, before=start > 0, behind=kept > 0)


def open_numbers(old: str, new: str) -> Rule:
    """Two names with a `*` for each number, where both have the same ones in one order."""
    numbers = [re.findall(r"(?<![A-Za-z0-9])\d+", side) for side in (old, new)]
    if not numbers[0] or numbers[0] != numbers[1]:
        return old, new
    return tuple(re.sub(r"(?<![A-Za-z0-9])\d+", "*", side) for side in (old, new))  # type: ignore[return-value]


def _close(rule: Rule, *, before: bool, behind: bool) -> Rule:
    """What stands before and behind, as `*`."""
    made = []
    for side in rule:
        parts = [*(["*"] if before else []), *([side] if side else []), *(["*"] if behind else [])]
        made.append(".".join(parts))
    return made[0], made[1]
