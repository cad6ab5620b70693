"""How an op is written in PyTorch, as far as that follows from its fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import ClassVar

from compiler.ir.operands import Types
from compiler.ir.traits import Traits
from compiler.vocabulary.no_default import NO_DEFAULT
from compiler.vocabulary.spelling import Call, In, Leaf, Method, Spelling, Term
from compiler.vocabulary.spelling import Sequence as Items


class Spelled(Traits):
    """A call of PyTorch with operands and weights first. Options without a default follow by place,
    others by keyword, and not at all where they have the default, which is PyTorch's."""

    torch_function: ClassVar[str] = ""
    """PyTorch's function, `F.elu`; where it is empty, that of the op's name in `torch`. `{axes}` is
    the number of axes of space: `F.conv{axes}d`."""
    torch_method: ClassVar[str] = ""
    """The method of the first operand that takes the place of a function."""
    torch_module: ClassVar[str] = ""
    """The module that does the same with the same options: `nn.ELU`."""
    torch_keywords: ClassVar[Mapping[str, str]] = {}
    """PyTorch's keywords by fields or optional operands, where it calls them otherwise; an option
    that is named here stands by keyword."""
    torch_roles: ClassVar[Mapping[str, str]] = {}
    """What an argument of a class that is made of a field is called, where that is no field's
    name: PyTorch's own word, or a plainer one."""

    def leaf(self, field: str, role: str = "", dim: tuple[str, int, int] | None = None) -> Leaf:
        """A field as an argument, which PyTorch can do without where it has its default."""
        default = getattr(type(self), field, NO_DEFAULT)
        return Leaf(
            getattr(self, field), role or self.torch_roles.get(field, field), default, field, dim
        )

    def named(self, field: str) -> tuple[str, Leaf]:
        """A field as an argument by keyword."""
        return self.torch_keywords.get(field, field), self.leaf(field)

    def spell_option(self, field: str) -> Term | None:
        """The argument that a field stands for; None where the call has none."""
        return self.leaf(field)

    def spell_options(self) -> tuple[tuple[str, Term], ...]:
        """The arguments by keyword."""
        names = (name for name in _list_fields(type(self)) if not self.stands_by_place(name))
        found = ((self.torch_keywords.get(n, n), self.spell_option(n)) for n in names)
        return tuple((keyword, term) for keyword, term in found if term is not None)

    def spell_call(self, types: Types) -> Spelling:
        """The call, for inputs of these types."""
        inputs, optional = self._spell_inputs([found is not None for found in types])
        places = filter(self.stands_by_place, _list_fields(type(self)))
        arguments = tuple(term for term in map(self.spell_option, places) if term is not None)
        options = self.spell_options()
        named = (*optional, *options)
        if self.torch_method:
            first, *others = inputs
            return Spelling(Method(first, self.torch_method, (*others, *arguments), named))
        function = fill_axes(self.torch_function or f"torch.{self.name}", types)
        name = fill_axes(self.torch_module, types)
        module = Call(name, arguments, options) if name else None
        return Spelling(Call(function, (*inputs, *arguments), named), module=module)

    def _spell_inputs(self, given: Sequence[bool]) -> tuple[list[Term], list[tuple[str, Term]]]:
        """Operands and weights by place, a list of tensors as one argument; and optional operands
        by keyword, where they are there."""
        places = range(len(given))
        if any(operand.variadic for operand in self.operands):
            return [Items(tuple(map(In, places)), "[]")], []
        optional = {i: operand.name for i, operand in enumerate(self.operands) if operand.optional}
        named = ((name, In(i)) for i, name in optional.items() if given[i])
        return (
            [In(i) for i in places if i not in optional],
            [(self.torch_keywords.get(name, name), term) for name, term in named],
        )

    def stands_by_place(self, field: str) -> bool:
        """Whether a field is an argument by place."""
        return not (field in self.torch_keywords or hasattr(type(self), field))


def fill_axes(name: str, types: Types) -> str:
    """A name of PyTorch's for inputs of these types: of tensors without axes of space, that for
    one such axis."""
    if "{axes}" not in name:
        return name
    x = types[0]
    assert x is not None, "only optional operands are left out"
    return name.format(axes=max(x.rank - 2, 1))


def _list_fields(op: type[Spelled]) -> list[str]:
    return [item.name for item in fields(op)]  # type: ignore[arg-type]
