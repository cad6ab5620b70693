"""Runs PyTorch spellings: terms are evaluated as the printed code would be."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backends.pytorch.terms.helpers import HELPERS
from compiler.ir.operands import Array
from compiler.types.dims import Dim
from compiler.types.tensor import DType
from compiler.vocabulary import spelling

ROOTS: dict[str, Any] = {"torch": torch, "nn": nn, "F": nn.functional, "math": __import__("math")}
_SEEN = {"torch": torch, "Tensor": Tensor, "nn": nn, "F": nn.functional, "Any": Any}
for _source in HELPERS.values():
    exec(_source, _SEEN)  # as the head of a module that calls them
ROOTS |= {name: _SEEN[name] for name in HELPERS}
WORDS = {"None": None, "True": True, "False": False, "...": ..., "self.training": False}
INFIX = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "@": operator.matmul,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
}
PREFIX = {"-": operator.neg, "~": operator.invert}


@dataclass
class Runner:
    """Evaluates terms for given inputs, sizes of symbols and an own module."""

    inputs: Sequence[Tensor | None]
    sizes: Mapping[str, int]
    own: nn.Module | None = None

    def run(self, term: Any) -> Any:
        """The value of a term."""
        match term:
            case spelling.Leaf(value):
                return self.literal(value)
            case spelling.In(index):
                return self.inputs[index]
            case spelling.Own(path):
                return operator.attrgetter(path)(self.own) if path else self.own
            case spelling.Call(head, args, kwargs):
                return self.head(head)(*self.arguments(args), **self.keywords(kwargs))
            case spelling.Method(obj, name, args, kwargs):
                method = getattr(self.run(obj), name)
                return method(*self.arguments(args), **self.keywords(kwargs))
            case spelling.Infix(symbol, left, right):
                return INFIX[symbol](self.run(left), self.run(right))
            case spelling.Prefix(symbol, operand):
                return PREFIX[symbol](self.run(operand))
            case spelling.Name(text):
                return resolve(text)
            case spelling.Index(obj, items):
                keys = tuple(self.item(i) for i in items)
                return self.run(obj)[keys[0] if len(keys) == 1 else keys]
            case spelling.Device():
                return torch.device("cpu")
            case spelling.Sequence(items, brackets):
                made = [self.run(i) for i in items]
                return made if brackets == "[]" else tuple(made)
            case spelling.Attribute(obj, name):
                return getattr(self.run(obj), name)
        raise TypeError(f"no term: {term!r}")

    def head(self, head: Any) -> Any:
        return resolve(head) if isinstance(head, str) else self.run(head)

    def item(self, item: Any) -> Any:
        if isinstance(item, spelling.SliceTerm):
            parts = (item.start, item.stop, item.step)
            return slice(*(None if p is None else self.run(p) for p in parts))
        return self.run(item)

    def arguments(self, terms: Sequence[Any]) -> list[Any]:
        """Arguments as printed: trailing ones at their default are left out."""
        kept = list(terms)
        while kept and is_default(kept[-1]):
            kept.pop()
        return [self.run(t) for t in kept]

    def keywords(self, terms: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        return {name: self.run(t) for name, t in terms if not is_default(t)}

    def literal(self, value: Any) -> Any:
        match value:
            case Dim():
                return value.evaluate(self.sizes)
            case tuple():
                return tuple(self.literal(v) for v in value)
            case list():
                return [self.literal(v) for v in value]
            case DType():
                return torch_dtype(value)
        return value


def is_default(term: Any) -> bool:
    """Whether a leaf stands at PyTorch's default, and so is not printed."""
    if not isinstance(term, spelling.Leaf):
        return False
    return type(term.value) is type(term.default) and term.value == term.default


def resolve(text: str) -> Any:
    """The object of a dotted name in the generated code."""
    if text in WORDS:
        return WORDS[text]
    root, *rest = text.split(".")
    found: Any = ROOTS[root]
    for part in rest:
        found = getattr(found, part)
    return found


def torch_dtype(dtype: DType) -> torch.dtype:
    """PyTorch's name of a dtype."""
    names = {"f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16"}
    integers = {"i64": "int64", "i32": "int32", "i16": "int16", "i8": "int8", "u8": "uint8"}
    return getattr(torch, {**names, **integers, "bool": "bool"}[dtype.value])  # type: ignore[no-any-return]


def run_spelling(
    made: spelling.Spelling,
    inputs: Sequence[Array | None],
    state: Mapping[str, Array],
    sizes: Mapping[str, int],
) -> tuple[list[Array], list[Array] | None]:
    """Outputs of the expression, and of the stateless module where there is one.

    Args:
        made: the spelling of a node.
        inputs: operands, then weights.
        state: the node's own weights by their name in the module.
        sizes: a number for every symbol.
    """
    tensors = [None if a is None else torch.from_numpy(np.array(a, copy=True)) for a in inputs]
    runner = Runner(tensors, sizes)
    if made.constructor is not None:
        runner.own = load_module(runner.run(made.constructor), state)
    with torch.no_grad():
        results = runner.run(made.expression)
        if made.module is None:
            return list_arrays(results), None
        module = runner.run(made.module).eval()
        return list_arrays(results), list_arrays(module(*tensors))


def load_module(module: nn.Module, state: Mapping[str, Array]) -> nn.Module:
    """A module in evaluation mode that holds exactly these weights."""
    names = {n for n in module.state_dict() if n.rpartition(".")[2] != "num_batches_tracked"}
    assert names == set(state), f"the module has {sorted(names)}, the op {sorted(state)}"
    tensors = {name: torch.from_numpy(np.array(a)) for name, a in state.items()}
    for tensor in tensors.values():
        if tensor.dtype.is_floating_point:
            module = module.to(tensor.dtype)
    module.load_state_dict(tensors, strict=False)
    return module.eval()


def list_arrays(results: Any) -> list[Array]:
    """The results as arrays; an expression returns one tensor or several."""
    if isinstance(results, Tensor):
        return [results.numpy()]
    return [array for result in results for array in list_arrays(result)]
