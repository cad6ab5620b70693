"""Mutates one spelling at a time of every op, and holds that verification finds what that changes.

A mutant changes one thing of what an op means in NumPy (a field of the op, the order of its
operands), of how it is written in PyTorch (a literal, a name, the order of two arguments, a keyword
left out) or in ONNX (an attribute, a constant, an operator, the order of two inputs). Mutants that
change an output of the law's own case by more than rounding explains must be found by `verify` on
the inputs that it draws, at the line of the op. A sample runs in the suite; all of them with

    python -m tests.mutations [OP …] [--cases N] [--seed N]
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from backends.onnx_runtime.session import REFUSALS, Device, open_session
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from backends.verification.cases import Case as InputCase
from backends.verification.margins import Margin
from backends.verification.rounding import Reference
from backends.verification.torch_subject import run_module
from backends.verification.verify import verify
from compiler.ir.evaluate import InputError, evaluate
from compiler.ir.graph import Op
from compiler.ops.registry import OPS, load_ops
from compiler.report.diagnostics import CompileError, Fault, Message, Sink
from compiler.report.messages.verification import backend_failed, invalid_onnx
from compiler.types.dims import Dim
from compiler.vocabulary import spelling
from tests.laws.harness import Case, load_cases
from tests.single_ops import SingleOp, draw_cases, make_single
from tests.verifying import place

Array = Any
BREAKS = (
    *REFUSALS,
    CompileError,
    Fault,
    InputError,
    AssertionError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
)
"""What mutants raise that mean nothing to a backend or the type rule."""


@dataclass(frozen=True)
class Mutant:
    """One change, in words, and what runs it: a file, a module, or another meaning."""

    about: str
    onnx: onnx.ModelProto | None = None
    module: spelling.Spelling | None = None
    field: tuple[str, Any] | None = None


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: `refused` by a backend or the type rule, `same` (it changes nothing
    by more than rounding explains), `found`, `misplaced` (at another line) or `missed`."""

    op: str
    case: str
    about: str
    outcome: str


# --- making mutants ----------------------------------------------------------------------------

SWAPPED = {
    "Floor": "Round", "Round": "Floor", "Ceil": "Floor", "Max": "Min", "Min": "Max",
    "Add": "Sub", "Sub": "Add", "Mul": "Div", "Div": "Mul", "ReduceMax": "ReduceMin",
    "ReduceMin": "ReduceMax", "ReduceSum": "ReduceMean", "ReduceMean": "ReduceSum",
    "Less": "LessOrEqual", "LessOrEqual": "Less", "Greater": "GreaterOrEqual",
    "GreaterOrEqual": "Greater", "ArgMax": "ArgMin", "ArgMin": "ArgMax", "And": "Or", "Or": "And",
    "Sin": "Cos", "Cos": "Sin", "Tanh": "Erf", "Erf": "Tanh", "Sigmoid": "HardSigmoid",
    "Softmax": "LogSoftmax", "LogSoftmax": "Softmax", "MaxPool": "AveragePool",
    "GlobalMaxPool": "GlobalAveragePool", "GlobalAveragePool": "GlobalMaxPool", "Relu": "Abs",
    "Sqrt": "Identity", "Neg": "Abs", "Not": "Identity", "Abs": "Identity", "Selu": "Elu",
    "Sign": "Identity", "IsNaN": "IsInf",
}  # fmt: skip
"""Operators of ONNX of the same arity that are easily taken for one another."""

NAMES = {
    "torch.floor": "torch.round", "torch.round": "torch.floor", "torch.ceil": "torch.floor",
    "torch.maximum": "torch.minimum", "torch.minimum": "torch.maximum", "torch.sin": "torch.cos",
    "torch.cos": "torch.sin", "torch.log1p": "torch.log", "torch.expm1": "torch.exp",
    "torch.rsqrt": "torch.sqrt", "F.gelu": "F.silu", "F.silu": "F.mish", "F.mish": "F.silu",
    "F.softplus": "F.relu", "F.softsign": "torch.tanh", "F.relu6": "F.relu", "F.relu": "F.relu6",
    "F.elu": "F.celu", "F.celu": "F.elu", "F.hardswish": "F.silu", "F.hardsigmoid": "torch.sigmoid",
    "torch.sigmoid": "F.hardsigmoid", "F.sigmoid": "F.hardsigmoid", "torch.tanh": "F.softsign",
    "F.tanh": "F.softsign", "torch.triu": "torch.tril", "torch.tril": "torch.triu",
    "amax": "amin", "amin": "amax", "mean": "sum", "sum": "mean", "argmax": "argmin",
    "argmin": "argmax", "var": "std", "std": "var", "triu": "tril", "tril": "triu",
    "cumsum": "cumprod", "cumprod": "cumsum", "all": "any", "any": "all",
    "F.selu": "F.elu", "torch.sign": "torch.tanh", "torch.isnan": "torch.isinf", "sign": "tanh",
    "isnan": "isinf", "F.mse_loss": "F.l1_loss", "F.l1_loss": "F.mse_loss",
    "F.huber_loss": "F.smooth_l1_loss",
}  # fmt: skip
"""The same for functions and methods of PyTorch."""

