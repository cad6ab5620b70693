"""Hints of blocks that print inside other code, in the names of that code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from compiler.ir.frame import Argument, Frame
from compiler.ir.hint import (
    Hint,
    HintConst,
    HintList,
    HintName,
    HintSize,
    find_readable,
    hint_atoms,
    hint_names,
    mark_outer,
    outer_names,
    rename_hint,
)


def translate_hint(hint: Hint, inner: Frame, owner: Frame) -> Hint | None:
    """A hint in the names of a block around the one that it was written in; None where these have
    no words for all that it reads."""
    while inner is not owner and inner.parent is not None:
        if find_readable(hint) is None or outer_names(hint):
            return None
        values = dict(inner.tensors)
        given = {a.name: _say(a, values) for a in inner.arguments}
        known = {name: said for name, said in given.items() if said is not None}
        if not known.keys() >= set(hint_names(hint)):
            return None
        hint = rename_hint(hint, known)
        inner = inner.parent
    return hint


def _say(argument: Argument, values: Mapping[str, str]) -> Hint | None:
    """What a call is given for an argument, in the names of its caller."""
    written = argument.hint or find_tensor_size(argument, values)
    if written is not None or argument.dims:
        return written
    value = argument.value
    return HintConst(value) if value is None or isinstance(value, int | float | str) else None


def lift_hint(hint: Hint, inner: Frame, owner: Frame) -> Hint | None:
    """What is left of a hint where the frame that it was written in prints inside another: which
    names it follows there."""
    atoms: Iterable[Hint] = dict.fromkeys(hint_atoms(hint))
    while inner is not owner and inner.parent is not None:
        values = dict(inner.tensors)
        passed = {a.name: a.hint or find_tensor_size(a, values) for a in inner.arguments}
        kept = (passed.get(a.name, a) if isinstance(a, HintName) else a for a in atoms)
        known = HintList(tuple(hint for hint in kept if hint is not None))
        atoms = dict.fromkeys(hint_atoms(known))
        inner = inner.parent
    return mark_outer(HintList(tuple(atoms)))


def find_tensor_size(argument: Argument, values: Mapping[str, str]) -> Hint | None:
    """A size that a signature names, by a tensor of the code around the call."""
    sizes = (HintSize(values[formal], axis) for formal, axis in argument.dims if formal in values)
    return next(sizes, None)
