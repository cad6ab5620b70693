"""`as "layer{i + 1}"[j]`: the path that a label stands for."""

from __future__ import annotations

from compiler.elaborate.scopes.application import Label
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.paths import is_path
from compiler.elaborate.values.arithmetic import whole
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import find_hint
from compiler.elaborate.values.values import Known, Poison
from compiler.ir.hint import Hint, HintConst, HintText, find_readable, hint_names, whole_hint
from compiler.report.messages.functions import not_whole
from compiler.report.messages.nets import bad_label
from compiler.text.tree.syntax import Name, StageLabel


def read_label(body: Body, syntax: StageLabel) -> Label | None:
    """The label, or None where it is refused, which is reported."""
    if isinstance(syntax.base, Name):
        text = syntax.base.text
        parts: list[Hint | None] = [HintConst(text)]
    else:
        value = body.evaluate(syntax.base)
        if not isinstance(value, Known) or not isinstance(value.value, str):
            return None
        text = value.value
        parts = list(value.hint.parts) if isinstance(value.hint, HintText) else [value.hint]
    for index in syntax.indices:
        value = body.evaluate(index)
        if isinstance(value, Poison):
            return None
        number = whole(value) if isinstance(value, Known) else None
        written = find_hint(value)
        parts += [HintConst("."), None if written is None else whole_hint(written)]
        if isinstance(value, Known) and isinstance(value.value, str):
            text += f".{value.value}"
        elif isinstance(number, int) and number >= 0:
            text += f".{number}"
        else:
            body.report(not_whole(index.span, "the index of a stage", describe(value)))
            return None
    if not is_path(text):
        body.report(bad_label(syntax.span, text))
        return None
    known = tuple(read for part in parts if (read := find_readable(part)) is not None)
    named = len(known) == len(parts) and any(True for part in known for _ in hint_names(part))
    return Label(text, syntax.span, HintText(known) if named else None)
