"""`one_hot` in data items: of a column of words it knows the number of categories."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.data.base import Column
from compiler.elaborate.scopes.application import Application
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.arithmetic import whole
from compiler.elaborate.values.functions import Refusal
from compiler.elaborate.values.values import (
    ArgumentValue,
    DTypeValue,
    Function,
    FunctionLayer,
    Known,
    OpLayer,
    Tensor,
    Val,
)
from compiler.ops.gathering import OneHot

ONE_HOT = "one_hot"


def bind_one_hot(body: Body, schema: Sequence[Column]) -> None:
    """Lets `one_hot(kind)` stand for `one_hot(kind, N)` where `kind` is a raw column with N
    categories. Any other use is the op's own."""
    counts = {c.name: len(c.categories) for c in schema if c.categories}
    if not counts:
        return

    def call(arguments: Sequence[Val]) -> Val:
        """Whole numbers as vectors with a single 1."""
        x, *rest = arguments
        if not isinstance(x, Tensor):
            raise Refusal(0, "a categorical column or classes")
        given: dict[str, ArgumentValue] = {}
        for index, value in enumerate(rest, 1):
            number = whole(value) if isinstance(value, Known) else None
            if isinstance(value, DTypeValue):
                given["dtype"] = ArgumentValue(value, x.made)
            elif isinstance(number, int):
                least = counts.get(x.value.name, 0)
                if number < least:
                    raise Refusal(
                        index, f"at least {least}, the number of categories of the column"
                    )
                given["classes"] = ArgumentValue(value, x.made)
            else:
                raise Refusal(index, "the number of classes")
        if "classes" not in given:
            count = counts.get(x.value.name)
            if count is None:
                raise Refusal(0, "a raw column with categories, or `one_hot(x, classes)`")
            given["classes"] = ArgumentValue(Known(count), x.made)
        layer = OpLayer(OneHot, given, x.made, body.frame)
        return body.apply(layer, [ArgumentValue(x, x.made)], Application(x.made))

    summary = "Whole numbers as vectors with a single 1."
    function = Function(ONE_HOT, 1, 3, summary, call)
    body.names[0].setdefault(ONE_HOT, FunctionLayer(function, body.file.file.items[0].span))
