"""Arguments to parameters: which argument of a call belongs to what, and what still waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import cache

from compiler.elaborate.values.values import ArgumentValue, Poison, Record, Tensor, Val
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.arguments import (
    argument_twice,
    missing_argument,
    position_after_name,
    too_many_arguments,
    unknown_argument,
)
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Name


def _refuse(name: str, value: Val) -> bool:
    return False


@dataclass(frozen=True)
class Formal:
    """A parameter of something callable. `tensor` ones may be left out at the front of a call,
    which then waits for them; `fits` says whether a value can stand there, for that decision,
    `admits` whether it could if nothing else makes sense of the call (a number beside tensors, a
    tensor of another type). One that is `by_name` has no place."""

    name: str
    tensor: bool
    required: bool
    fits: Callable[[Val], bool]
    admits: Callable[[Val], bool] | None = None
    by_name: bool = False


@dataclass(frozen=True)
class Actual:
    """An argument as it is given: `name` is None by position."""

    name: Name | None
    value: Val
    span: Span


@dataclass(frozen=True)
class Signature:
    """What a call is matched with. `admits` says whether a name that is no parameter may still
    be taken (the weights of an op); `definition` is where the callee stands in a spec."""

    callee: str
    formals: tuple[Formal, ...]
    definition: Span | None = None
    admits: Callable[[str, Val], bool] = _refuse

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names."""
        return tuple(f.name for f in self.formals)


@dataclass
class Match:
    """One way to read a call: what is given, what is wrong, what is missing, which leading
    tensors are left out for `->` to bring."""

    left_out: tuple[Formal, ...]
    given: dict[str, ArgumentValue] = field(default_factory=dict)
    faults: list[Message] = field(default_factory=list)
    missing: tuple[Formal, ...] = ()
    fits: bool = True

    @property
    def holds(self) -> bool:
        """Whether the call can be meant like this."""
        return self.fits and not self.faults and not self.missing

    def find_faults(self, signature: Signature, call: Span) -> list[Message]:
        """What to report where no reading holds."""
        if self.faults or not self.missing:
            return self.faults
        names = tuple(f.name for f in self.missing)
        return [missing_argument(call, signature.callee, names, signature.definition)]


def match_call(signature: Signature, actuals: Sequence[Actual], supplied: int) -> Match:
    """Reads a call by the rule of waiting: a first argument that does not fit the first
    parameter leaves it out, and so on with the leading tensors, until everything has a place.

    `supplied` is the number of tensors that `->` brings, 0 outside of a pipe: inside one, the
    reading that leaves room for them comes first. Where none holds, the most likely one.
    """
    named = {a.name.text for a in actuals if a.name is not None}
    places = [f for f in signature.formals if not f.by_name]
    tensors = [f for f in places if f.tensor and f.name not in named]
    counts = list(range(len(tensors) + 1))
    if 0 < supplied <= len(tensors):
        counts.insert(0, supplied)
    first: Match | None = None
    run_time = any(isinstance(a.value, Tensor) for a in actuals)
    readings = [(count, False) for count in counts]
    if run_time and supplied:  # what is given stands behind what the pipe brings
        readings.insert(1, (counts[0], True))
    elif run_time:
        readings += [(count, True) for count in counts]
    elif not supplied:  # numbers alone: `cast(0.5, f16)`
        readings.append((0, True))
    for count, loosely in readings:
        match = _match(
            signature, actuals, tuple(tensors[:count]), loosely=loosely, piped=supplied > 0
        )
        if match.holds:
            return match
        if first is None or _explains_better(match, first, waiting=not (supplied or run_time)):
            first = match
    assert first is not None
    return first


def _explains_better(match: Match, other: Match, *, waiting: bool) -> bool:
    """Whether a reading that does not hold is the likelier one: its arguments fit, and, where
    the call may wait for its tensors, fewer are missing."""
    if match.fits != other.fits:
        return match.fits
    return waiting and match.fits and len(match.missing) < len(other.missing)


def _match(
    signature: Signature,
    actuals: Sequence[Actual],
    left_out: tuple[Formal, ...],
    *,
    loosely: bool,
    piped: bool,
) -> Match:
    match = Match(left_out)
    skipped = {f.name for f in left_out}
    places = iter([f for f in signature.formals if not (f.by_name or f.name in skipped)])
    by_name = {f.name: f for f in signature.formals}
    named = False
    for actual in actuals:
        if actual.name is not None:
            named = True
            _take_named(signature, match, actual, by_name)
            continue
        if named:
            match.faults.append(position_after_name(actual.span))
            continue
        formal = next(places, None)
        if formal is None:
            match.faults.append(
                too_many_arguments(
                    actual.span, signature.callee, signature.names, signature.definition
                )
            )
            break
        stands = _stands(formal, actual.value, loosely=loosely)
        match.fits = match.fits and (stands or (piped and not formal.tensor))
        match.given[formal.name] = ArgumentValue(actual.value, actual.span)
    match.missing = tuple(
        f
        for f in signature.formals
        if f.required and f.name not in match.given and f.name not in skipped
    )
    return match


def _stands(formal: Formal, value: Val, *, loosely: bool) -> bool:
    if formal.fits(value):
        return True
    return loosely and formal.admits is not None and formal.admits(value)


def _take_named(
    signature: Signature, match: Match, actual: Actual, by_name: Mapping[str, Formal]
) -> None:
    assert actual.name is not None
    name, span = actual.name.text, actual.name.span
    before = match.given.get(name)
    if before is not None:
        match.faults.append(argument_twice(span, signature.callee, name, before.span))
    elif name in by_name or signature.admits(name, actual.value):
        match.given[name] = ArgumentValue(actual.value, actual.span)
    else:
        known = signature.names
        match.faults.append(
            unknown_argument(
                span,
                signature.callee,
                name,
                known,
                _suggest(name, known),
                signature.definition,
            )
        )


@cache
def _suggest(name: str, known: tuple[str, ...]) -> str | None:
    return did_you_mean(name, known)


def fill_inputs(
    formals: Sequence[Formal], given: Mapping[str, ArgumentValue], inputs: Sequence[ArgumentValue]
) -> dict[str, ArgumentValue] | None:
    """What `->` brings, put where it belongs: tensors into the tensor parameters that are still
    open, in order, other values into other open ones. None where there are too many."""
    filled = dict(given)
    open_tensors = [f for f in formals if f.tensor and f.name not in given]
    open_others = [f for f in formals if not f.tensor and f.name not in given]
    for item in inputs:
        run_time = isinstance(item.value, Tensor | Record | Poison)
        place = next((f for f in open_tensors if run_time or f.fits(item.value)), None)
        if place is not None:
            open_tensors.remove(place)
        elif open_others:
            place = open_others.pop(0)
        elif open_tensors:
            place = open_tensors.pop(0)
        else:
            return None
        filled[place.name] = item
    return filled
