"""What `load(…)` is to be told so that a net finds its weights in a file: the whole proposal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compiler.ir.weights import StoredTensor, path_matches
from compiler.program.net import Renaming
from compiler.text.tree.strings import write_spec_string
from compiler.weights.layout import apply_rule, generalize, rename_path
from compiler.weights.left_out import explain_left_out, find_surplus
from weft.cli.layout_rules import find_square, find_turned, propose_copies, propose_parts
from weft.cli.rename_rules import Shapes, propose_rules
from weft.cli.undecided import Undecided, find_undecided

MOST_OF_PAIRS = 3
"""So many names has a rule for two parts and their whole, which no heads share."""


@dataclass(frozen=True)
class Proposal:
    """Options of `load`, and what they leave: `unclear` are patterns of matrices of which no
    shape tells whether they lie transposed, `left_out` what a rule leaves out, and why,
    `undecided` what could be one another; `missing` and `surplus` are without those."""

    rename: tuple[Renaming, ...]
    copy: tuple[Renaming, ...]
    transpose: tuple[str, ...]
    unclear: tuple[str, ...]
    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    left_out: Mapping[str, str]
    undecided: tuple[Undecided, ...]

    @property
    def options(self) -> list[str]:
        """The options, as they are written."""
        made = []
        for name, rules in (("rename", self.rename), ("copy", self.copy)):
            if rules:
                pairs = (f"{_write(r.old)} -> {_write(r.new)}" for r in rules)
                made.append(f"{name}=[{', '.join(pairs)}]")
        if self.transpose:
            made.append(f"transpose=[{', '.join(map(write_spec_string, self.transpose))}]")
        return made

    @property
    def has_parts(self) -> bool:
        """Whether tensors are split or joined."""
        return any(len(rule.old) + len(rule.new) > 2 for rule in self.rename)

    @property
    def fused(self) -> tuple[str, ...]:
        """Patterns of query, key and value in one tensor: they may alternate from head to head."""
        rules = (rule for rule in self.rename if len(rule.old) + len(rule.new) > MOST_OF_PAIRS)
        return tuple((rule.old if len(rule.old) == 1 else rule.new)[0] for rule in rules)


def _write(names: tuple[str, ...]) -> str:
    words = [write_spec_string(name) for name in names]
    return words[0] if len(words) == 1 else f"[{', '.join(words)}]"


def propose(tensors: Mapping[str, StoredTensor], wanted: Shapes) -> Proposal:
    """Options under which as many tensors of a file as can be are weights of a net."""
    shapes = {path: tensor.shape for path, tensor in tensors.items()}
    rules = list(propose_rules(shapes, wanted).rules)
    rules += _rename_turned(shapes, wanted, rules)
    origins = {rename_path(path, rules): path for path in shapes}
    named = {path: shapes[old] for path, old in origins.items()}
    turned = find_turned(named, wanted)
    served = {p for p, shape in named.items() if wanted.get(p) == shape} | {*turned}
    parts = propose_parts(
        {p: s for p, s in named.items() if p not in served},
        {p: s for p, s in wanted.items() if p not in served},
    )
    used, made = _follow_parts(parts, named)
    cut = [path for path in made if turned or _is_sideways(path, made, wanted)]
    served |= made.keys()
    missing = {p: s for p, s in wanted.items() if p not in served}
    copies = propose_copies({**named, **{p: wanted[p] for p in served}}, missing)
    served |= {rule.new[0] for rule in copies}
    square = find_square([*cut, *(served - made.keys() if turned else ())], wanted)
    surplus = [p for p in find_surplus(named, wanted) if p not in used]
    surplus += [p for p, s in named.items() if p in wanted and p not in served]
    chosen = {p: tensors[origins[p]] for p in served if p in origins}
    left_out = explain_left_out(surplus, {p: tensors[o] for p, o in origins.items()}, chosen)
    missing = {p: s for p, s in wanted.items() if p not in served}
    rest = {p: named[p] for p in surplus if p not in left_out}
    undecided = find_undecided(rest, missing, origins)
    open_weights = {path for group in undecided for path in group.weights}
    open_tensors = {path for group in undecided for path in group.tensors}
    return Proposal(
        (*(Renaming((old,), (new,)) for old, new in rules), *parts),
        tuple(copies),
        _write_patterns(turned, wanted),
        _write_patterns(sorted(square), wanted),
        tuple(p for p in missing if p not in open_weights),
        tuple(p for p in rest if p not in open_tensors),
        left_out,
        tuple(undecided),
    )


def _write_patterns(paths: Sequence[str], wanted: Shapes) -> tuple[str, ...]:
    """Patterns of paths, a `*` for the numbers of layers where that names no other matrix."""
    matrices = [path for path, shape in wanted.items() if len(shape) == 2]
    patterns = dict.fromkeys(map(generalize, paths))
    found = {p: {m for m in matrices if path_matches(m, p)} for p in patterns}
    exact = {p for p in patterns if found[p] <= {*paths}}
    names = (generalize(path) if generalize(path) in exact else path for path in paths)
    return tuple(dict.fromkeys(names))


def _rename_turned(
    shapes: Shapes, wanted: Shapes, rules: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Further rules for tensors that lie transposed and have other names."""
    named = {rename_path(path, rules): shape for path, shape in shapes.items()}
    turned = {*find_turned(named, wanted)}
    rest = {p: s for p, s in named.items() if wanted.get(p) != s and p not in turned}
    missing = {p: s for p, s in wanted.items() if named.get(p) != s and p not in turned}
    if not rest or not missing:
        return []
    # Of what is left, the axes count in either order.
    either = [{p: tuple(sorted(s)) for p, s in side.items()} for side in (rest, missing)]
    more = propose_rules(*either).rules
    renamed = {rename_path(path, more): shape for path, shape in named.items()}
    before = {p for p, s in named.items() if wanted.get(p) in (s, s[::-1])}
    after = {p for p, s in renamed.items() if wanted.get(p) in (s, s[::-1])}
    return list(more) if before < after else []


def _follow_parts(
    parts: list[Renaming], named: Shapes
) -> tuple[set[str], dict[str, tuple[tuple[int, ...], ...]]]:
    """What rules split and join, and what they make, with the shapes of what it is made of."""
    used: set[str] = set()
    made: dict[str, tuple[tuple[int, ...], ...]] = {}
    for rule in parts:
        for path in named:
            first = apply_rule(path, rule.old[0], rule.new[0])
            if first is None:
                continue
            olds = [apply_rule(path, rule.old[0], old) or "" for old in rule.old]
            if all(old in named for old in olds):
                used.update(olds)
                news = (apply_rule(path, rule.old[0], new) or "" for new in rule.new)
                made |= dict.fromkeys(news, tuple(named[old] for old in olds))
    return used, made


def _is_sideways(
    path: str, made: Mapping[str, tuple[tuple[int, ...], ...]], wanted: Shapes
) -> bool:
    """Whether a weight was split or joined along its second axis."""
    shape = wanted[path]
    return len(shape) == 2 and all(old[0] == shape[0] for old in made[path])
