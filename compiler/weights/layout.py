"""Names and layouts of tensors in a file as those of a net: renamed, split, joined, transposed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.ir.weights import StoredTensor, path_matches
from compiler.program.net import LoadWeights, Renaming
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.repositories import (
    layout_unclear,
    not_a_matrix,
    parts_misfit,
)
from compiler.report.messages.weights import pattern_unused, weights_collide

Shape = tuple[int, ...]
Tensors = dict[str, StoredTensor]


@dataclass(frozen=True)
class Arranged:
    """The tensors of a file as a net calls them. `sideways` are those that were split or joined
    along another axis than the first of how they lie in the file."""

    tensors: Mapping[str, StoredTensor]
    sideways: frozenset[str]


def arrange(
    found: Mapping[str, StoredTensor], load: LoadWeights, net: Mapping[str, Shape]
) -> Arranged:
    """The tensors of a file under the names and in the layouts that `load` says; `net` has the
    shapes of the weights of the net.

    Raises:
        CompileError: a rule finds nothing, two tensors come under one name, or parts do not fit.
    """
    turned = {path for path in net if is_turned(path, load.transpose)}
    stored = {path: shape[::-1] if path in turned else shape for path, shape in net.items()}
    layout = _Layout(load, stored, dict(found), {path: path for path in found})
    for rule in load.rename:
        layout.apply(rule)
    layout.refuse_unused("rename")
    for rule in load.copy:
        layout.copy(rule)
    layout.refuse_unused("copy")
    layout.refuse_ungrouped()
    return Arranged(_transpose(layout.tensors, load, turned), frozenset(layout.sideways))


def is_turned(path: str, patterns: Iterable[str]) -> bool:
    """Whether a weight lies transposed in the file; `!` in front of a pattern says that it does
    not."""
    chosen = tuple(patterns)
    return any(path_matches(path, p) for p in chosen if not p.startswith("!")) and not any(
        path_matches(path, p[1:]) for p in chosen if p.startswith("!")
    )


def refuse_unclear(load: LoadWeights, chosen: Mapping[str, Shape], arranged: Arranged) -> None:
    """Asks about square matrices where a load says that others lie otherwise than in the net.

    Raises:
        CompileError: nothing says of a matrix whether it is transposed, and its shape does not.
    """
    patterns = [p.removeprefix("!") for p in load.transpose]
    unclear = [
        path
        for path, shape in chosen.items()
        if len(shape) == 2
        and shape[0] == shape[1] > 1
        and (load.transpose or path in arranged.sideways)
        and not any(path_matches(path, p) for p in patterns)
    ]
    if unclear:
        shape = " x ".join(map(str, chosen[unclear[0]]))
        paths = tuple(dict.fromkeys(map(generalize, unclear)))
        raise CompileError([layout_unclear(load.span, load.file, paths, shape)])


def generalize(path: str) -> str:
    """A path with `*` in place of the numbers of layers."""
    return ".".join("*" if word.isdigit() else word for word in path.split("."))


class _Layout:
    """Tensors on their way from the names of a file to those of a net."""

    def __init__(
        self, load: LoadWeights, net: Mapping[str, Shape], tensors: Tensors, origins: dict[str, str]
    ) -> None:
        self.load = load
        self.net = net
        self.tensors = tensors
        self.origins = origins
        self.sideways: set[str] = set()
        self.grouped: set[str] = set()
        """Patterns of `groups` that a split or joined tensor has."""
        self.unused: list[str] = []

    def apply(self, rule: Renaming) -> None:
        """Renames, splits or joins what a rule matches."""
        matched = [path for path in self.tensors if apply_rule(path, rule.old[0], "") is not None]
        if not matched:
            self.unused.append(rule.old[0])
        if len(rule.old) == len(rule.new) == 1:
            self.rename(matched, rule)
        elif len(rule.old) == 1:
            for path in matched:
                self.split(path, [_follow(path, rule.old[0], new) for new in rule.new])
        else:
            for path in matched:
                olds = [_follow(path, rule.old[0], old) for old in rule.old]
                self.join(olds, _follow(path, rule.old[0], rule.new[0]))

    def rename(self, matched: Sequence[str], rule: Renaming) -> None:
        """Gives tensors other names, all at once."""
        new = {path: _follow(path, rule.old[0], rule.new[0]) for path in matched}
        tensors, origins = self.tensors, self.origins
        self.tensors, self.origins = {}, {}
        for path, tensor in tensors.items():
            self.place(new.get(path, path), tensor, origins[path])

    def place(self, path: str, tensor: StoredTensor, origin: str) -> None:
        """Puts a tensor under a name that no other has."""
        if path in self.tensors:
            both = (self.origins[path], origin)
            raise CompileError([weights_collide(self.load.span, self.load.file, path, both)])
        self.tensors[path], self.origins[path] = tensor, origin

    def split(self, path: str, parts: Sequence[str]) -> None:
        """Makes parts of a tensor."""
        whole, origin = self.tensors.pop(path), self.origins.pop(path)
        shapes = [self.net.get(part) for part in parts]
        axis = _find_axis(whole.shape, shapes)
        if axis is None:
            raise CompileError([self.misfit((path,), parts, whole.shape, shapes)])
        groups = self.find_groups(path, shapes, axis)
        if groups is None:
            raise CompileError([self.misfit((path,), parts, whole.shape, shapes)])
        place = 0
        for part, shape in zip(parts, shapes, strict=True):
            assert shape is not None
            end = place + shape[axis] // groups
            self.place(part, _slice(whole, axis, groups, place, end), origin)
            self.note(part, axis)
            place = end

    def join(self, parts: Sequence[str], path: str) -> None:
        """Makes one tensor of parts."""
        tensors = [self.tensors.get(part) for part in parts]
        shapes = [t.shape if t is not None else None for t in tensors]
        whole = self.net.get(path)
        axis = _find_axis(whole, shapes) if whole is not None else None
        groups = None if axis is None else self.find_groups(path, shapes, axis)
        known = [tensor for tensor in tensors if tensor is not None]
        if axis is None or groups is None or len(set(parts)) < len(parts):
            raise CompileError([self.misfit(parts, (path,), whole, shapes)])
        origin = self.origins[parts[0]]
        for part in parts:
            del self.tensors[part], self.origins[part]
        self.place(path, _concatenate(known, axis, groups), origin)
        self.note(path, axis)

    def find_groups(self, path: str, parts: Sequence[Shape | None], axis: int) -> int | None:
        """How many groups the parts of a tensor alternate in, 1 where nothing says so; None where
        a part cannot be shared out to so many."""
        count = 1
        for rule in self.load.groups:
            if path_matches(path, rule.pattern):
                self.grouped.add(rule.pattern)
                count = rule.count
        fits = all(part is not None and part[axis] % count == 0 for part in parts)
        return count if fits else None

    def refuse_ungrouped(self) -> None:
        """Refuses patterns of `groups` that no tensor has which is split or joined.

        Raises:
            CompileError: there are such patterns.
        """
        patterns = (rule.pattern for rule in self.load.groups)
        unused = tuple(pattern for pattern in patterns if pattern not in self.grouped)
        if unused:
            raise CompileError([pattern_unused(self.load.span, self.load.file, "groups", unused)])

    def note(self, path: str, axis: int) -> None:
        """Remembers what was cut along another axis than the first."""
        if axis > 0:
            self.sideways.add(path)

    def misfit(
        self,
        old: Sequence[str],
        new: Sequence[str],
        whole: Shape | None,
        parts: Sequence[Shape | None],
    ) -> Message:
        """What is said of parts that are not those of a whole."""
        split = len(old) == 1
        nowhere = "not in the net" if split else "not in the file"
        shown = [
            f"`{path}` {list(shape) if shape is not None else nowhere}"
            for path, shape in zip(new if split else old, parts, strict=True)
        ]
        other = "not in the net" if whole is None else str(list(whole))
        one = (old if split else new)[0]
        shown.append(f"`{one}` {other}")
        load = self.load
        counts = [rule.count for rule in load.groups if path_matches(one, rule.pattern)]
        return parts_misfit(
            load.span, load.file, tuple(old), tuple(new), tuple(shown), counts[-1] if counts else 1
        )

    def copy(self, rule: Renaming) -> None:
        """Gives tensors to further weights."""
        matched = [path for path in self.tensors if apply_rule(path, rule.old[0], "") is not None]
        if not matched:
            self.unused.append(rule.old[0])
        for path in matched:
            for new in rule.new:
                target = _follow(path, rule.old[0], new)
                self.place(target, self.tensors[path], self.origins[path])

    def refuse_unused(self, option: str) -> None:
        """Refuses rules that have matched nothing.

        Raises:
            CompileError: there are such rules.
        """
        if self.unused:
            load = self.load
            raise CompileError([pattern_unused(load.span, load.file, option, tuple(self.unused))])


def _find_axis(whole: Shape, parts: Sequence[Shape | None]) -> int | None:
    """The axis along which parts lie behind one another in a whole; None where they do not."""
    for axis in range(len(whole)):
        fits = all(
            part is not None
            and len(part) == len(whole)
            and part[:axis] == whole[:axis]
            and part[axis + 1 :] == whole[axis + 1 :]
            for part in parts
        )
        if fits and sum(part[axis] for part in parts if part is not None) == whole[axis]:
            return axis
    return None


def _slice(whole: StoredTensor, axis: int, groups: int, begin: int, end: int) -> StoredTensor:
    """What lies from `begin` up to `end` in each of the groups along an axis."""
    shape = (*whole.shape[:axis], groups * (end - begin), *whole.shape[axis + 1 :])
    index = (slice(None),) * (axis + 1) + (slice(begin, end),)

    def read() -> NDArray[Any]:
        return _open_groups(whole.read(), axis, groups)[index].reshape(shape)

    return StoredTensor(shape, whole.dtype, read, whole.stored)


def _concatenate(parts: Sequence[StoredTensor], axis: int, groups: int) -> StoredTensor:
    """Parts behind one another along an axis, in each of the groups."""
    first = parts[0].shape
    size = sum(part.shape[axis] for part in parts)
    shape = (*first[:axis], size, *first[axis + 1 :])
    dtype = np.result_type(*(part.dtype for part in parts))

    def read() -> NDArray[Any]:
        opened = [_open_groups(part.read(), axis, groups) for part in parts]
        return np.concatenate(opened, axis + 1).reshape(shape)

    return StoredTensor(shape, dtype, read, parts[0].stored)


def _open_groups(array: NDArray[Any], axis: int, groups: int) -> NDArray[Any]:
    """An array with an axis of groups in front of the one that they lie along."""
    shape = array.shape
    return array.reshape(*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])


def _transpose(tensors: Tensors, load: LoadWeights, turned: set[str]) -> Tensors:
    """The tensors with those turned that a load says so of.

    Raises:
        CompileError: a pattern matches no weight, or one that has more than two axes.
    """
    unused = [
        p for p in load.transpose if not any(path_matches(t, p.removeprefix("!")) for t in tensors)
    ]
    if unused:
        raise CompileError([pattern_unused(load.span, load.file, "transpose", tuple(unused))])
    made = dict(tensors)
    for path in turned & tensors.keys():
        tensor = tensors[path]
        if len(tensor.shape) > 2:
            raise CompileError([not_a_matrix(load.span, load.file, path, tensor.shape)])
        made[path] = _turn(tensor)
    return made


def _turn(tensor: StoredTensor) -> StoredTensor:
    return StoredTensor(
        tensor.shape[::-1],
        tensor.dtype,
        lambda: np.ascontiguousarray(tensor.read().T),
        tensor.stored,
    )


def _follow(path: str, old: str, new: str) -> str:
    made = apply_rule(path, old, new)
    assert made is not None, "the rule matches the path"
    return made


def rename_path(path: str, rules: Iterable[tuple[str, str]]) -> str:
    """A path of the file as the net calls it. In each rule `old -> new` a `*` stands for the
    same text on both sides, in order, and a pattern without `*` for everything below it; rules
    apply one after another, each at most once."""
    for old, new in rules:
        made = apply_rule(path, old, new)
        path = path if made is None else made
    return path


def apply_rule(path: str, old: str, new: str) -> str | None:
    """What a rule makes of a path; None where it does not match."""
    if "*" not in old:
        return new + path[len(old) :] if path == old or path.startswith(f"{old}.") else None
    texts = _match_stars(path, old)
    if texts is None:
        return None
    parts = new.split("*")
    filled = parts[0]
    for text, part in zip(texts, parts[1:], strict=False):
        filled += text + part
    return filled


def _match_stars(path: str, pattern: str) -> list[str] | None:
    """What each `*` of a pattern stands for, earlier ones as short as can be; None where it does
    not match."""
    head, *rest = pattern.split("*")
    if not path.startswith(head):
        return None
    position, texts = len(head), []
    for index, part in enumerate(rest):
        last = index == len(rest) - 1
        end = len(path) - len(part) if last else path.find(part, position)
        if end < position or not path.startswith(part, end):
            return None
        texts.append(path[position:end])
        position = end + len(part)
    return texts if position == len(path) else None
