"""Comments that silence lints at their line: `# weft: allow NAME, NAME`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from compiler.elaborate.scopes.tracing import walk
from compiler.records import dataclass
from compiler.report.diagnostics import MESSAGES, Message
from compiler.report.messages import load_messages
from compiler.report.messages.allowances import allows_nothing, malformed_allowance, unknown_lint
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Binding, Block, Clause, File, Model, Return, Unpack

FORM = re.compile(r"# weft: *allow +(\w+(?: *, *\w+)*)")


@dataclass(frozen=True)
class Allowance:
    """A name in a comment, and the lines at which the lint of that name is silent."""

    span: Span
    lines: range

    @property
    def name(self) -> str:
        """The name of the lint."""
        return self.span.text

    def silences(self, message: Message) -> bool:
        """Whether a message is of the lint, and one of the places that it shows at these lines."""
        kind, place = message.kind, message.span
        if not kind.lint or kind.name != self.name or place is None:
            return False
        return any(map(self._touches, (place, *(label.span for label in message.text.labels))))

    def _touches(self, place: Span) -> bool:
        source = self.span.source
        if place.source is not source:
            return False
        first, last = source.position(place.start)[0], source.position(place.end)[0]
        return first < self.lines.stop and self.lines.start <= last


class Allowances:
    """The comments of a file and of those that it uses. `lines` are those of the file at which an
    expression was elaborated."""

    def __init__(self, files: Iterable[File]) -> None:
        self.mistakes: list[Message] = []
        self.all = [a for file in files for a in self._read(file)]
        self.used: set[Span] = set()

    def select(self, messages: Iterable[Message]) -> Iterator[Message]:
        """The messages that are not silenced."""
        for message in messages:
            found = [a for a in self.all if a.silences(message)]
            self.used |= {a.span for a in found}
            if not found:
                yield message

    def find_unused(self, file: File, lines: set[int]) -> Iterator[Message]:
        """Those of a file that silenced nothing, at lines that were elaborated. Blocks and models
        have others: branches that are not taken, blocks that nothing calls."""
        quiet = [e.span for e in file.items if isinstance(e, Block | Model)]
        for allowance in self.all:
            span = allowance.span
            if span.source is not file.source or span in self.used:
                continue
            inside = any(s.start <= span.start < s.end for s in quiet)
            if not inside or not lines.isdisjoint(allowance.lines):
                first, last = allowance.lines[0], allowance.lines[-1]
                where = f"line {first}" if first == last else f"the statement at line {first}"
                yield allows_nothing(span, allowance.name, f"{where} gives no such warning")

    def _read(self, file: File) -> Iterator[Allowance]:
        known: Mapping[str, str] = {}
        for comment in file.directives:
            found = FORM.fullmatch(comment.text)
            if found is None:
                self.mistakes.append(malformed_allowance(comment))
                continue
            known = known or _list_lints()
            lines = _find_lines(file, comment)
            for name in re.finditer(r"\w+", found[1]):
                start = comment.start + found.start(1)
                span = Span(comment.source, start + name.start(), start + name.end())
                if name[0] in known.values():
                    yield Allowance(span, lines)
                else:
                    near = known.get(name[0]) or did_you_mean(name[0], sorted(known.values()))
                    self.mistakes.append(unknown_lint(span, name[0], near))


def _list_lints() -> Mapping[str, str]:
    """The names of lints by their codes."""
    load_messages()
    return {code: kind.name for code, kind in MESSAGES.items() if kind.lint}


def _find_lines(file: File, comment: Span) -> range:
    """The line of a comment behind something; of one by itself, those of the statement below."""
    source, line = comment.source, comment.source.position(comment.start)[0]
    if not comment.starts_line:
        return range(line, line + 1)
    line += 1
    while line < len(source.line_starts) and source.line(line).lstrip()[:1] in ("", "#"):
        line += 1
    ends = [line]
    for node in walk(file.items):
        whole = isinstance(node, Binding | Unpack | Return) or (
            isinstance(node, Clause) and node.body is None
        )
        if whole and source.position(node.span.start)[0] == line:
            ends.append(source.position(node.span.end)[0])
    return range(line, max(ends) + 1)
