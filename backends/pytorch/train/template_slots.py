"""Fills a template: switches choose lines, slots take text."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from string import Template

from backends.pytorch.train.layout import break_line

Slots = Mapping[str, str | Sequence[str]]
"""Text of slots: a string inside a line, or the lines that a slot of its own line stands for."""

_SWITCH = re.compile(r"  #\? (not )?(\w+)$")
_SLOT = re.compile(r"( *)\$(\w+)$")


def fill(template: str, slots: Slots, switches: Collection[str] = ()) -> list[str]:
    """The lines of a template, with long ones broken.

    Raises:
        KeyError: a slot of the template has no text.
    """
    lines: list[str] = []
    for line in template.strip("\n").split("\n"):
        switch = _SWITCH.search(line)
        if switch:
            if (switch[2] in switches) == bool(switch[1]):
                continue
            line = line[: switch.start()]
        lines.extend(_fill_line(line, slots))
    return lines


def _fill_line(line: str, slots: Slots) -> list[str]:
    own = _SLOT.fullmatch(line)
    if own and not isinstance(slots[own[2]], str):
        return [part for text in slots[own[2]] for part in indent(text, own[1])]
    text = Template(line).substitute(slots)
    return [text] if '"""' in text else break_line(text)


def indent(text: str, by: str) -> list[str]:
    """A line of a slot at its indentation, broken where it is too long."""
    return break_line(by + text) if text.strip() else [""]
