"""Texts beside raw columns of data: `kind == "red"`, `day >= "2024-03-01"`."""

from __future__ import annotations

from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.values import POISON, CellTexts, Known, Tensor, Val
from compiler.report.messages.series import no_such_cell
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean

EQUALITIES = ("==", "!=")
ORDERS = ("<", "<=", ">", ">=")


def find_texts(body: Body, symbol: str, value: Val) -> CellTexts | None:
    """What texts mean beside a value; None where they mean nothing there."""
    if not isinstance(value, Tensor) or body.home is None:
        return None
    texts = body.home.root.texts.get(value.value.name)
    if texts is None or symbol not in (EQUALITIES if texts.words else EQUALITIES + ORDERS):
        return None
    return texts


def read_text(body: Body, texts: CellTexts, text: str, span: Span) -> Val:
    """The number that stands for a text in a column."""
    number = texts.read(text)
    if number is not None:
        return Known(number)
    near = did_you_mean(text, texts.words)
    body.report(no_such_cell(span, texts.column, text, texts.words, near))
    return POISON


def read_texts(
    body: Body, symbol: str, values: tuple[Val, Val], spans: tuple[Span, Span]
) -> tuple[Val, Val]:
    """Two operands, a text beside a raw column as the number that stands for it."""
    left, right = values
    match left, right:
        case Known(str() as text), _ if (texts := find_texts(body, symbol, right)) is not None:
            return read_text(body, texts, text, spans[0]), right
        case _, Known(str() as text) if (texts := find_texts(body, symbol, left)) is not None:
            return left, read_text(body, texts, text, spans[1])
    return values
