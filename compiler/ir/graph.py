"""Values, nodes, graphs and the base of ops: the flat SSA form that passes and backends share.

A node holds its op, an op with a body holds a graph: they are of one file.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from compiler.ir.authored import Alias, Assertion, Decision
from compiler.ir.channels import Numbers, ZeroChannels
from compiler.ir.coupling import Coupling, CutTensor, tie_broadcast
from compiler.ir.domain import Domain
from compiler.ir.frame import Frame, Pick, Site
from compiler.ir.hint import HINT_FUNCTIONS, Hint, HintBinary, HintCall
from compiler.ir.inputs import NodeInput, list_inputs
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import (
    Array,
    Arrays,
    Assume,
    Limits,
    Results,
    Types,
    Weight,
    substitute_sizes,
)
from compiler.ir.spelled import Spelled
from compiler.ir.symbols import NoDerivative, Slopes, Symbol, shorten
from compiler.ir.target_range import TargetRange
from compiler.ir.tracing import Trace, align_axis, shift_axis
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers import Initializer
from compiler.vocabulary.spelling import Spelling


@dataclass(frozen=True)
class Value:
    """One tensor. `name` is unique in its graph: the user's name where there is one
    (`features`, then `features.2` when shadowed), the parameter's path, or `%12`."""

    name: str
    type: TensorType


@dataclass(frozen=True)
class Parameter:
    """A weight or buffer: its value is named by its path (`layer1.0.conv1.weight`)."""

    value: Value
    initializer: Initializer
    trainable: bool  # False for a buffer, which no optimizer touches
    origin: Span | None = None
    hints: tuple[tuple[str, Hint], ...] = ()
    """How its author wrote a size of its shape (`"2"` -> `width`) or a number of its initializer
    (`std` -> `1 / sqrt(width)`), in the owner's names."""

    @property
    def path(self) -> str:
        """Where it lives in checkpoints."""
        return self.value.name


