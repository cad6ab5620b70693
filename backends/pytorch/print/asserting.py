"""What arguments must hold, at the top of a constructor or function."""

from __future__ import annotations

import re

from backends.pytorch.classes.asserting import Lack, find_asserts, find_lacks
from backends.pytorch.classes.explained import ExplainedClass
from backends.pytorch.print.making import Read, write_header
from backends.pytorch.terms.document import STEP, Group, lay_out, write_test
from backends.pytorch.terms.expressions import Expressions, hint_tree
from backends.pytorch.terms.terms import Part, name
from compiler.ir.hint import Hint, opposite
from compiler.writing.names import safe_name
from compiler.writing.python import write_string


def write_asserts(
    target: ExplainedClass, expressions: Expressions, read: Read, indent: int
) -> list[str]:
    """`if size % patch != 0: raise ValueError("…")` for every `assert` of the block, and for every
    branch that the class does not have."""
    writer = _Asserts(expressions, read, indent)
    lines: list[str] = []
    for test, text in find_asserts(target):
        said = text or f"{writer.say(test)} must hold"
        lines += writer.refuse(writer.say(opposite(test)), said)
    for lack in find_lacks(target):
        lines += writer.lack(lack)
    return lines


class _Asserts:
    """Writes single tests."""

    def __init__(self, expressions: Expressions, read: Read, indent: int) -> None:
        self.expressions = expressions
        self.read = read
        self.indent = indent

    def say(self, test: Hint) -> str:
        """A condition on the arguments."""
        return self.expressions.text(hint_tree(test, self.read))

    def refuse(self, test: str, said: str) -> list[str]:
        """`if test: raise ValueError(said)`."""
        error = ("raise ValueError", Group("(", (write_string(said),), ")"))
        return [*write_test(test, self.indent), *lay_out("", error, self.indent + STEP)]

    def lack(self, lack: Lack) -> list[str]:
        """`if any(i > 2 for i in range(depth)): …` where loops go round it."""
        bound = {label for names, _ in lack.loops for label in names}

        def read(label: str) -> Part:
            return name(safe_name(label)) if label in bound else self.read(label)

        text = said = self.expressions.text(hint_tree(lack.test, read))
        for names, over in reversed(lack.loops):
            used = set(re.findall(r"\w+", text))
            shown, rows = write_header(names, hint_tree(over, read), used)
            text = f"any({text} for {shown} in {self.expressions.text(rows)})"
        where = "turn of a loop" if lack.loops else "call"
        return self.refuse(text, f"no {where} of the network has {said}")
