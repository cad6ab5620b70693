"""The one way to make nodes: append-only, every node type-checked as it is added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from compiler.ir.authored import Alias, Assertion, Decision
from compiler.ir.frame import Frame, Pick, Site
from compiler.ir.graph import Condition, Graph, Input, Node, Op, Output, Parameter, Value
from compiler.ir.hint import Hint
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.types.dims import Dim, DimTooLarge
from compiler.types.tensor import MAX_RANK, TensorType
from compiler.vocabulary.initializers import Initializer

MAX_ENTRIES = 2**63 - 1
"""Entries of the largest tensor: more cannot be counted by any backend."""

MAX_WEIGHT = 128
"""Symbols and numbers in the number of entries of a tensor."""


def check_size(type: TensorType) -> TensorType:
    """The type of a tensor that may exist.

    Raises:
        DimTooLarge: it has more entries than can be counted, or its shape is too long to reason
            about.
    """
    if type.rank > MAX_RANK:
        raise DimTooLarge(f"a tensor has at most {MAX_RANK} axes, this one has {type.rank}")
    size = type.size
    if any(abs(coefficient) > MAX_ENTRIES for _, coefficient in size.terms):
        raise DimTooLarge(f"{type} has more entries than can be counted in 64 bits")
    if size.weight > MAX_WEIGHT:
        raise DimTooLarge("the number of entries of this tensor takes a page to write down")
    return type


def own_names(names: Iterable[str]) -> list[str]:
    """Names that a spec gives to values: `%` begins those of values that have none."""
    return [f"_{name}" if name.startswith("%") else name for name in names]


class Changes(Protocol):
    """What stands in place of what was added before: other frames, paths, and values by name."""

    values: dict[str, Value]

    def path(self, path: str) -> str:
        """The path of a parameter."""

    def frame(self, frame: Frame) -> Frame:
        """The frame of a node."""

    def site(self, site: Site) -> Site:
        """Where a node comes from."""

    def hint(self, hint: Hint) -> Hint:
        """How something was written."""

    def hints(self, hints: tuple[tuple[str, Hint], ...]) -> tuple[tuple[str, Hint], ...]:
        """The same of fields."""


@dataclass(frozen=True)
class NotedName:
    """What `note_name` was told."""

    frame: Frame
    value: Value
    name: str


Noted = Input | Parameter | Node | Decision | Assertion | NotedName


class Builder:
    """Builds one graph. Names are made unique here; types are inferred here and nowhere else."""

    def __init__(self, name: str, frame: Frame, doc: str = "") -> None:
        self.name = name
        self.frame = frame
        self.doc = doc
        self.conditions: dict[tuple[Dim, str, Dim], Condition] = {}
        self._inputs: list[Input] = []
        self._outputs: list[Output] = []
        self._parameters: dict[str, Parameter] = {}
        self._nodes: list[Node] = []
        self._values: dict[str, Value] = {}
        self._reserved: set[str] = set()
        self._counts: dict[str, int] = {}
        self._serial = 0
        self._run_sizes: set[str] = set()
        self._aliases: dict[tuple[Frame, str, str], Alias] = {}
        self._decisions: dict[Decision, None] = {}
        self._assertions: dict[Assertion, None] = {}
        self._scopes: dict[str, Frame] = {}
        self._sources: dict[str, Op] = {}
        self._wishes: dict[str, str] = {}
        self.journal: list[Noted] = []
        """All that was added, in order."""

    def reserve(self, path: str) -> None:
        """Keeps a path free for a weight that is declared later: values that wish for the name
        get another."""
        self._reserved.add(path)

    def input(
        self,
        name: str,
        type: TensorType,
        doc: str = "",
        origin: Span | None = None,
        hints: tuple[tuple[str, Hint], ...] = (),
    ) -> Value:
        """Declares an input of the graph."""
        value = self._new_value(name, type)
        self._inputs.append(Input(value, doc, origin, hints))
        self.journal.append(self._inputs[-1])
        return value

    def parameter(
        self,
        path: str,
        type: TensorType,
        initializer: Initializer,
        *,
        trainable: bool = True,
        origin: Span | None = None,
        hints: tuple[tuple[str, Hint], ...] = (),
    ) -> Value:
        """Declares a weight or buffer under a path.

        Raises:
            ValueError: the path is taken (callers look with `has_value` first).
        """
        if path in self._values:
            raise ValueError(f"{path} is declared twice")
        value = Value(path, check_size(type))
        self._add_parameter(Parameter(value, initializer, trainable, origin, hints))
        return value

    def _add_parameter(self, parameter: Parameter) -> None:
        self._values[parameter.path] = parameter.value
        self._parameters[parameter.path] = parameter
        self.journal.append(parameter)

    def has_value(self, name: str) -> bool:
        """Whether an input, a weight or the result of a node has the name."""
        return name in self._values

    def get_parameter(self, path: str) -> Parameter | None:
        """The parameter under a path, if it is declared."""
        return self._parameters.get(path)

    def find_source(self, value: Value) -> Op | None:
        """The op without operands that made a value; None where it has another origin."""
        return self._sources.get(value.name)

    def get_input(self, name: str) -> Input | None:
        """The input of that name, if it is declared."""
        if name not in self._values:
            return None
        return next((item for item in self._inputs if item.name == name), None)

    def assume(self, left: Dim, relation: str, right: Dim, origin: Span | None) -> None:
        """Keeps a promise about sizes, to be checked at run time; the same one once."""
        if relation == "==" and (right, relation, left) in self.conditions:
            return
        condition = Condition(left, relation, right, origin)
        self.conditions.setdefault((left, relation, right), condition)

    def name_run_size(self, wished: str) -> str:
        """A name for a size that only a run knows, which no other size has."""
        taken = {s for v in self._values.values() for dim in v.type.shape for s in dim.symbols}
        taken |= self._run_sizes
        name, number = wished, 1
        while name in taken:
            number += 1
            name = f"{wished}_{number}"
        self._run_sizes.add(name)
        return name

    def parameter_paths(self) -> tuple[str, ...]:
        """The paths of everything declared so far, in order."""
        return tuple(self._parameters)

    def apply(
        self,
        op: Op,
        inputs: Sequence[Value | None],
        scope: Frame,
        origin: Site,
        names: Sequence[str] = (),
    ) -> tuple[Value, ...]:
        """Adds a node and returns its outputs. `inputs` are operands, then weights; `names` are
        wished names of the outputs, one for each.

        Raises:
            Fault: the inputs do not fit the op.
        """
        types = [v.type if v is not None else None for v in inputs]

        def assume(left: Dim, relation: str, right: Dim) -> None:
            self.assume(left, relation, right, origin.span)

        made = op.infer(assume, *types)
        if op.of_graph:
            op.check_graph(self._nodes, inputs, self._parameters)
        wished = names if len(names) == len(made) else [""] * len(made)
        outputs = tuple(map(self._new_value, wished, made))
        self._add_node(Node(op, tuple(inputs), outputs, scope, origin))
        return outputs

    def _add_node(self, node: Node) -> None:
        self._nodes.append(node)
        for value in node.outputs:
            self._scopes[value.name] = node.scope
            if not node.inputs:
                self._sources[value.name] = node.op
        self.journal.append(node)

    def output(
        self,
        name: str,
        value: Value,
        doc: str = "",
        origin: Span | None = None,
        pick: Pick | None = None,
    ) -> None:
        """Declares an output of the graph."""
        self._outputs.append(Output(name, value, doc, origin, pick))

    def graph(self) -> Graph:
        """The finished graph."""
        return Graph(
            self.name,
            tuple(self._inputs),
            tuple(self._outputs),
            tuple(self._parameters.values()),
            tuple(self._nodes),
            self.frame,
            tuple(self.conditions.values()),
            self.doc,
            aliases=tuple(self._aliases.values()),
            decisions=tuple(self._decisions),
            assertions=tuple(self._assertions),
        )

    def note_decision(self, decision: Decision) -> None:
        """Notes how a compile-time `if` came out in a call, or that a loop runs there."""
        self._decisions[decision] = None
        self.journal.append(decision)

    def note_assertion(self, frame: Frame, place: Span, hint: Hint, text: str) -> None:
        """Notes an `assert` that held in a call."""
        assertion = Assertion(frame, place, hint, text)
        self._assertions[assertion] = None
        self.journal.append(assertion)

    def note_name(self, frame: Frame, value: Value, name: str) -> None:
        """Notes what a frame calls a value that it did not name itself, or calls by one more
        name; the first of several comes first."""
        self.journal.append(NotedName(frame, value, name))
        if self._scopes.get(value.name, frame) is frame and value.name.partition(".")[0] == name:
            return
        self._aliases.setdefault((frame, value.name, name), Alias(frame, value.name, name))

    def _new_value(self, name: str, type: TensorType) -> Value:
        return self._add_value(name, check_size(type))

    def _add_value(self, name: str, type: TensorType) -> Value:
        value = Value(self._free_name(name), type)
        self._values[value.name] = value
        self._wishes[value.name] = name
        return value

    def repeat(self, noted: Iterable[Noted], change: Changes) -> None:
        """Adds again what was added before, with what `change` says in its place; what is new gets
        names as if it were made anew. Types are those that were inferred."""
        values = change.values
        for one in noted:
            match one:
                case Parameter(value=old):
                    value = values[old.name] = Value(change.path(old.name), old.type)
                    self._add_parameter(replace(one, value=value, hints=change.hints(one.hints)))
                case Node():
                    outputs = tuple(
                        self._add_value(self._wishes[old.name], old.type) for old in one.outputs
                    )
                    values.update(zip((old.name for old in one.outputs), outputs, strict=True))
                    inputs = tuple(
                        values.get(v.name, v) if v is not None else None for v in one.inputs
                    )
                    scope, origin = change.frame(one.scope), change.site(one.origin)
                    self._add_node(Node(one.op, inputs, outputs, scope, origin))
                case Decision(hint=hint):
                    made = None if hint is None else change.hint(hint)
                    self.note_decision(replace(one, frame=change.frame(one.frame), hint=made))
                case Assertion(_, place, hint, text):
                    self.note_assertion(change.frame(one.frame), place, change.hint(hint), text)
                case NotedName(frame, old, name):
                    self.note_name(change.frame(frame), values.get(old.name, old), name)
                case _:
                    raise AssertionError("inputs are no part of a call")

    def _free_name(self, name: str) -> str:
        if not name:
            self._serial += 1
            # An input or a weight may be called so.
            while f"%{self._serial}" in self._values or f"%{self._serial}" in self._reserved:
                self._serial += 1
            return f"%{self._serial}"
        if name not in self._values and name not in self._reserved:
            return name
        count = self._counts.get(name, 1) + 1
        while f"{name}.{count}" in self._values:
            count += 1
        self._counts[name] = count
        return f"{name}.{count}"
