"""`tiny.vocab`: numbers that the data tell when compiling."""

from __future__ import annotations

from compiler.elaborate.scopes.context import Body, FileScope
from compiler.elaborate.scopes.resolve import find_entry
from compiler.elaborate.values.values import POISON, Known, Val
from compiler.report.messages.columns import unknown_attribute_of_data
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Attribute, Data, Expr, Group, Name


def find_data(body: Body, expression: Expr) -> tuple[FileScope, Data] | None:
    """The data item that an expression names, unless the body gives the name another meaning."""
    while isinstance(expression, Group):
        expression = expression.inner
    if not isinstance(expression, Name) or any(expression.text in n for n in body.names):
        return None
    found = find_entry(body.file, expression.text, expression.span)
    if isinstance(found, tuple) and isinstance(found[1], Data):
        return found[0], found[1]
    return None


def read_data_attribute(body: Body, owner: FileScope, item: Data, attribute: Attribute) -> Val:
    """The value of `data.name`; an unknown one is reported."""
    attributes = body.session.data_attributes(owner, item, attribute.span)
    if attributes is None:
        return POISON
    name = attribute.name
    if name.text in attributes:
        return Known(attributes[name.text])
    if body.partial:  # it may be a column of data that were refused
        return POISON
    known = tuple(attributes)
    near = did_you_mean(name.text, known)
    body.report(unknown_attribute_of_data(name.span, item.name.text, name.text, known, near))
    return POISON
