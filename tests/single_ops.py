"""Networks of one op, made from the cases of the laws, with a line of a spec for each layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from backends.verification.verify import VerifyReport, verify
from compiler.ir.builder import Builder
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Graph
from compiler.ops.arithmetic import Neg
from compiler.ops.creation import OnesLike, ZerosLike
from compiler.report.diagnostics import Message, Sink
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers.given import Zeros
from tests.laws.harness import Applied, Case, apply_op, load_cases
from tests.verifying import place


@dataclass(frozen=True)
class SingleOp:
    """A network of one op, at the line `second`, whose floating-point results are negated at the
    line `third`."""

    applied: Applied
    graph: Graph
    weights: Mapping[str, Any]

    @property
    def inputs(self) -> dict[str, Any]:
        """The operands of the law's case."""
        pairs = enumerate(self.applied.case.arrays)
        return {f"x{k}": array for k, array in pairs if array is not None}

    def load_module(self) -> Any:
        """The generated module with the weights."""
        module = load_module(emit_module([self.graph], title=self.graph.name), self.graph)
        assign_weights(module, self.weights)
        return module

    def write(self, folder: Path) -> Path:
        """The ONNX file."""
        path = folder / "net.onnx"
        compile_onnx(self.graph, self.weights, path)
        return path


def make_single(case: Case) -> SingleOp:
    """The network of a case."""
    applied = apply_op(case)
    frame = Frame("Net", "", 0, origin=place("first"))
    build = Builder("net", frame)
    inputs = [
        None if kind is None else build.input(f"x{k}", kind) for k, kind in enumerate(case.types)
    ]
    weights = {f"layer.{name}": array for name, array in applied.weights.items()}
    for path, kind in zip(weights, applied.weight_types, strict=True):
        trainable = kind.dtype.is_float
        inputs.append(build.parameter(path, kind, Zeros(), trainable=trainable))
    made = build.apply(case.op, inputs, frame, Site(place("second"), "layer"))
    if not case.types:  # a module makes tensors where its inputs are
        some = build.input("some", TensorType.of("f32", [1]))
        build.output("other", build.apply(Neg(), [some], frame, Site(place("third"), "other"))[0])
    for k, value in enumerate(made):
        # What does not depend on numbers is negated when compiling.
        if (
            value.type.dtype.is_float
            and case.types
            and not isinstance(case.op, OnesLike | ZerosLike)
        ):
            (value,) = build.apply(Neg(), [value], frame, Site(place("third"), "after"))
        build.output(f"y{k}", value)
    return SingleOp(applied, build.graph(), weights)


def draw_cases(name: str, count: int, seed: int = 0) -> list[Case]:
    """Some cases of an op, always the same ones for a seed."""
    found: list[Case] = []

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(load_cases()[name])
    def take(case: Case) -> None:
        found.append(case)

    take()
    return found[-count:]


def in_dtype(case: Case, dtype: DType) -> Case:
    """The case with its f32 operands in another dtype."""
    arrays = tuple(
        a.astype(dtype.numpy) if a is not None and a.dtype == np.float32 else a for a in case.arrays
    )
    types = tuple(
        TensorType(dtype, t.shape) if t is not None and t.dtype is DType.F32 else t
        for t in case.types
    )
    return replace(case, arrays=arrays, types=types)


def verify_single(net: SingleOp, folder: Path) -> tuple[VerifyReport, list[Message]]:
    """What verification says of a network."""
    sink = Sink()
    report = verify(
        net.graph,
        net.weights,
        torch_module=net.load_module(),
        onnx_path=net.write(folder),
        device=Device.CPU,
        sink=sink,
    )
    return report, sink.messages
