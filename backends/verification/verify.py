"""Verifies a compiled network: its meaning in NumPy against PyTorch and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backends.onnx_graph.check import MalformedModel, check_onnx, read_input_shapes, read_opset
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_runtime.session import Device, Session, open_session
from backends.verification.cases import CHEAP, VALUES, Case, make_cases, make_strange, need_memory
from backends.verification.margins import DEAR_DRAWS, DRAWS, Margin
from backends.verification.messages import locate
from backends.verification.onnx_subject import OnnxSubject
from backends.verification.readback import check_integers
from backends.verification.rounding import (
    Reference,
    evaluate_levels,
    find_roundings,
    has_rounding,
)
from backends.verification.tolerance import Difference
from backends.verification.torch_subject import TorchSubject
from compiler.ir.evaluate import bind_sizes, expand
from compiler.ir.graph import Graph
from compiler.ir.input_ranges import OutsideDomain, check_inputs
from compiler.ir.memory import need_values
from compiler.ir.sizes import SizeSearch, pin_sizes
from compiler.report.diagnostics import CompileError, Message, Sink
from compiler.report.messages.verification import (
    backend_failed,
    invalid_onnx,
    model_refused,
    no_allowed_inputs,
    no_possible_sizes,
    rows_outside_domain,
)

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

    def explain(self, margin: Margin, output: str, found: Difference) -> Message:
        """Narrows a difference down to the first node that diverges."""


@dataclass(frozen=True)
class CaseResult:
    """The difference of one backend on one case that comes nearest to what is allowed for its
    entry, or exceeds it most; `share` is how much of that it is."""

    case: str
    sizes: Mapping[str, int]
    backend: str
    output: str
    share: float
    error: float = np.inf
    allowed: float = 0.0


@dataclass(frozen=True)
class VerifyReport:
    """What was compared. `passed` says whether all backends stayed within what was allowed for
    every entry of every output."""

    results: tuple[CaseResult, ...]
    passed: bool

    @property
    def worst(self) -> CaseResult | None:
        """The result nearest to its limit, or farthest beyond it."""
        return max(self.results, key=lambda r: r.share, default=None)

    @property
    def failed(self) -> frozenset[str]:
        """The backends that failed, or exceeded what was allowed."""
        return frozenset(r.backend for r in self.results if r.share > 1)


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
        torch_module: the generated module with these weights; `onnx_path`: the ONNX file.
        device: where ONNX Runtime runs.
        sink: gets a message per difference, at the spec line of the first node that diverges,
            and one per layer that was planned in integers and runs in floats.
        seed: of the random inputs.
        samples: inputs from real data, tried too: random numbers may have no logarithm.
        progress: called before each case.

    Raises:
        CompileError: ONNX Runtime refuses the file, CUDA is asked for and not there, or no
            numbers are found that the inputs may hold.
    """
    subjects: list[Subject] = []
    pinned: dict[str, int] = {}
    if torch_module is not None:
        subjects.append(TorchSubject(graph, weights, torch_module))
    if onnx_path is not None:
        opened = _open_onnx(graph, weights, onnx_path, device, sink)
        if opened is None:
            return VerifyReport((), passed=False)
        subject, pinned = opened
        subjects.append(subject)
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
        model = check_onnx(path)
    except MalformedModel as error:
        fault = invalid_onnx(graph.frame.origin, str(path), str(error))
        sink.report(locate(fault, graph))
        return None
    pinned = pin_sizes(graph, read_input_shapes(model))
    need_memory(graph, pinned)  # a session may fill the tensors of sizes that the file fixes
    session = _open_session(graph, path, device)
    if has_rounding(graph) and session.device is Device.CPU:
        floats = check_integers(graph, path)
        for message in floats:
            sink.report(message)
        if floats:
            return None
    options = OnnxOptions(fixed=tuple(pinned.items()))
    return OnnxSubject(graph, weights, path, session, read_opset(path), options), pinned


def _open_session(graph: Graph, path: Path, device: Device) -> Session:
    """A session for the file; where it is refused, the layer of the spec is named."""
    try:
        return open_session(path, device=device)
    except CompileError as error:
        messages = [locate(m, graph) if m.kind is model_refused else m for m in error.messages]
        raise CompileError(messages) from error


