"""Builds graphs with frames and hints by hand, as the elaborator would, for tests of backends."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from compiler.ir.builder import Builder
from compiler.ir.frame import Argument, Frame, Site
from compiler.ir.graph import Graph, Value
from compiler.ir.hint import Hint, HintBinary, HintConst, HintName
from compiler.ops.registry import load_ops
from compiler.types.tensor import TensorType
from compiler.vocabulary.initializers import INITIALIZERS, Initializer
from compiler.vocabulary.no_default import NO_DEFAULT

OPS = load_ops()


class Sym(int):
    """An integer that remembers how the author of a block wrote it."""

    hint: Hint

    def __new__(cls, value: int, hint: Hint | str) -> Sym:
        made = int.__new__(cls, value)
        made.hint = HintName(hint) if isinstance(hint, str) else hint
        return made

    def _with(self, sign: str, other: int, value: int) -> Sym:
        return Sym(value, HintBinary(sign, self.hint, hint_of(other)))

    def __add__(self, other: int) -> Sym:
        return self._with("+", other, int(self) + int(other))

    def __mul__(self, other: int) -> Sym:
        return self._with("*", other, int(self) * int(other))

    def __floordiv__(self, other: int) -> Sym:
        return self._with("//", other, int(self) // int(other))

    def __rmul__(self, other: int) -> Sym:
        return Sym(int(other) * int(self), HintBinary("*", HintConst(other), self.hint))


def hint_of(value: Any) -> Hint:
    return value.hint if isinstance(value, Sym) else HintConst(value)


def plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return int(value) if isinstance(value, Sym) else value


class Sketch:
    """A graph under construction; ops are methods (`sketch.conv(x, out=8, kernel=3)`)."""

    def __init__(self, name: str, doc: str = "", **arguments: Any) -> None:
        made = tuple(Argument(k, v, None, v) for k, v in arguments.items())
        self.frame = Frame(name, "", 0, None, made, doc=doc)
        self.builder = Builder(name, self.frame, doc)
        self.calls = 0
        self.guard: Hint | None = None
        self.counts: dict[tuple[Frame, str], int] = {}

    def input(self, name: str, *shape: int | str, dtype: str = "f32") -> Value:
        return self.builder.input(name, TensorType.of(dtype, shape))

    def output(self, name: str, value: Value) -> None:
        self.builder.output(name, value)

    def graph(self) -> Graph:
        return self.builder.graph()

    def path(self, name: str) -> str:
        return ".".join(p for p in (self.frame.path, name) if p)

    def param(
        self, name: str, *shape: int, start: Initializer | None = None, trainable: bool = True
    ) -> Value:
        path = self.path(name)
        found = self.builder.get_parameter(path)
        if found is not None:
            return found.value
        zeros = INITIALIZERS.get("zeros")
        assert zeros is not None
        hints = tuple(
            (str(axis), size.hint) for axis, size in enumerate(shape) if isinstance(size, Sym)
        )
        made = TensorType.of("f32", [int(size) for size in shape])
        return self.builder.parameter(
            path, made, start or zeros(), trainable=trainable, hints=hints
        )

    def make(
        self,
        op: str,
        *operands: Value | None,
        name: str = "",
        weights: Sequence[Value] | None = None,
        into: Sequence[str] = (),
        **fields: Any,
    ) -> Any:
        cls = OPS.get(op)
        assert cls is not None, op
        made = cls(**{k: plain(v) for k, v in fields.items()})
        types = [v.type if v is not None else None for v in operands]
        wanted = made.weights(types)
        if wanted and not name and weights is None:
            name = self._count(op)
        if weights is None:
            weights = [self._weight(name, w) for w in wanted]
        hints = tuple((k, v.hint) for k, v in fields.items() if isinstance(v, Sym))
        for key, value in fields.items():
            if isinstance(value, tuple):
                hints += tuple(
                    (f"{key}.{i}", v.hint) for i, v in enumerate(value) if isinstance(v, Sym)
                )
        site = Site(None, name, hints, self.guard)
        outs = self.builder.apply(made, [*operands, *weights], self.frame, site, into)
        return outs if len(outs) > 1 or cls.multiple else outs[0]

    def _weight(self, name: str, weight: Any) -> Value:
        path = self.path(f"{name}.{weight.name}")
        found = self.builder.get_parameter(path)
        if found is not None:
            return found.value
        return self.builder.parameter(
            path, weight.type, weight.initializer, trainable=weight.trainable
        )

    def _count(self, kind: str) -> str:
        key = (self.frame, kind)
        self.counts[key] = count = self.counts.get(key, 0) + 1
        return kind if count == 1 else f"{kind}_{count}"

    def __getattr__(self, op: str) -> Callable[..., Any]:
        if OPS.get(op) is None:
            raise AttributeError(op)
        return lambda *operands, **fields: self.make(op, *operands, **fields)

    @contextmanager
    def when(self, guard: Hint) -> Iterator[None]:
        before, self.guard = self.guard, guard
        yield
        self.guard = before

    def open(
        self,
        block: str,
        name: str,
        arguments: Sequence[Argument],
        tensors: Sequence[tuple[str, Value]],
        doc: str = "",
        shared: str | None = None,
    ) -> Frame:
        self.calls += 1
        path = shared if shared is not None else self.path(name)
        before, guard = self.frame, self.guard
        self.guard = None
        names = tuple((formal, value.name) for formal, value in tensors)
        self.frame = Frame(block, path, self.calls, before, tuple(arguments), names, guard, doc)
        return before


def block(dims: dict[str, str] | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A function of a sketch, tensors and ints as a block: `dims` names sizes ("n c h w")."""

    def wrap(body: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(body)

        def call(
            sketch: Sketch, *given: Any, name: str = "", shared: str | None = None, **more: Any
        ) -> Any:
            bound = signature.bind(sketch, *given, **more)
            bound.apply_defaults()
            tensors, arguments, inner = [], [], {}
            for key, value in list(bound.arguments.items())[1:]:
                if isinstance(value, Value):
                    tensors.append((key, value))
                    names = (dims or {}).get(key, "").split()
                    for axis, label in enumerate(names):
                        size = value.type.shape[axis]
                        arguments.append(Argument(label, size.known or size, dims=((key, axis),)))
                    inner[key] = value
                    continue
                default = signature.parameters[key].default
                default = NO_DEFAULT if default is inspect.Parameter.empty else default
                hint = value.hint if isinstance(value, Sym) else None
                arguments.append(Argument(key, plain(value), hint, default))
                is_int = isinstance(value, int) and not isinstance(value, bool)
                inner[key] = Sym(value, key) if is_int else value
            name = name or sketch._count(body.__name__)
            doc = inspect.getdoc(body) or ""
            before = sketch.open(body.__name__, name, arguments, tensors, doc, shared)
            guard = before
            result = body(sketch, **inner)
            sketch.frame = guard
            sketch.guard = None
            return result

        return call

    return wrap


def size(value: Value, axis: int, name: str) -> Sym:
    """A known size of a tensor under the name that the signature gives it."""
    known = value.type.shape[axis].known
    assert known is not None
    return Sym(known, name)
