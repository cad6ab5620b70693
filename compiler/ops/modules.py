"""How ops with weights are written in PyTorch: as a module, or as the function behind it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import ClassVar

from compiler.ir.graph import Node, Op
from compiler.ir.spelled import fill_axes
from compiler.ops.axes import operand_type
from compiler.types.tensor import TensorType
from compiler.vocabulary.spelling import Call, In, Leaf, Own, Spelling, Term


class Modular(Op):
    """Base of ops for which PyTorch has a module that holds their weights, and a function that
    is given them. A module takes sizes of its operand, then options as any call does; a function
    takes operands, options without a default, weights, and other options by keyword."""

    torch_sizes: ClassVar[Mapping[str, int]] = {}
    """Sizes of the operand that the module is told: axes, by what an argument is called."""
    torch_widths: ClassVar[Mapping[str, int]] = {}
    """Options that are sizes of the result: its axes, by the fields."""
    shaping: ClassVar[Collection[str]] = ("affine", "bias")
    """Options that only say which weights there are and how they start: the function, which is
    given weights, has none of them."""

    def torch(self, node: Node) -> Spelling:
        made = self.spell_module(node)
        if not holds_weights(node):
            return Spelling(self.spell_function(node), module=made)
        if owns_weights(node):
            return Spelling(self.spell_call_of_module(node), made)
        return Spelling(self.spell_function(node))

    def spell_module(self, node: Node) -> Call:
        """What makes the module."""
        places, options = self.spell_settings(node, without=())
        arguments = self.order_places(self.spell_sizes(node), places)
        return Call(fill_axes(self.torch_module, node.types), arguments, options)

    def spell_call_of_module(self, node: Node) -> Term:
        """The call of the module."""
        return Call(Own(), self.spell_operands(node))

    def spell_function(self, node: Node) -> Term:
        """The call of the function behind the module."""
        places, options = self.spell_settings(node, without=self.shaping)
        weights, named = self.spell_weights(node)
        told = (*self.spell_shape(node), *places)
        arguments = (*self.spell_operands(node), *told, *weights)
        function = fill_axes(self.torch_function, node.types)
        return Call(function, arguments, (*named, *options))

    def spell_sizes(self, node: Node) -> tuple[Term, ...]:
        """What the module is told of its operand."""
        x = input_type(node)
        return tuple(spell_size(x, axis, role) for role, axis in self.torch_sizes.items())

    def spell_shape(self, node: Node) -> tuple[Term, ...]:
        """What the function is told of its operand."""
        return ()

    def order_places(self, sizes: tuple[Term, ...], options: tuple[Term, ...]) -> tuple[Term, ...]:
        """The arguments of the module that stand by place."""
        return (*sizes, *options)

    def spell_operands(self, node: Node) -> tuple[Term, ...]:
        """The operands of the module and of the function."""
        return tuple(map(In, range(len(self.operands))))

    def spell_weights(self, node: Node) -> tuple[tuple[Term, ...], tuple[tuple[str, Term], ...]]:
        """The weights as arguments of the function, by place and by keyword."""
        return tuple(map(In, range(len(self.operands), len(node.inputs)))), ()

    def spell_settings(
        self, node: Node, *, without: Collection[str]
    ) -> tuple[tuple[Term, ...], tuple[tuple[str, Term], ...]]:
        """The options as arguments by place and by keyword."""
        places: list[Term] = []
        named: list[tuple[str, Term]] = []
        for item in fields(self):  # type: ignore[arg-type]
            term = self.spell_setting(item.name, node) if item.name not in without else None
            if term is None:
                continue
            if self.stands_by_place(item.name):
                places.append(term)
            else:
                named.append((self.torch_keywords.get(item.name, item.name), term))
        return tuple(places), tuple(named)

    def spell_setting(self, field: str, node: Node) -> Term | None:
        """The argument that an option of a node stands for; None where the call has none."""
        term = self.spell_option(field)
        if isinstance(term, Leaf) and field in self.torch_widths:
            axis = self.torch_widths[field] % node.outputs[0].type.rank
            return replace(term, dim=("out", 0, axis))
        return term


def spell_size(x: TensorType, axis: int, role: str) -> Leaf:
    """The size of an axis of the operand as an argument of a module."""
    size, place = x.shape[axis], axis % x.rank
    return Leaf(size if size.known is None else size.known, role, dim=("in", 0, place))


def input_type(node: Node, index: int = 0) -> TensorType:
    """The type of an input of a node."""
    return operand_type(node.types, index)


def holds_weights(node: Node) -> bool:
    """Whether a node has weights."""
    return len(node.inputs) > len(node.op.operands)


def owns_weights(node: Node) -> bool:
    """Whether every weight of a node is its own, so that a module can hold them: none is tied
    to another layer's or computed. Own weights have the paths `<slot>.<name>`."""
    slot = ".".join(part for part in (node.scope.path, node.origin.name) if part)
    count = len(node.op.operands)
    made = node.op.weights(node.types[:count])
    given = node.inputs[count:]
    return all(
        value is not None and value.name == f"{slot}.{weight.name}"
        for weight, value in zip(made, given, strict=True)
    )