WORDS = {
    "none": ("tanh",), "tanh": ("none",), "reflect": ("replicate", "constant"),
    "replicate": ("reflect",), "circular": ("reflect",), "constant": ("replicate",),
    "mean": ("sum",), "sum": ("mean",), "batchmean": ("mean",), "floor": ("trunc",),
    "nearest": ("nearest-exact",), "nearest-exact": ("nearest",), "bilinear": ("bicubic",),
    "bicubic": ("bilinear",), "linear": ("nearest",), "trilinear": ("nearest",),
    "half_pixel": ("asymmetric",), "pytorch_half_pixel": ("asymmetric",),
    "asymmetric": ("half_pixel",), "align_corners": ("half_pixel",), "cubic": ("linear",),
    "round_prefer_floor": ("ceil",), "edge": ("reflect",), "SAME_UPPER": ("SAME_LOWER",),
    "DCR": ("CRD",), "CRD": ("DCR",),
}  # fmt: skip
"""Words of options, and others that may stand in their place."""


def mutate_value(value: Any) -> Iterator[Any]:
    """Other values of a literal of the same kind."""
    match value:
        case bool():
            yield not value
        case int():
            yield from (value + 1, value - 1)
        case float() if np.isfinite(value):
            yield value * 1.1 if value else 0.01
            if 0 < abs(value) < 0.01:  # an epsilon
                yield value * 10
        case str():
            yield from WORDS.get(value, ())
        case tuple() | list() if len(value) and all(isinstance(v, int | float) for v in value):
            yield type(value)((value[0] + 1, *value[1:]))
            if len(set(value)) > 1:
                yield type(value)(reversed(value))


def mutate_onnx(model: onnx.ModelProto) -> Iterator[Mutant]:
    """Files with one attribute, constant, operator or order of inputs changed."""
    for index, node in enumerate(model.graph.node):
        if node.name.startswith("after") or node.name.startswith("other"):
            continue
        for mutant in _mutate_node(node):
            changed = onnx.ModelProto()
            changed.CopyFrom(model)
            changed.graph.node[index].CopyFrom(mutant[1])
            yield Mutant(f"{node.op_type}: {mutant[0]}", onnx=changed)
    for index, held in enumerate(model.graph.initializer):
        array = numpy_helper.to_array(held)
        if held.name.startswith("layer.") or array.dtype.kind not in "fiub" or array.size > 64:
            continue
        for number in range(min(array.size, 4)):
            for value in mutate_value(array.reshape(-1)[number].item()):
                made = array.copy().reshape(-1)
                try:
                    made[number] = value
                except (OverflowError, ValueError):
                    continue
                changed = onnx.ModelProto()
                changed.CopyFrom(model)
                held_now = numpy_helper.from_array(made.reshape(array.shape), held.name)
                changed.graph.initializer[index].CopyFrom(held_now)
                yield Mutant(f"{held.name}[{number}] = {value}", onnx=changed)


def _mutate_node(node: onnx.NodeProto) -> Iterator[tuple[str, onnx.NodeProto]]:
    def copy() -> onnx.NodeProto:
        made = onnx.NodeProto()
        made.CopyFrom(node)
        return made

    for position, attribute in enumerate(node.attribute):
        value = helper.get_attribute_value(attribute)
        text = value.decode() if isinstance(value, bytes) else value
        for other in mutate_value(text):
            made = copy()
            made.attribute[position].CopyFrom(helper.make_attribute(attribute.name, other))
            yield f"{attribute.name} = {other}", made
        made = copy()
        del made.attribute[position]
        yield f"without {attribute.name}", made
    if len(node.input) >= 2 and node.input[0] != node.input[1]:
        made = copy()
        made.input[0], made.input[1] = node.input[1], node.input[0]
        yield "its first two inputs swapped", made
    if node.op_type in SWAPPED:
        made = copy()
        made.op_type = SWAPPED[node.op_type]
        yield f"{made.op_type} instead", made


def mutate_torch(term: Any) -> Iterator[tuple[str, Any]]:
    """Terms with one literal, name, order of arguments or keyword changed."""
    if isinstance(term, spelling.Leaf):
        value = term.value.known if isinstance(term.value, Dim) else term.value
        if term.dim is not None or value is None:
            return
        for other in mutate_value(value):
            yield f"{term.role or term.field} = {other}", replace(term, value=other)
        return
    if not dataclasses.is_dataclass(term) or isinstance(term, spelling.Own | spelling.In):
        return
    yield from _mutate_words(term)
    for item in dataclasses.fields(term):
        value = getattr(term, item.name)
        for about, other in _mutate_part(value):
            yield about, replace(term, **{item.name: other})


