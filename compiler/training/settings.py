"""What settings of the training vocabulary must satisfy, as guards that raise with a message."""

from __future__ import annotations

import math

from compiler.report.diagnostics import Fault
from compiler.report.messages.items import setting_range, settings_disagree
from compiler.vocabulary.duration import Duration
from compiler.vocabulary.ramps import Ramp


def require_positive(owner: str, name: str, value: float) -> None:
    """Raises `Fault` unless `value` is finite and above 0."""
    if not (math.isfinite(value) and value > 0):
        refuse(owner, name, value, "above 0")


def require_at_least_zero(owner: str, name: str, value: float | Ramp) -> None:
    """Raises `Fault` unless `value`, at all steps, is finite and not below 0."""
    for bound in value.bounds if isinstance(value, Ramp) else (value,):
        if not (math.isfinite(bound) and bound >= 0):
            refuse(owner, name, bound, "0 or above")


def require_share(owner: str, name: str, value: float) -> None:
    """Raises `Fault` unless `value` lies in [0, 1)."""
    if not 0 <= value < 1:
        refuse(owner, name, value, "at least 0 and below 1")


def require_part(owner: str, name: str, value: float) -> None:
    """Raises `Fault` unless `value` lies in (0, 1): a part that is to go, and not all of it."""
    if not 0 < value < 1:
        refuse(owner, name, value, "above 0 and below 1")


def require_duration(owner: str, name: str, value: Duration, *, least: float = 0) -> None:
    """Raises `Fault` for a stretch shorter than `least` or longer than the training."""
    if not value.value >= least or not math.isfinite(value.value):
        refuse(owner, name, value, "a stretch of training" if least == 0 else "longer than 0")
    if value.unit == "share" and value.value > 1:
        refuse(owner, name, value, "at most 100%")


def refuse(owner: str, name: str, value: object, expected: str) -> None:
    """Raises the `Fault` of a setting that is out of range."""
    found = f"{value:g}" if isinstance(value, float) else str(value)
    raise Fault(lambda where: setting_range(where.argument(name), owner, name, found, expected))


def refuse_together(owner: str, name: str, reason: str, advice: str) -> None:
    """Raises the `Fault` of settings that do not go together, at the argument `name`."""
    raise Fault(lambda where: settings_disagree(where.argument(name), owner, reason, advice))