@np.errstate(all="ignore")  # large inputs may overflow; results then agree on that
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
    graph = expand(graph)
    search, reference = SizeSearch(graph, pinned), Reference(graph, weights)
    drawing = _Drawing(reference, search, seed)
    cases = list(drawing.cases)
    if samples is not None:
        cases.append(_take_real(graph, weights, samples))
    if not cases:
        sink.report(no_possible_sizes(graph.frame.origin, graph.name, graph.symbols))
        return VerifyReport((), passed=False)
    cases += make_strange(graph, cases[0], weights)
    results: list[CaseResult] = []
    failed: set[str] = set()
    for number, case in enumerate(cases):
        if progress is not None:
            progress(f"verify {graph.name}: {case}", number, len(cases))
        draws = DRAWS if search.count_multiply_adds(case.sizes) <= CHEAP else DEAR_DRAWS
        defined = drawing.define(number, case)
        if defined is None:
            continue
        case, meaning = defined
        margin = Margin(reference, case, meaning, draws)
        for subject in subjects:
            if subject.name in failed:
                continue
            result, fault = _compare(subject, margin)
            results.append(result)
            if fault is not None:
                failed.add(subject.name)
                sink.report(fault)
    if subjects and not results:
        raise CompileError([drawing.refuse()])
    return VerifyReport(tuple(results), passed=not failed)


@dataclass(frozen=True, eq=False)
class _Drawing:
    """The drawn cases of a graph, and others in the place of those that say nothing."""

    reference: Reference
    search: SizeSearch
    seed: int

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """The cases as they are drawn at first."""
        graph, weights = self.reference.graph, self.reference.weights
        return tuple(make_cases(graph, self.search, self.seed, weights, VALUES))

    @cached_property
    def narrower(self) -> tuple[Case, ...]:
        """The same cases of numbers that are finite where they are rounded; none where no such
        numbers are found."""
        graph, weights = self.reference.graph, self.reference.weights
        finite = find_roundings(graph)
        try:
            return tuple(make_cases(graph, self.search, self.seed, weights, VALUES, finite))
        except CompileError:
            return ()

    def define(self, number: int, case: Case) -> tuple[Case, dict[str, Array]] | None:
        """A case with its meaning. Where that rounds a logarithm of a negative number, say, it is
        one of numbers that the network does take, or None."""
        meaning, defined = evaluate_levels(*self.reference.decoded, case.inputs)
        if defined:
            return case, meaning
        if number >= min(len(self.cases), len(self.narrower)):  # rows of data are what they are
            return None
        other = self.narrower[number]
        meaning, defined = evaluate_levels(*self.reference.decoded, other.inputs)
        return (other, meaning) if defined else None

    def refuse(self) -> Message:
        """What is said where no case has a meaning."""
        graph = self.reference.graph
        node = graph.nodes[find_roundings(graph)[0]]
        return no_allowed_inputs(node.origin.span, graph.name, node.op.name)


def _take_real(graph: Graph, weights: Mapping[str, Array], samples: Mapping[str, Array]) -> Case:
    """Rows of data as a case.

    Raises:
        CompileError: they hold numbers that the network does not take.
    """
    sizes = bind_sizes(graph, samples)
    need_values(graph, sizes, VALUES)
    try:
        check_inputs(graph, sizes, weights, samples)
    except OutsideDomain as found:
        node = found.node
        raise CompileError(
            [rows_outside_domain(node.origin.span, graph.name, node.op.name)]
        ) from found
    return Case("real", sizes, samples)


def _compare(subject: Subject, margin: Margin) -> tuple[CaseResult, Message | None]:
    case, name = margin.case, subject.name
    try:
        found = subject.run(case.inputs)
    except RuntimeError as error:
        origin = margin.graph.frame.origin
        fault = locate(backend_failed(origin, name, str(case), str(error)), margin.graph)
        return CaseResult(str(case), case.sizes, name, "", np.inf), fault
    output, worst = margin.judge(found)
    result = CaseResult(
        str(case), case.sizes, name, output, worst.share, worst.error, worst.allowed
    )
    return result, subject.explain(margin, output, worst) if worst.share > 1 else None
