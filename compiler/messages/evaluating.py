"""Messages about ONNX files that are measured."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.diagnostics import Message
from compiler.messages.wording import list_words
from compiler.records import dataclass


@final
@dataclass(frozen=True)
class OtherFile(Message):
    """An ONNX file is not that of a deployment: it holds another net, takes or gives something
    else, or has other labels. Figures of it would be no figures of what the spec deploys.

    A file that Weft did not write is held against the inputs, outputs and labels alone.
    """

    code: ClassVar[str] = "W1215"

    file: str
    reasons: tuple[tuple[str, str], ...]  # (deployment, why not)

    def title(self) -> str:
        names = list_words([name for name, _ in self.reasons])
        return f"`{self.file}` is not a file of {names}"

    def label(self) -> str:
        if len(self.reasons) == 1:
            return self.reasons[0][1]
        return "; ".join(f"`{name}`: {reason}" for name, reason in self.reasons)

    def help(self) -> str:
        return "give the file that `weft build` or `weft compile` makes of the deployment"


@final
@dataclass(frozen=True)
class WhichDeployment(Message):
    """An ONNX file may be that of several deployments, whose figures differ: they are of other
    trains or other data."""

    code: ClassVar[str] = "W1216"

    file: str
    names: tuple[str, ...]

    def title(self) -> str:
        return f"`{self.file}` may be the file of {list_words(self.names)}"

    def label(self) -> str:
        return "which of them?"

    def help(self) -> str:
        return f"name one of them: `weft eval SPEC {self.names[0]} --onnx {self.file}`"