def _mutate_words(term: Any) -> Iterator[tuple[str, Any]]:
    match term:
        case spelling.Call(head=str(head)) if head in NAMES:
            yield f"{NAMES[head]} for {head}", replace(term, head=NAMES[head])
        case spelling.Method(name=name) if name in NAMES:
            yield f"{NAMES[name]} for {name}", replace(term, name=NAMES[name])
        case spelling.Infix(operator=operator, left=left, right=right):
            if left != right:
                yield f"operands of {operator} swapped", replace(term, left=right, right=left)
            swapped = {"+": "-", "-": "+", "*": "/", "/": "*", "//": "/", "<": "<=", "<=": "<"}
            swapped |= {">": ">=", ">=": ">", "==": "!=", "!=": "==", "&": "|", "|": "&"}
            if operator in swapped:
                other = swapped[operator]
                yield f"{other} for {operator}", replace(term, operator=other)
        case spelling.Prefix(operand=operand):
            yield f"without {term.operator}", operand
    if isinstance(term, spelling.Call | spelling.Method):
        if len(term.args) >= 2 and term.args[0] != term.args[1]:
            first, second, *rest = term.args
            yield "first two arguments swapped", replace(term, args=(second, first, *rest))
        for position, (name, _) in enumerate(term.kwargs):
            kept = (*term.kwargs[:position], *term.kwargs[position + 1 :])
            yield f"without {name}", replace(term, kwargs=kept)


def _mutate_part(value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, tuple):
        yield from mutate_torch(value)
        return
    for position, part in enumerate(value):
        if isinstance(part, tuple) and len(part) == 2:  # a keyword
            for about, other in mutate_torch(part[1]):
                pair = (part[0], other)
                yield about, (*value[:position], pair, *value[position + 1 :])
            continue
        for about, other in mutate_torch(part):
            yield about, (*value[:position], other, *value[position + 1 :])


def mutate_spelling(made: spelling.Spelling) -> Iterator[Mutant]:
    """Modules with one thing of a node's spelling changed. Where there is a form for
    `nn.Sequential`, it is another term; it is left out here."""
    plain = replace(made, module=None, with_number=())
    for about, term in mutate_torch(plain.expression):
        yield Mutant(about, module=replace(plain, expression=term))
    if plain.constructor is not None:
        for about, term in mutate_torch(plain.constructor):
            yield Mutant(about, module=replace(plain, constructor=term))


def mutate_meaning(op: Op) -> Iterator[Mutant]:
    """Ops with one field changed: the meaning of another op, beside the backends of this one."""
    for item in dataclasses.fields(op):  # type: ignore[arg-type]
        value = getattr(op, item.name)
        for other in mutate_value(value):
            yield Mutant(f"{item.name} = {other}", field=(item.name, other))


