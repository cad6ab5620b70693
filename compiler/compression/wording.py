"""Contracts and passes in words: as they are written, values in their units."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from compiler.compression.figures import FIGURES, Kind
from compiler.compression.requirements import find_figures
from compiler.program.requirement import Bound, Computed, Figure, Quantity, Requirement
from compiler.types.units import format_size
from compiler.vocabulary.signature import Described, write_value

LEAST_PLAIN = 1e-3
"""Numbers below it would be nothing but zeros with four decimals."""


def find_kind(bound: Bound) -> Kind:
    """What a side counts, as elaboration has checked it."""
    match bound:
        case Figure(split=None, name=name):
            return FIGURES[name].kind
        case Computed(operator="/", left=left, right=right):
            kind = find_kind(left)
            return Kind.PLAIN if find_kind(right) is kind else kind
        case Computed(left=left, right=right):
            kinds = (find_kind(left), find_kind(right))
            return next((k for k in kinds if k in (Kind.BYTES, Kind.SECONDS)), Kind.PLAIN)
    return Kind.PLAIN


def describe_bound(bound: Bound, *, inner: bool = False) -> str:
    """A side as it is written."""
    match bound:
        case Figure(owner=owner, split=split, name=name):
            return ".".join(part for part in (owner, split, name) if part)
        case Quantity(text=text):
            return text
        case Computed(operator=operator, left=left, right=right):
            first, second = describe_bound(left, inner=True), describe_bound(right, inner=True)
            if operator == "/" and isinstance(right, Computed) and right.operator in "*/":
                second = f"({second})"
            text = f"{first} {operator} {second}"
            return f"({text})" if inner and operator in "+-" else text


def describe_requirement(requirement: Requirement) -> str:
    """A requirement as it is written."""
    left, right = describe_bound(requirement.left), describe_bound(requirement.right)
    return f"{left} {requirement.relation} {right}"


def format_value(value: float, bound: Bound) -> str:
    """A value in the unit of a side."""
    match find_kind(bound):
        case Kind.BYTES:
            return format_size(value)
        case Kind.SECONDS:
            return format_seconds(value)
    figure = next(find_figures(bound), None)
    if figure is not None and figure.name in ("params", "flops"):
        return f"{value:,.0f}"
    return f"{value:.4f}" if not value or abs(value) >= LEAST_PLAIN else f"{value:.3g}"


def describe_pass(step: Described, hidden: Collection[str] = ()) -> str:
    """A pass or scheme as a spec calls it, without defaults: `prune(channels=50%, round_to=8)`.
    Options in `hidden` are left out."""
    parts = []
    for position, option in enumerate(step.options()):
        value = getattr(step, option.field)
        if option.name not in hidden and value != option.default:
            bare = position == 0 and isinstance(value, Described | tuple)
            text = _write_option(value, share=option.name in step.shares)
            parts.append(text if bare else f"{option.name}={text}")
    return f"{step.name}({', '.join(parts)})" if parts else step.name


def _write_option(value: object, *, share: bool) -> str:
    match value:
        case Described():
            return describe_pass(value)
        case type():
            return f"{getattr(value, 'name', value)}"
        case tuple():
            return f"[{', '.join(_write_option(item, share=share) for item in value)}]"
        case float() if share:
            return f"{100 * value:g}%"
    return write_value(value)


def describe_figures(figures: Iterable[tuple[str, float]]) -> str:
    """Figures of a note: `loss 0.0204, latency -9.1 µs, size -9.5 KiB`."""
    return ", ".join(f"{name} {_format_figure(name, value)}" for name, value in figures)


def _format_figure(name: str, value: float) -> str:
    kind = FIGURES[name].kind if name in FIGURES else Kind.PLAIN
    match kind:
        case Kind.BYTES:
            return format_size(value)
        case Kind.SECONDS:
            return format_seconds(value)
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def format_seconds(seconds: float) -> str:
    """A time as people read it."""
    size = abs(seconds)
    if size >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.3f} ms" if size >= 1e-4 else f"{seconds * 1e6:.1f} µs"
