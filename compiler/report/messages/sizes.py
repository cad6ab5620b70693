"""Messages about sizes that `fix` and `target` give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.report.messages.deployments import WIDE, deploy_spec
from compiler.report.source import Span


@final
@dataclass(frozen=True)
class SizeTwice(Message):
    """A clause gives a size twice: only one of them can hold."""

    code: ClassVar[str] = "W1213"
    bad: ClassVar[str] = deploy_spec("fix height=8, width=8, height=16", subject="wide") + WIDE
    good: ClassVar[str] = deploy_spec("fix height=8, width=8", subject="wide") + WIDE

    dim: str
    first: Span | None = None

    def title(self) -> str:
        return f"`{self.dim}` has a size already"

    def labels(self) -> Sequence[Label]:
        return (Label(self.first, "the first one"),) if self.first is not None else ()

    def help(self) -> str:
        return "give each size once"
