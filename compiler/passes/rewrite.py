"""Makes a new graph out of an old one, node by node, with replaced values carried along."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from compiler.ir.graph import Condition, Graph, Node, Op, Parameter, Value
from compiler.ir.hint import Hint
from compiler.passes.base import Array
from compiler.passes.scaled import ScaledArray
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from compiler.vocabulary.initializers import Initializer
from compiler.vocabulary.initializers.given import Zeros
from compiler.writing.names import free_name


class Rewriter:
    """Nodes are added in order; `replace` redirects what reads an old value to another one.

    A kept node whose inputs have the types they had is kept as it is; otherwise its op infers
    its types anew, so they cannot go stale. New values may take the names of old ones only where
    the old ones are not kept.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes: list[Node] = []
        self._replaced: dict[str, Value] = {}
        self._parameters = dict(graph.parameter)
        self._constants = dict(graph.constants)
        self._conditions = {(c.left, c.relation, c.right): c for c in graph.conditions}
        self._names = {i.name for i in graph.inputs} | set(graph.parameter)
        self._names |= set(graph.producers)
        self._changed = False

    def current(self, value: Value) -> Value:
        """What stands for an old value now."""
        return self._replaced.get(value.name, value)

    def keep(self, node: Node) -> None:
        """Adds an old node, reading what its inputs were replaced by."""
        inputs = tuple(self.current(v) if v is not None else None for v in node.inputs)
        if inputs == node.inputs:
            self._nodes.append(node)
            return
        self._changed = True
        if _types(inputs) == _types(node.inputs):
            self._nodes.append(replace(node, inputs=inputs))
            return
        names = [v.name for v in node.outputs]
        made = self._append(node.op, inputs, node, self._infer(node.op, inputs, node), names)
        for old, value in zip(node.outputs, made, strict=True):
            self._replaced[old.name] = value

    def apply(
        self, op: Op, inputs: Sequence[Value | None], like: Node, names: Sequence[str] = ()
    ) -> tuple[Value, ...]:
        """Adds a new node at the place of an old one and returns its values. `names` are taken
        from old values that are not kept; without them, fresh ones are made."""
        given = tuple(inputs)
        return self._append(op, given, like, self._infer(op, given, like), names)

    def replace(self, old: Value, new: Value) -> None:
        """Lets whatever reads `old` read `new`."""
        self._changed = True
        self._replaced[old.name] = new

    def constant(
        self, path: str, array: Array | ScaledArray, like: Parameter | None = None
    ) -> Value:
        """Declares a parameter whose numbers are computed; a parameter of that path is
        superseded. Initializer and origin come from `like`.

        Raises:
            KeyError: there is nothing to be like.
        """
        model = like or self._parameters[path]
        dtype = model.value.type.dtype
        value = Value(path, TensorType(dtype, tuple(Dim.of(n) for n in array.shape)))
        assert array.dtype == dtype.numpy, f"{path}: {array.dtype} for {dtype}"
        self._parameters[path] = replace(model, value=value)
        self._constants[path] = array
        self._names.add(path)
        self._changed = True
        return value

    def buffer(
        self, path: str, type: TensorType, array: Array, initializer: Initializer | None = None
    ) -> Value:
        """Declares a buffer whose numbers are computed; its initializer says what a module holds
        before they are loaded (zeros)."""
        value = Value(path, type)
        self._parameters[path] = Parameter(value, initializer or Zeros(), trainable=False)
        self._constants[path] = array
        self._names.add(path)
        self._changed = True
        return value

    def hint_size(self, path: str, axis: int, hint: Hint) -> None:
        """Says how a size of a parameter is written, where it was written by a tensor that the
        pass takes away; what is no parameter, or no author wrote, stays as it is."""
        known = self._parameters.get(path)
        hints = {} if known is None else dict(known.hints)
        if known is not None and str(axis) in hints:
            hints[str(axis)] = hint
            self._parameters[path] = replace(known, hints=tuple(hints.items()))

    def free_name(self, wish: str) -> str:
        """The wish, with a number where it is taken."""
        return free_name(wish, self._names, ".")

    def free_names(self, wishes: Iterable[str]) -> list[str]:
        """The wishes, each with a number where it is taken, by one before it too."""
        names: list[str] = []
        for wish in wishes:
            names.append(free_name(wish, {*self._names, *names}, "."))
        return names

    def graph(self) -> Graph:
        """The new graph; the old one where nothing changed. Parameters that nothing reads stay
        until `dead_code` takes them."""
        if not self._changed:
            return self._graph
        outputs = tuple(replace(o, value=self.current(o.value)) for o in self._graph.outputs)
        return replace(
            self._graph,
            outputs=outputs,
            parameters=tuple(self._parameters.values()),
            nodes=tuple(self._nodes),
            conditions=tuple(self._conditions.values()),
            constants=self._constants,
        )

    def _infer(self, op: Op, inputs: Sequence[Value | None], like: Node) -> tuple[TensorType, ...]:
        def assume(left: Dim, relation: str, right: Dim) -> None:
            key = (left, relation, right)
            self._conditions.setdefault(key, Condition(left, relation, right, like.origin.span))

        return op.infer(assume, *(v.type if v is not None else None for v in inputs))

    def _append(
        self,
        op: Op,
        inputs: tuple[Value | None, ...],
        like: Node,
        types: Sequence[TensorType],
        names: Sequence[str],
    ) -> tuple[Value, ...]:
        self._changed = True
        wishes = list(names)
        self._names.update(wishes)
        while len(wishes) < len(types):
            wishes.append(self.free_name(f"%{op.name}"))
            self._names.add(wishes[-1])
        outputs = tuple(Value(n, t) for n, t in zip(wishes, types, strict=True))
        self._nodes.append(Node(op, inputs, outputs, like.scope, like.origin))
        return outputs


def _types(values: Iterable[Value | None]) -> list[TensorType | None]:
    return [v.type if v is not None else None for v in values]
