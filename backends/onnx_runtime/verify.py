"""Verifies a compiled network: its meaning in NumPy against PyTorch and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backends.onnx_graph.check import MalformedModel, check_onnx, read_opset
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_runtime.cases import Case, make_cases
from backends.onnx_runtime.onnx_subject import OnnxSubject
from backends.onnx_runtime.readback import check_integers
from backends.onnx_runtime.rounding import has_rounding, measure_rounding
from backends.onnx_runtime.session import Device, open_session
from backends.onnx_runtime.sizes import SizeSearch, pin_sizes
from backends.onnx_runtime.tolerance import Difference, compare_all, derive_tolerance
from backends.onnx_runtime.torch_subject import TorchSubject
from compiler.diagnostics import Message, Sink
from compiler.ir.evaluate import bind_sizes, evaluate
from compiler.ir.graph import Graph
from compiler.messages.verification import BackendFailed, InvalidOnnx, NoPossibleSizes

Array = NDArray[Any]
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done and how many there are."""


class Subject(Protocol):
    """A backend under test."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name; raises `RuntimeError` where the backend fails."""

    def explain(self, case: Case, tolerance: float, output: str, found: Difference) -> Message:
        """Narrows a difference down to the first node that diverges."""


@dataclass(frozen=True)
class CaseResult:
    """The largest error of one backend on one case, relative to the outputs' magnitude, and what
    rounding of the numbers allows where that had to be asked."""

    case: str
    sizes: Mapping[str, int]
    backend: str
    output: str
    error: float
    allowed: float = 0.0


@dataclass(frozen=True)
class VerifyReport:
    """What was compared. `tolerance` is the largest error allowed on any case; `passed` says
    whether all backends stayed within what was allowed on each."""

    results: tuple[CaseResult, ...]
    tolerance: float
    passed: bool

    @property
    def worst(self) -> CaseResult | None:
        """The result with the largest error."""
        return max(self.results, key=lambda r: r.error, default=None)


