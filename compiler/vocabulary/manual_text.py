"""The text of an entry of the manual: what it says, and its parts under labels (`Source: …`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from textwrap import dedent

from compiler.records import dataclass

LABELS = ("Shapes", "Cost", "Errors", "Example", "Source")
"""Words that begin a part of an entry: `Cost: `."""

_LABEL = re.compile(rf"({'|'.join(LABELS)}):(?: |$)")
_SPAN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class ManualText:
    """An entry in its parts: `prose` with the options, and the others by label."""

    prose: str
    parts: Mapping[str, str]

    @property
    def options(self) -> str:
        """The list of options, which ends the prose."""
        start = re.search(r"^- `", self.prose, re.MULTILINE)
        return self.prose[start.start() :] if start is not None else ""

    @property
    def about(self) -> str:
        """The prose without the options."""
        return self.prose.removesuffix(self.options).strip()

    @property
    def example(self) -> str:
        """The lines of Weft of the example: a block that stands by itself, or code in a line."""
        text = self.parts.get("Example", "")
        if text.startswith("    "):
            return dedent(text).strip()
        return "\n".join(span.replace("\n", " ") for span in _SPAN.findall(text))


def read_manual(text: str) -> ManualText:
    """The parts of a docstring, or of a comment `##` of a block. A part ends at the next label, at
    a list, and at an empty line that no indented one follows."""
    prose: list[str] = []
    parts: dict[str, list[str]] = {}
    current = prose
    lines = text.split("\n")
    for number, line in enumerate(lines):
        label = _LABEL.match(line)
        if label is not None:
            current = parts.setdefault(label[1], [])
            line = line[label.end() :]
        elif current is not prose and _ends_part(line, lines[number + 1 :]):
            current = prose
        current.append(line)
    joined = {label: "\n".join(found).strip("\n") for label, found in parts.items()}
    return ManualText(re.sub(r"\n{3,}", "\n\n", "\n".join(prose)).strip(), joined)


def _ends_part(line: str, rest: list[str]) -> bool:
    if line.strip():
        return line.startswith("- ")
    following = next((other for other in rest if other.strip()), "")
    return not following.startswith("    ")
