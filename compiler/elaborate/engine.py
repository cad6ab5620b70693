"""Joins the parts of elaboration that need each other."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.elaborate.bodies import statements
from compiler.elaborate.bodies.code_clauses import BLOCK_CLAUSES, MODEL_CLAUSES, make_net
from compiler.elaborate.evaluate import expressions, layers
from compiler.elaborate.scopes.application import Application, ExpectedUse
from compiler.elaborate.scopes.context import Body, ClauseTable, FileNet, FileScope
from compiler.elaborate.values.values import ArgumentValue, GraphState, Layer, Val
from compiler.text.tree.syntax import Expr, Item, Let, Model, Statement


class Elaboration:
    """Implements `Engine`."""

    def evaluate(self, body: Body, expression: Expr, want: ExpectedUse) -> Val:
        """The value of an expression."""
        return expressions.evaluate(body, expression, want)

    def apply(
        self, body: Body, layer: Layer, inputs: Sequence[ArgumentValue], application: Application
    ) -> Val:
        """The result of a layer on tensors."""
        return layers.apply_layer(body, layer, inputs, application)

    def execute(self, body: Body, listed: Sequence[Statement]) -> None:
        """Runs statements in order, up to a `return`."""
        statements.execute(body, listed)

    def clauses_of(self, item: Item) -> ClauseTable:
        """The clauses that mean something in the body of a block or model."""
        return MODEL_CLAUSES if isinstance(item, Model) else BLOCK_CLAUSES

    def evaluate_entry(self, file: FileScope, entry: Let | FileNet, home: GraphState | None) -> Val:
        """The value of a `let` or a net at file level; tensors are made under the root frame of
        the graph that asks for it."""
        if isinstance(entry, Let):
            root = home.root if home is not None else None
            frame = root.frame if root is not None else None
            outside = Body(file.session, file, root, frame, BLOCK_CLAUSES)
            binding = entry.binding
            value = outside.evaluate(binding.value, ExpectedUse((binding.name.text,)))
            return statements.check_binding(outside, binding, value)
        outside = Body(file.session, file, None, None, BLOCK_CLAUSES)
        value = outside.evaluate(entry.value)
        name = entry.name
        return make_net(outside, name, name.text, name.text, value, entry.value.span)
