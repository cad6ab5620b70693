"""Numbers of a train that change with its steps: functions of the step, and what they give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import final

from backends.pytorch.fold.printed import Printed
from backends.pytorch.terms.naming import user_name
from backends.pytorch.train.code import Function
from backends.pytorch.train.computed import prune
from compiler.ir.frame import Site
from compiler.ir.graph import Graph, Node, Value
from compiler.ir.hint import Hint, HintName
from compiler.ops.choosing import torch_dtype
from compiler.ops.fused.moments import Ramped
from compiler.program.train import Train
from compiler.records import dataclass
from compiler.training.expression import Formula
from compiler.types.tensor import DType
from compiler.vocabulary.spelling import Call, Device, Name, Spelling, Term
from compiler.writing.names import (
    LOCAL_RESERVED,
    SCRIPT_GLOBALS,
    SCRIPT_LOCALS,
    free_name,
    safe_name,
)

GIVEN = ("step", "epoch", "steps", "steps_per_epoch")
"""What a function of a number may be given: the step and the epoch, from 1, and how many there
are."""
UNNAMED = "weight"
"""What a number is called that its author gave no name."""


@final
@dataclass(frozen=True)
class Given(Printed):
    """A number that a function of a script is given. It exists in generated scripts only."""

    name = "given"
    called: str
    dtype: DType
    at_hand: bool

    def torch(self, node: Node) -> Spelling:
        """The variable, or a tensor of it where there must be one."""
        number = Name(self.called)
        options: list[tuple[str, Term]] = [("dtype", torch_dtype(self.dtype))]
        options += [("device", Device())] if self.at_hand else []
        return Spelling(Call("torch.tensor", (number,), tuple(options)), number=number)


@dataclass(frozen=True)
class Number:
    """A number that changes: its variable, and the function that computes it."""

    value: Value
    name: str
    function: str
    lines: tuple[str, ...]

    @property
    def type(self) -> str:
        """Its type in Python."""
        dtype = self.value.type.dtype
        return "float" if dtype.is_float else "int" if dtype.is_integer else "bool"

    @property
    def reads(self) -> tuple[str, ...]:
        """What its function is given."""
        text = "\n".join(self.lines)
        return tuple(name for name in GIVEN if re.search(rf"\b{name}\b", text))

    def call(self, values: Mapping[str, str]) -> str:
        """The statement that computes it, of these values."""
        return f"{self.name} = {self.function}({', '.join(values[name] for name in self.reads)})"


@dataclass(frozen=True)
class TrainNumbers:
    """The numbers of a train that change with its steps."""

    train: Train

    @cached_property
    def trees(self) -> Mapping[str, Hint]:
        """Values that follow from how far the training is alone, as Python writes them. Those
        inside of blocks are computed there."""
        graph, found = self.train.graph, dict[str, Hint]()
        constants: dict[str, Hint] = {}
        for node in graph.nodes:
            operands = [_find(v, found, constants) for v in node.inputs]
            known = [tree for tree in operands if tree is not None]
            if node.scope is not graph.frame or len(node.outputs) > 1 or node.output.type.rank:
                continue
            timed = any(v is not None and v.name in found for v in node.inputs)
            tree = node.op.write_number(*known) if len(known) == len(operands) else None
            if isinstance(node.op, Ramped):
                tree = HintName(self._call_ramp(node.op))
            if tree is not None and (timed or node.op.of_time):
                found[node.output.name] = tree
            elif tree is not None and not node.inputs:
                constants[node.output.name] = tree
        return found

    @cached_property
    def ramps(self) -> Mapping[Ramped, str]:
        """The functions of ramps, by what they follow."""
        ops = (node.op for node in self.train.graph.nodes if isinstance(node.op, Ramped))
        different = enumerate(dict.fromkeys(ops), 1)
        return {op: f"ramp_{place}" if place > 1 else "ramp" for place, op in different}

    def _call_ramp(self, op: Ramped) -> str:
        lines = "\n".join(op.ramp.code("steps", "steps_per_epoch"))
        given = [name for name in GIVEN if re.search(rf"\b{name}\b", lines)]
        values = {"step": "step - 1"}
        return f"{self.ramps[op]}({', '.join(values.get(name, name) for name in given)})"

    @cached_property
    def numbers(self) -> Mapping[str, Number]:
        """The numbers that something else reads, by their values; equal ones once."""
        if not self.trees:
            return {}
        graph = self.train.graph
        taken = {*LOCAL_RESERVED, *SCRIPT_GLOBALS, *SCRIPT_LOCALS, *GIVEN}
        taken |= {safe_name(item.name) for item in graph.inputs}
        taken |= {safe_name(output.name) for output in graph.outputs}
        taken |= {safe_name(net.name) for net in self.train.nets}
        made: dict[str, Number] = {}
        alike: dict[Hint, Number] = {}
        for value in self._list_read(graph):
            tree = self.trees[value.name]
            if tree not in alike:
                name = free_name(user_name(value.name) or UNNAMED, taken, "_")
                function = free_name(f"find_{name}", taken, "_")
                taken |= {name, function}
                alike[tree] = Number(value, name, function, self._write(value))
            made[value.name] = alike[tree]
        return made

    def _write(self, value: Value) -> tuple[str, ...]:
        """The body of the function of a number."""
        tree = self.trees[value.name]
        for op in self.ramps:
            if tree == HintName(self._call_ramp(op)):
                return tuple(op.ramp.code("steps", "steps_per_epoch", "(step - 1)"))
        return (f"return {Formula(tree)}",)

    def _list_read(self, graph: Graph) -> list[Value]:
        """The numbers that nodes of a graph read which are none, or that it puts out."""
        rest = [n for n in graph.nodes if all(v.name not in self.trees for v in n.outputs)]
        read = [v for node in rest for v in node.inputs]
        read += [output.value for output in graph.outputs]
        found = {v.name: v for v in read if v is not None and v.name in self.trees}
        return list(found.values())

    def find(self, graph: Graph) -> tuple[Number, ...]:
        """The numbers that a part of the train's graph reads."""
        found = (self.numbers[value.name] for value in self._list_read(graph))
        return tuple({number.name: number for number in found}.values())

    def give(self, graph: Graph) -> Graph:
        """A part of the train's graph with variables in place of its numbers."""
        read = {value.name for value in self._list_read(graph)}
        if not read:
            return graph
        nodes: list[Node] = []
        for node in graph.nodes:
            if node.outputs[0].name in read:
                name, dtype = self.numbers[node.output.name].name, node.output.type.dtype
                op = Given(name, dtype, bool(graph.inputs))
                node = replace(node, op=op, inputs=(), origin=Site(node.origin.span))
            nodes.append(node)
        return prune(replace(graph, nodes=tuple(nodes)), graph.outputs)

    def write(self) -> Iterator[Function]:
        """The functions of the numbers."""
        texts = [line for number in self.numbers.values() for line in number.lines]
        for op, name in self.ramps.items():
            if any(re.search(rf"\b{name}\(", line) for line in texts):
                lines = tuple(op.ramp.code("steps", "steps_per_epoch"))
                parameters = _list_parameters("\n".join(lines))
                yield Function(name, parameters, "float", lines, ("A ramp, from step 0 on.",))
        for number in {n.name: n for n in self.numbers.values()}.values():
            parameters = tuple(f"{name}: int" for name in number.reads)
            counted = [n for n in number.reads if n in ("step", "epoch")]
            doc = f"`{number.name}` at {' and '.join(f'a {n}' for n in counted)}, from 1 on."
            doc = doc.replace("a epoch", "an epoch")
            yield Function(number.function, parameters, number.type, number.lines, (doc,))


def _list_parameters(text: str) -> tuple[str, ...]:
    return tuple(f"{name}: int" for name in GIVEN if re.search(rf"\b{name}\b", text))


def _find(
    value: Value | None, found: Mapping[str, Hint], constants: Mapping[str, Hint]
) -> Hint | None:
    if value is None:
        return None
    return found.get(value.name) or constants.get(value.name)


def list_statements(numbers: Sequence[Number], values: Mapping[str, str]) -> list[str]:
    """Statements that compute numbers, of these values."""
    return [number.call(values) for number in numbers]