def verify(
    graph: Graph,
    weights: Mapping[str, Array],
    *,
    torch_module: Any | None = None,
    onnx_path: Path | None = None,
    device: Device = Device.AUTO,
    sink: Sink,
    seed: int = 0,
    samples: Mapping[str, Array] | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Compares what was compiled from a graph with its meaning in NumPy, on random and edge
    inputs at several sizes of every symbolic dimension.

    Args:
        graph: the network as elaborated.
        weights: an array per parameter path.
        torch_module: the generated module with these weights, if there is one.
        onnx_path: the ONNX file, if there is one.
        device: where ONNX Runtime runs.
        sink: gets a message per difference, at the spec line of the first node that diverges,
            and one per layer that was planned in integers and runs in floats.
        seed: of the random inputs.
        samples: inputs from real data, tried too: random numbers may have no logarithm.
        progress: called before each case.

    Raises:
        CompileError: ONNX Runtime refuses the file, or CUDA is asked for and not there.
    """
    subjects: list[Subject] = []
    pinned: dict[str, int] = {}
    if torch_module is not None:
        subjects.append(TorchSubject(graph, weights, torch_module))
    if onnx_path is not None:
        opened = _open_onnx(graph, weights, onnx_path, device, sink)
        if opened is None:
            return VerifyReport((), 0.0, passed=False)
        subject, pinned = opened
        subjects.append(subject)
    with np.errstate(all="ignore"):  # large inputs may overflow; results then agree on that
        return compare_subjects(
            graph,
            weights,
            subjects,
            pinned=pinned,
            sink=sink,
            seed=seed,
            samples=samples,
            progress=progress,
        )


def _open_onnx(
    graph: Graph, weights: Mapping[str, Array], path: Path, device: Device, sink: Sink
) -> tuple[OnnxSubject, dict[str, int]] | None:
    """The ONNX file as a subject, with the sizes that it fixes; None where it is malformed, or
    computes in floats what was planned in integers, which is reported."""
    try:
        check_onnx(path)
    except MalformedModel as error:
        sink.report(InvalidOnnx(graph.frame.origin, str(path), str(error)))
        return None
    session = open_session(path, device=device)
    pinned = pin_sizes(graph, session.fixed_shapes)
    if has_rounding(graph) and session.device is Device.CPU:
        floats = check_integers(graph, path)
        for message in floats:
            sink.report(message)
        if floats:
            return None
    options = OnnxOptions(fixed=tuple(pinned.items()))
    return OnnxSubject(graph, weights, path, session, read_opset(path), options), pinned


def compare_subjects(
    graph: Graph,
    weights: Mapping[str, Array],
    subjects: Sequence[Subject],
    *,
    pinned: Mapping[str, int],
    sink: Sink,
    seed: int = 0,
    samples: Mapping[str, Array] | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Runs backends on random and edge inputs and reports the first difference of each."""
    search = SizeSearch(graph, pinned)
    cases = list(make_cases(graph, search, seed))
    if samples is not None:
        cases.append(Case("real", bind_sizes(graph, samples), samples))
    if not cases:
        sink.report(NoPossibleSizes(graph.frame.origin, graph.name, graph.symbols))
        return VerifyReport((), 0.0, passed=False)
    tolerance = derive_tolerance(graph)
    results: list[CaseResult] = []
    failed: set[str] = set()
    for number, case in enumerate(cases):
        if progress is not None:
            progress(f"verify {graph.name}: {case}", number, len(cases))
        expected = evaluate(graph, weights, case.inputs)
        for subject in subjects:
            if subject.name in failed:
                continue
            result, fault = _compare(graph, weights, subject, case, expected, tolerance, search)
            results.append(result)
            if fault is not None:
                failed.add(subject.name)
                sink.report(fault)
    allowed = max([tolerance, *(result.allowed for result in results)])
    return VerifyReport(tuple(results), allowed, passed=not failed)


def _compare(
    graph: Graph,
    weights: Mapping[str, Array],
    subject: Subject,
    case: Case,
    expected: Mapping[str, Array],
    tolerance: float,
    search: SizeSearch,
) -> tuple[CaseResult, Message | None]:
    try:
        found = subject.run(case.inputs)
    except RuntimeError as error:
        result = CaseResult(str(case), case.sizes, subject.name, "", np.inf)
        return result, BackendFailed(graph.frame.origin, subject.name, str(case), str(error))
    output, worst = compare_all(expected, found, by_rows=case.stacked)
    result = CaseResult(str(case), case.sizes, subject.name, output, worst.error)
    if worst.error <= tolerance:
        return result, None
    if case.stacked and search.batch is not None and worst.index:
        case = case.row(worst.index[0], search.batch)
    meaning = evaluate(graph, weights, case.inputs)
    rounding = measure_rounding(graph, weights, case.inputs, meaning)
    allowed = max(tolerance, measure_noise(graph, weights, case), rounding)
    result = replace(result, allowed=allowed)
    if worst.error <= allowed:
        return result, None
    # On the way to the outputs, a level decided otherwise is no fault of the node that rounds.
    loose = max(allowed, LEVEL) if has_rounding(graph) else allowed
    return result, subject.explain(case, loose, output, worst)


LEVEL = 1.5 / 127
"""One level of an 8-bit value, relative to its largest magnitude, and half a one for rounding."""
NOISE_FACTOR = 16.0
"""How many times the effect of rounding the inputs and weights once a difference may be: every
layer rounds again."""


def measure_noise(graph: Graph, weights: Mapping[str, Array], case: Case) -> float:
    """The error that rounding explains: how much the outputs move when every number that goes
    in moves by one step. Networks that subtract nearly equal numbers, and jumps (a comparison,
    an index of a maximum), are known by it."""
    draw = np.random.default_rng(0)

    def disturb(array: Array) -> Array:
        if array.dtype.kind != "f":
            return array
        step = np.finfo(array.dtype).eps * draw.uniform(-1.0, 1.0, array.shape)
        moved: Array = (array * (1.0 + step)).astype(array.dtype)
        return moved

    expected = evaluate(graph, weights, case.inputs)
    moved_weights = {path: disturb(np.asarray(a)) for path, a in weights.items()}
    moved_inputs = {name: disturb(a) for name, a in case.inputs.items()}
    _, moved = compare_all(expected, evaluate(graph, moved_weights, moved_inputs))
    return NOISE_FACTOR * moved.error