# --- hunting them ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hunt:
    """A network of one op, and its mutants."""

    net: SingleOp
    folder: Path

    def run(self, most: int | None = None) -> Iterator[Verdict]:
        """A verdict for each mutant, or for some of them."""
        path = self.net.write(self.folder)
        model = onnx.load(path)
        op = self.net.applied.case.op
        (node,) = (n for n in self.net.graph.nodes if n.origin.span == place("second"))
        mutants = [*mutate_onnx(model), *mutate_spelling(op.torch(node)), *mutate_meaning(op)]
        step = 1 if most is None else max(1, len(mutants) // most)
        for mutant in mutants[::step]:
            attempt = self._try if mutant.onnx is None else self._try_apart
            yield Verdict(op.name, repr(self.net.applied.case), mutant.about, attempt(mutant))

    def _try_apart(self, mutant: Mutant) -> str:
        """The same in a process of its own: files that break some rules end it."""
        context = get_context("fork")
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=lambda: there.send(self._try(mutant)))
        child.start()
        there.close()
        try:
            return str(here.recv())
        except EOFError:
            return "refused"
        finally:
            child.join()

    def _try(self, mutant: Mutant) -> str:
        try:
            found, meaning = self._run(mutant)
        except BREAKS:
            return "refused"
        if not self._differs(found, meaning):
            return "same"
        try:
            messages = self._verify(mutant)
        except BREAKS:
            return "refused"
        if not messages:
            return "missed"
        if any(message.kind in (backend_failed, invalid_onnx) for message in messages):
            return "refused"
        lines = {message.span for message in messages}
        return "found" if place("second") in lines else "misplaced"

    def _run(self, mutant: Mutant) -> tuple[Mapping[str, Array], Mapping[str, Array]]:
        """What the mutant and what the right meaning gives on the law's operands."""
        inputs = self._inputs()
        meaning = evaluate(self.net.graph, self.net.weights, inputs)
        if mutant.field is not None:
            name, value = mutant.field
            op = replace(self.net.applied.case.op, **{name: value})  # type: ignore[type-var]
            made = op.infer(lambda *_: None, *self.net.applied.types)
            assert made == self.net.applied.outputs, "the type rule tells them apart"
            with self._patched(mutant):
                return evaluate(self.net.graph, self.net.weights, inputs), meaning
        if mutant.onnx is not None:
            session = open_session(mutant.onnx.SerializeToString(), device=Device.CPU)
            return session.run(inputs), meaning
        return run_module(self._load(mutant), self.net.graph, inputs), meaning

    def _inputs(self) -> dict[str, Array]:
        drawn = self.net.inputs
        if not drawn:
            return {"some": np.ones(1, np.float32)}
        return drawn

    def _load(self, mutant: Mutant) -> Any:
        """The module with the mutated spelling."""
        with self._patched(mutant):
            graph = replace(self.net.graph)  # folded graphs are remembered
            module = load_module(emit_module([graph], title=graph.name), graph)
        assign_weights(module, self.net.weights)
        return module

    @contextmanager
    def _patched(self, mutant: Mutant) -> Iterator[None]:
        """The op of the net with the mutated spelling or meaning."""
        kind = type(self.net.applied.case.op)
        torch, meaning = kind.torch, kind.evaluate
        if mutant.module is not None:
            kind.torch = lambda self, node: mutant.module  # type: ignore[method-assign]
        if mutant.field is not None:
            name, value = mutant.field
            kind.evaluate = lambda self, *a: meaning(replace(self, **{name: value}), *a)  # type: ignore[method-assign, misc]
        try:
            yield
        finally:
            kind.torch, kind.evaluate = torch, meaning  # type: ignore[method-assign]

    def _differs(self, found: Mapping[str, Array], meaning: Mapping[str, Array]) -> bool:
        sizes = dict(self.net.applied.case.sizes)
        case = InputCase("law", sizes, self._inputs())
        margin = Margin(Reference(self.net.graph, self.net.weights), case, meaning)
        return margin.judge(found)[1].share > 1

    def _verify(self, mutant: Mutant) -> list[Message]:
        sink = Sink()
        module = self._load(mutant) if mutant.module is not None else None
        path = self.folder / "net.onnx" if mutant.field is not None else None
        if mutant.onnx is not None:
            path = self.folder / "mutant.onnx"
            onnx.save(mutant.onnx, path)
        with self._patched(mutant):
            verify(
                self.net.graph,
                self.net.weights,
                torch_module=module,
                onnx_path=path,
                device=Device.CPU,
                sink=sink,
            )
        return list(sink.messages)


def hunt(name: str, count: int, seed: int = 0, most: int | None = None) -> Iterator[Verdict]:
    """Verdicts on mutants of some cases of an op; about `most` of each case, spread evenly."""
    load_ops()
    for case in draw_cases(name, count, seed):
        if case.skip.keys() & {"torch", "onnxruntime"} or case.op.random:
            continue
        if not _is_run_by_all(case):
            continue
        with tempfile.TemporaryDirectory() as folder:
            yield from Hunt(make_single(case), Path(folder)).run(most)


def _is_run_by_all(case: Case) -> bool:
    """Whether the right network passes: some dtypes have no kernel, some cases fix what they call
    symbolic."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            net = make_single(case)
            report = verify(
                net.graph,
                net.weights,
                torch_module=net.load_module(),
                onnx_path=net.write(Path(folder)),
                device=Device.CPU,
                sink=Sink(),
            )
        except (CompileError, Fault, AssertionError):
            return False
        return report.passed


def list_ops() -> list[str]:
    """The ops that have cases."""
    load_ops()
    return [cls.name for cls in OPS.classes() if cls.name in load_cases()]


def main() -> int:
    """Hunts all mutants of all ops, or of some; 1 where one was missed or misplaced."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations")
    parser.add_argument("ops", nargs="*")
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    warnings.simplefilter("ignore")
    whole: Counter[str] = Counter()
    for name in wanted.ops or list_ops():
        verdicts = list(hunt(name, wanted.cases, wanted.seed))
        tally = Counter(v.outcome for v in verdicts)
        whole += tally
        print(f"{name}: {dict(tally)}", flush=True)
        for verdict in verdicts:
            if verdict.outcome in ("missed", "misplaced"):
                print(f"  {verdict.outcome}: {verdict.about} of {verdict.case}", flush=True)
    print(f"all: {dict(whole)}")
    return int(whole["missed"] + whole["misplaced"] > 0)


if __name__ == "__main__":
    sys.exit(main())