class Op(Spelled):
    """A primitive operation. Subclasses are `@final @dataclass(frozen=True)`, live in
    `compiler/ops/<family>.py` and register with `@OPS.register`."""

    @property
    def adds_up(self) -> bool:
        """Whether the entries of its result are sums of entries that it reads, so that those of
        several batches are added up."""
        return False

    @property
    def is_flat(self) -> bool:
        """Whether its result only changes in jumps, so that no gradient passes it."""
        return False

    @property
    def run_sizes(self) -> tuple[str, ...]:
        """The names of sizes of its results that only a run knows."""
        return ()

    @property
    def draws(self) -> bool:
        """Whether chance has a part in it: always, or while training."""
        inside = (node.op for body in self.bodies for node in body.nodes)
        return self.random or self.noisy or any(op.draws for op in inside)

    @property
    def varies(self) -> bool:
        """Whether two applications to the same inputs may differ in evaluation too: it draws random
        numbers, or what it runs does."""
        inside = (node.op for body in self.bodies for node in body.nodes)
        return self.random or any(op.varies for op in inside)

    def draw(self, generator: np.random.Generator, /, *inputs: Any, **_: Any) -> tuple[Array, ...]:
        """The meaning where it `varies`, with numbers from a generator."""
        return self.evaluate(*inputs)

    @property
    def number(self) -> float | None:
        """The number that its result always is; None of any other op."""
        return None

    def write_number(self, *operands: Hint) -> Hint | None:
        """Its result for plain numbers, as Python writes it; None where Python has nothing for
        it."""
        if self.operator and len(operands) == 2:
            return HintBinary(self.operator, *operands)
        if self.scalar and self.name in HINT_FUNCTIONS:
            return HintCall(self.name, operands)
        return None

    def check_graph(
        self,
        before: Sequence[Node],
        inputs: Sequence[Value | None],
        parameters: Mapping[str, Parameter],
    ) -> None:
        """What `infer` is for types, for the nodes and the parameters before a node that is
        `of_graph`.

        Raises:
            Fault: they do not fit.
        """

    def expand(self, graph: Graph) -> Graph:
        """A graph with other nodes in place of those whose op is `of_graph`.

        Raises:
            CompileError: there is no telling which.
        """
        return graph

    def derive(
        self, slopes: Sequence[Symbol | None], results: Sequence[Symbol], *inputs: Any
    ) -> Slopes:
        """How a sum changes with each of the inputs, by how it changes with the results (None: not
        at all), in evaluation mode. An op that only changes in jumps (`is_flat`), or has no
        floating-point results, is not asked.

        Raises:
            NoDerivative: it is not written down.
        """
        if len(results) != 1:
            raise NoDerivative("this has no derivative that is written down")
        (slope,), (result,) = slopes, results
        assert slope is not None, "what changes nothing is not asked"
        return self.pull_back(slope, result, *inputs)

    def spell_out(self, *inputs: Any, **_: Any) -> Sequence[Symbol] | None:
        """Its results said with other ops, with the parameters of `infer` as symbols, for `derive`
        to follow from these; None where it has a rule of its own."""
        return None

    def pull_back(self, slope: Symbol, result: Symbol, /, *inputs: Any, **_: Any) -> Slopes:
        """`derive` of an op with one result, with the parameters of `infer` as symbols.

        Raises:
            NoDerivative: it is not written down.
        """
        if self.moves:
            return self._move_back(slope, inputs)
        raise NoDerivative("this has no derivative that is written down")

    def _move_back(self, slope: Symbol, inputs: Sequence[Symbol | None]) -> Slopes:
        """The slopes of what an op only moves: where each entry of its result comes from follows
        from the op applied to the numbers of the entries of its operands."""
        build, start = slope.build, Dim.of(0)
        numbers: list[Symbol | None] = []
        for x in inputs:
            moved = x is not None and x.dtype.is_float
            numbers.append(x.number_entries(start) if moved and x is not None else x)
            start = start + (x.type.size if moved and x is not None else 0)
        (places,) = build.add(self, numbers)
        total = slope.add_at(places, start)
        moved_inputs = [x for x in inputs if x is not None and x.dtype.is_float]
        sizes = shorten([x.type.size for x in moved_inputs])
        parts = total.apply_all("split", sizes=sizes, axis=0) if len(sizes) > 1 else (total,)
        found = iter(part.reshape(x.shape) for part, x in zip(parts, moved_inputs, strict=True))
        return [next(found) if x is not None and x.dtype.is_float else None for x in inputs]

    def find_degree(self, degrees: Sequence[int], numbers: Sequence[float | None]) -> int | None:
        """The degree of its results in weights, for inputs that are polynomials of these degrees in
        them; None where they are no polynomials. `numbers` are inputs that are always the same."""
        if not any(degrees):
            return 0
        return max(degrees) if self.linear or self.moves or self.signs else None

    def follow_size(
        self, output: int, axis: int, size: Dim, options: Mapping[str, Dim]
    ) -> Dim | None:
        """The size of an axis of a result, for a size of the same axis of the first operand (0
        where it has none) and options that are symbols: by their fields, `kernel.0` where that is
        a list. None where no formula says it."""
        return None

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        """The weights an application to operands of these types makes, in the order in which
        they follow the operands in `Node.inputs`.

        Raises:
            Fault: the operands have types that no weight fits.
        """
        return ()

    def start_weight(self, weight: Weight, initializer: Initializer) -> Initializer:
        """How a weight of it starts where a spec names an initializer."""
        return initializer

    @abstractmethod
    def infer(self, assume: Assume, /, *inputs: Any, **_: Any) -> tuple[TensorType, ...]:
        """Types of the outputs. Every op has its operands and weights as parameters of their own:
        types, and None for an optional operand that is left out.

        Raises:
            Fault: the inputs do not fit.
        """

    @abstractmethod
    def evaluate(self, *inputs: Any, **_: Any) -> tuple[Array, ...]:
        """The meaning, in NumPy, in evaluation mode, with the parameters of `infer` as arrays.
        Symbolic dims in fields are numbers here (`substitute`)."""

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        """For each result, and broadcast to it, the size of the numbers that it is computed
        through: a backend that computes it right may be off by some rounding steps of these.
        They are the results' own unless an op goes through larger numbers to smaller ones: a
        sum whose terms cancel, a sigmoid near 0 made of terms near 1."""
        return [np.abs(array) for array in results]

    @property
    def bodies(self) -> tuple[Graph, ...]:
        """The graphs that it runs."""
        return ()

    def change_bodies(self, change: Callable[[Graph], Graph]) -> Op:
        """The op with other graphs in place of those that it runs."""
        return self

    def turns(self, inputs: Types) -> Dim:
        """How often it runs them, as far as that is known beforehand."""
        return Dim.of(1)

    def target_range(self, inputs: Types) -> TargetRange | None:
        """What the target of a loss, the operand `target_operand`, may hold beyond its type and
        `domains`; None where that is anything."""
        return None

    def find_limits(self, operands: Sequence[Limits]) -> Limits:
        """What every entry of its results lies between, by the limits of its operands."""
        if self.moves and operands:
            return min(low for low, _ in operands), max(high for _, high in operands)
        return self.limits

    def domains(self, *inputs: Any, **_: Any) -> Mapping[NodeInput, Domain]:
        """What operands may hold that take more than their type says: places of a table, divisors.
        Every operand is a parameter of its own, a `NodeInput`; weights are not."""
        return {}

    def place_domains(self, types: Types) -> Mapping[int, Domain]:
        """The domains of operands of these types, by position; weights may follow."""
        variadic = any(operand.variadic for operand in self.operands)
        operands = types if variadic else types[: len(self.operands)]
        found = self.domains(*list_inputs(operands))
        return {operand.place: domain for operand, domain in found.items()}

    def compute(self, *numbers: float) -> float:
        """The meaning on compile-time numbers, for ops with `scalar`: ints stay ints where the
        result is whole by nature, bools come from comparisons."""
        (result,) = self.evaluate(*(np.asarray(n) for n in numbers))
        return result.item()  # type: ignore[no-any-return]

    def over_rows(self, operands: Types, rows: Dim) -> Op | None:
        """The op that does to `rows` stacked rows what this one does to a row of these types.

        Every operand gets a new leading axis of size `rows`; so axes counted from the front
        move by one, axes counted from the end stay. None: it cannot be applied to every row at
        once, or its meaning per row would change.

        Ranks are aligned beforehand by the caller. Where `broadcasts` is set, operands that
        have rows need the rank of the longest operand: `[rows, 3]` beside `[rows, 8, 3]` is
        reshaped to `[rows, 1, 3]` (`row_ranks` says which rank each needs). Operands of such
        an op that are the same for all rows (constants) are left as they are; any other op
        needs them expanded to `[rows, ...]` first.
        """
        fields = () if self.broadcasts else self.row_axes
        if not fields:
            return None if fields is None else self
        moved = {field: shift_axis(getattr(self, field)) for field in fields}
        return replace(self, **moved)  # type: ignore[type-var]

    def row_ranks(self, operands: Types) -> tuple[int, ...]:
        """The rank, without the axis of rows, that each operand needs under `over_rows`; axes
        of size 1 are put right behind the rows."""
        ranks = [t.rank if t is not None else 0 for t in operands]
        return (max(ranks, default=0),) * len(ranks) if self.broadcasts else tuple(ranks)

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        """Multiply-accumulate operations of one application (0 for memory movement)."""
        return Dim.of(0)

    def scratch(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        """Entries of the tensor that it makes on the way, where that may be far larger than its
        operands and results are: the scores of attention."""
        return Dim.of(0)

    def couple(self, outputs: Results, /, *inputs: Any, **_: Any) -> Coupling:
        """Which entries of the tensors' axes are the same channel, for structured pruning, with the
        parameters of `infer` as `NodeInput`. An axis that is not named cannot be cut."""
        return Coupling(tie_broadcast(inputs, outputs[0])) if self.broadcasts else Coupling()

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        """The op once only some entries of its tensors are left, as `couple` allows."""
        return self

    def find_zeros(self, inputs: ZeroChannels) -> Numbers:
        """The channels of its results that are zero whatever the inputs of the net are."""
        if self.zeroed_by:
            return frozenset().union(*map(inputs.of, self.zeroed_by))
        keeps = self._keeps_zero(inputs.types) if self.broadcasts else self.keeps_channels
        return inputs.join() if keeps else frozenset()

    def _keeps_zero(self, inputs: Types) -> bool:
        """Whether an op that acts element by element makes 0 of zeros."""
        kinds = [t.dtype for t in inputs if t is not None]
        if DType.BOOL in kinds:
            return False
        with np.errstate(all="ignore"):
            (made,) = self.evaluate(*(np.zeros((), kind.numpy) for kind in kinds))
        return bool(np.asarray(made) == 0)

    def trace_axis(self, axis: int, inputs: Types, outputs: Sequence[TensorType]) -> Trace | None:
        """Where the entries along an axis of the outputs come from; None where an entry needs
        more than one entry of an input that has them."""
        if self.broadcasts:
            return tuple(align_axis(t, axis, outputs[0].rank) for t in inputs)
        return (axis,) if self.noisy else None

    def reshape(self, shape: Sequence[Dim]) -> Op:
        """The op for inputs that are cut along what `trace_axis` found, which makes that shape."""
        return self

    def act_on_matrix(self) -> Op:
        """The op for the rows of its operands as matrices, where `trace_axis` keeps rows apart."""
        return self

    def join_axis(self, rank: int) -> int | None:
        """The axis of a result of that rank along which its operands lie side by side; None where
        they do not."""
        return None

    def stack_axis(self, rank: int) -> int | None:
        """The axis of a result of that rank that no operand has, each being one entry along it;
        None where there is none."""
        return None

    def split_axis(self, rank: int) -> int | None:
        """The axis of an operand of that rank of which its results are parts; None where they are
        not."""
        return None

    @property
    def scales_last(self) -> bool:
        """Whether its weights scale and shift the entries along the last axis of its result, as
        the last thing that it does."""
        return False

    def torch(self, node: Node) -> Spelling:
        """The PyTorch spelling of a node of this op."""
        return self.spell_call(node.types)

    @abstractmethod
    def onnx(self, build: OnnxBuilder, outputs: Results, /, *inputs: Any, **_: Any) -> Values:
        """Writes the node with `build` and returns one ONNX value per output. The parameters are
        those of `infer`, as `OnnxInput`."""

    def substitute(self, sizes: Mapping[str, int | Dim]) -> Self:
        """The op with symbols replaced in every field that holds dims."""
        changed = {}
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            new = substitute_sizes(value, sizes)
            if new is not value:
                changed[item.name] = new
        return replace(self, **changed) if changed else self  # type: ignore[type-var]


@dataclass(frozen=True)
class Node:
    """One application of a primitive op. Inputs are the op's operands in order (left-out
    optional ones are None) and then its weights."""

    op: Op
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    scope: Frame
    origin: Site

    @property
    def types(self) -> tuple[TensorType | None, ...]:
        """The types of its inputs."""
        return tuple(value.type if value is not None else None for value in self.inputs)

    @property
    def output(self) -> Value:
        """The only output."""
        (value,) = self.outputs
        return value


@dataclass(frozen=True)
class Condition:
    """A promise that could not be decided when compiling: `left == right` (or `left <= right`),
    to be checked at run time."""

    left: Dim
    relation: str  # "==" or "<="
    right: Dim
    origin: Span | None = None


@dataclass(frozen=True)
class Input:
    """An input of a graph: its value and its documentation."""

    value: Value
    doc: str = ""
    origin: Span | None = None
    hints: tuple[tuple[str, Hint], ...] = ()
    """How its author wrote a known size of its shape (`"2"` -> `size`)."""
    categories: int | None = field(default=None, compare=False)
    """How many categories there are, where its numbers are codes of some."""

    @property
    def name(self) -> str:
        """The name a caller gives it by."""
        return self.value.name


@dataclass(frozen=True)
class Output:
    """An output: the name a caller knows it by, and its value; `pick` says how that was read
    off a list."""

    name: str
    value: Value
    doc: str = ""
    origin: Span | None = None
    pick: Pick | None = None


@dataclass(frozen=True)
class Graph:
    """A network: flat, ordered, immutable. `frame` is the root frame (the model's own call)."""

    name: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    parameters: tuple[Parameter, ...]
    nodes: tuple[Node, ...]
    frame: Frame
    conditions: tuple[Condition, ...] = ()
    doc: str = ""
    constants: Mapping[str, object] = field(default_factory=dict)
    """Weights whose numbers a pass computed (`numpy.ndarray` by parameter path)."""
    aliases: tuple[Alias, ...] = ()
    decisions: tuple[Decision, ...] = ()
    assertions: tuple[Assertion, ...] = ()

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """The node that makes each value, by the value's name."""
        return {value.name: node for node in self.nodes for value in node.outputs}

    @cached_property
    def users(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each value, by the value's name, in order."""
        users: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(v.name for v in node.inputs if v is not None):
                users.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in users.items()}

    @cached_property
    def parameter(self) -> Mapping[str, Parameter]:
        """Parameters by path."""
        return {p.path: p for p in self.parameters}

    @cached_property
    def run_sizes(self) -> tuple[str, ...]:
        """Symbolic dimensions of results that only a run knows."""
        inside = (name for node in self.nodes for b in node.op.bodies for name in b.run_sizes)
        return (*(name for node in self.nodes for name in node.op.run_sizes), *inside)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Symbolic dimensions of the inputs, in order of appearance."""
        names: dict[str, None] = {}
        for item in self.inputs:
            for dim in item.value.type.shape:
                names.update(dict.fromkeys(sorted(dim.symbols)))
        return tuple(names)
