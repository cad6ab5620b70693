"""Names that a graph has for its values, as names of variables."""

from __future__ import annotations

import re

from compiler.writing.names import safe_name

MARK = "\n"
"""Stands before what is added to the name of a value: no name of a spec holds a line break."""

AXIS_NAMES = {4: "nchw", 3: "ntd", 5: "ncdhw"}
"""The usual letters of a tensor's sizes, by its rank."""


def user_name(value: str) -> str:
    """The author's name of a value: `features.2` -> `features`; "" where there is none."""
    value, _, mark = value.partition(MARK)
    listed = re.match(r"(?:list|pick) \d+ (.*)", mark)
    if listed is not None:  # a list, or what is read off one: what its author calls it
        value = listed[1].partition(MARK)[0]
    if not value or re.fullmatch(r"%\w+(\.\d+)*", value):  # the graph's own
        return ""
    return safe_name(re.sub(r"(\.\d+)+$", "", value))


def singular(name: str) -> str:
    """What one member of a list is called in a loop."""
    last = name.rpartition(".")[2]
    if last.endswith("s") and not last.endswith("ss") and len(last) > 2:
        return safe_name(last[:-1])
    return safe_name(last) if last.isidentifier() and len(last) > 2 else "block"
