"""What `load(…)` has to be told beside names: tensors that are split, joined, copied or turned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from compiler.program.net import Renaming
from weft.cli.rename_rules import compare, find_numbers, open_numbers

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

ORDERS = (
    ("q", "k", "v"),
    ("query", "key", "value"),
    ("w_q", "w_k", "w_v"),
    ("gate", "up"),
    ("w1", "w3"),
)
"""What the parts of one matrix are usually called, in the order in which they lie."""


def find_turned(found: Shapes, wanted: Shapes) -> list[str]:
    """Weights that the file has under their names with the axes in reverse order."""
    return [
        path
        for path, shape in found.items()
        if len(shape) == 2 and shape != wanted.get(path) and shape[::-1] == wanted.get(path)
    ]


def find_square(paths: Sequence[str], wanted: Shapes) -> list[str]:
    """Matrices of which no shape tells whether they lie transposed."""
    shapes = {path: wanted[path] for path in paths}
    return [p for p, s in shapes.items() if len(s) == 2 and s[0] == s[1] > 1]


def propose_parts(found: Shapes, wanted: Shapes) -> list[Renaming]:
    """Rules that split tensors of a file into several weights, and join several into one; both
    sides are what nothing else has brought together."""
    split = {(old,): parts for old, parts in _match_parts(found, wanted)}
    joined = {tuple(parts): (new,) for new, parts in _match_parts(wanted, found)}
    return list(dict.fromkeys(_generalize(o, n) for o, n in [*split.items(), *joined.items()]))


def propose_copies(found: Shapes, missing: Shapes) -> list[Renaming]:
    """Tensors for heads that the file has only once, as the embedding that they are tied to."""
    rules = []
    for path, shape in missing.items():
        same = [old for old, other in found.items() if other == shape]
        if len(shape) == 2 and "head" in path and len(same) == 1:
            rules.append(Renaming((same[0],), (path,)))
    return rules


def _match_parts(wholes: Shapes, parts: Shapes) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each whole with the parts that make it up, by shapes and names."""
    groups = list(_group(parts))
    taken: set[str] = set()
    for whole, shape in wholes.items():
        fitting = [
            group
            for group in groups
            if not taken.intersection(group)
            and whole.rpartition("_")[2].rpartition(".")[2] == group[0].rpartition(".")[2]
            and find_numbers(whole) == find_numbers(group[0])
            and _adds_up(shape, [parts[part] for part in group])
        ]
        if fitting:
            group = max(fitting, key=lambda group: compare(whole, group[0]))
            taken.update(group)
            yield whole, group


def _group(parts: Shapes) -> Iterator[tuple[str, ...]]:
    """Paths that differ in one word only, and have the words of parts there, in their order."""
    seen = set()
    for path in parts:
        words = path.split(".")
        for place, word in enumerate(words):
            for order in ORDERS:
                ending = next((word[len(w) :] for w in order[:1] if word.startswith(w)), None)
                if ending is None:
                    continue
                names = [".".join([*words[:place], w + ending, *words[place + 1 :]]) for w in order]
                group = tuple(name for name in names if name in parts)
                if len(group) == len(order) and group not in seen:
                    seen.add(group)
                    yield group


def _adds_up(whole: Shape, parts: Sequence[Shape]) -> bool:
    """Whether parts lie behind one another in a whole, or in one that is transposed."""
    return any(
        all(p[:axis] + p[axis + 1 :] == turned[:axis] + turned[axis + 1 :] for p in parts)
        and all(len(p) == len(turned) for p in parts)
        and sum(p[axis] for p in parts) == turned[axis]
        for turned in {whole, whole[::-1]}
        for axis in range(len(turned))
    )


def _generalize(old: Sequence[str], new: Sequence[str]) -> Renaming:
    """A rule for all layers of a rule for one, and for what is below the names."""
    names = (*old, *new)
    leaves = {name.rpartition(".")[2] for name in names}
    if len(leaves) == 1:
        names = tuple(f"{name.rpartition('.')[0]}.*" for name in names)
    opened = [open_numbers(names[0], name) for name in names[1:]]
    firsts = {first for first, _ in opened}
    if len(firsts) == 1:
        names = (firsts.pop(), *(name for _, name in opened))
    return Renaming(names[: len(old)], names[len(old) :])
