"""Messages about ONNX files that are measured."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.wording import list_words


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
class BuiltOtherwise(Message):
    """An ONNX file was built with other settings than the spec has now, or than `--set` gives: its
    net was trained at another rate, say, or pruned by another share. Figures of it would be taken
    for those of these settings.

    The training beside the file and the record of its build say what the settings were. What is
    measured may be another thing: metrics, columns and the split are compared as well, and named
    beside the figures where they differ.
    """

    code: ClassVar[str] = "W1394"

    file: str
    others: tuple[str, ...]

    def title(self) -> str:
        return f"`{self.file}` was built with other settings"

    def label(self) -> str:
        return "; ".join(self.others)

    def help(self) -> str:
        return "give the settings that it was built with, or build anew: `weft build`"


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
