"""What a misspelt word is meant for."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from compiler.report.habits import translate


def did_you_mean(found: str, known: Sequence[str]) -> str | None:
    """The known word that is meant: what another framework calls so, else the closest one, if it
    is close enough."""
    translated = translate(found, known)
    if translated is not None:
        return translated
    lowered = {word.lower(): word for word in reversed(known)}
    matches = get_close_matches(found.lower(), list(lowered), n=1, cutoff=0.6)
    return lowered[matches[0]] if matches else None
