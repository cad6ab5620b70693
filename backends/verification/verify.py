"""Verifies a compiled network: its meaning in NumPy against PyTorch and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backends.onnx_graph.check import MalformedModel, check_onnx, read_input_shapes, read_opset
from backends.onnx_graph.compile import compile_onnx
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_runtime.session import Device, Session, open_session
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from backends.verification.cases import CHEAP, VALUES, Case, make_cases, make_strange, need_memory
from backends.verification.given_draws import Given, give_draws
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
from compiler.ir.evaluate import bind_sizes, evaluate, expand
from compiler.ir.graph import Graph
from compiler.ir.input_ranges import OutsideDomain, check_inputs
from compiler.ir.memory import need_values
from compiler.ir.modes import take_evaluation
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
    files = _Files(torch_module, onnx_path, device)
    graph = take_evaluation(graph)
    compared = _Comparison(graph, weights, files, sink, seed, samples, progress)
    draws = any(node.op.varies for node in graph.nodes)
    return compared.run_given() if draws else compared.run()


@dataclass(frozen=True)
class _Files:
    """What was compiled, and where it runs."""

    torch_module: Any | None
    onnx_path: Path | None
    device: Device

    def open(
        self, graph: Graph, weights: Mapping[str, Array], sink: Sink
    ) -> tuple[list[Subject], dict[str, int]] | None:
        """What is compared, with the sizes that the ONNX file fixes; None where that cannot be
        judged, which is reported."""
        subjects: list[Subject] = []
        pinned: dict[str, int] = {}
        if self.torch_module is not None:
            subjects.append(TorchSubject(graph, weights, self.torch_module))
        if self.onnx_path is not None:
            opened = _open_onnx(graph, weights, self.onnx_path, self.device, sink)
            if opened is None:
                return None
            subject, pinned = opened
            subjects.append(subject)
        return subjects, pinned

    def compile_alike(
        self, graph: Graph, weights: Mapping[str, Array], pinned: Mapping[str, int], folder: Path
    ) -> _Files:
        """The same kinds of files of another graph, compiled in the same way."""
        module, path = None, None
        if self.torch_module is not None:
            module = load_module(emit_module([graph], title=graph.name), graph)
            assign_weights(module, weights)
        if self.onnx_path is not None:
            path = folder / "given.onnx"
            options = OnnxOptions(fixed=tuple(pinned.items()))
            compile_onnx(graph, weights, path, opset=read_opset(self.onnx_path), options=options)
        return _Files(module, path, self.device)


@dataclass(frozen=True)
class _Comparison:
    """A graph with its files, and what they are compared on."""

    graph: Graph
    weights: Mapping[str, Array]
    files: _Files
    sink: Sink
    seed: int
    samples: Mapping[str, Array] | None
    progress: Progress | None

    def run(self, draws: Mapping[str, Given] | None = None) -> VerifyReport:
        """Compares them; `draws` are inputs that stand for random draws."""
        opened = self.files.open(self.graph, self.weights, self.sink)
        if opened is None:
            return VerifyReport((), passed=False)
        subjects, pinned = opened
        return compare_subjects(
            self.graph,
            self.weights,
            subjects,
            pinned=pinned,
            sink=self.sink,
            seed=self.seed,
            samples=self.samples,
            progress=self.progress,
            given=draws,
        )

    def run_given(self) -> VerifyReport:
        """Compares a graph that draws as one that is given its draws, compiled in the same way.
        What was compiled runs once as it is."""
        opened = self.files.open(self.graph, self.weights, self.sink)
        if opened is None or not self._try(*opened):
            return VerifyReport((), passed=False)
        given, draws = give_draws(self.graph)
        samples = self.samples
        if samples is not None:
            sizes = bind_sizes(self.graph, samples)
            samples = {**samples, **{n: item.draw(sizes, self.seed) for n, item in draws.items()}}
        with TemporaryDirectory() as folder:
            files = self.files.compile_alike(given, self.weights, opened[1], Path(folder))
            return replace(self, graph=given, files=files, samples=samples).run(draws)

    def _try(self, subjects: Sequence[Subject], pinned: Mapping[str, int]) -> bool:
        """Whether what draws by itself runs and gives results of the right types; a failure is
        reported."""
        search = SizeSearch(self.graph, pinned)
        case = next(iter(make_cases(self.graph, search, self.seed, self.weights, VALUES)), None)
        if case is None:
            return True  # which the comparison says
        expected = evaluate(self.graph, self.weights, case.inputs)
        for subject in subjects:
            reason = _find_failure(subject, case, expected)
            if reason:
                origin = self.graph.frame.origin
                fault = backend_failed(origin, subject.name, str(case), reason)
                self.sink.report(locate(fault, self.graph))
                return False
        return True


def _find_failure(subject: Subject, case: Case, expected: Mapping[str, Array]) -> str:
    try:
        found = subject.run(case.inputs)
    except RuntimeError as error:
        return str(error)
    for name, array in expected.items():
        made = np.asarray(found[name])
        if (made.dtype, made.shape) != (array.dtype, array.shape):
            wanted = f"{array.dtype}{list(array.shape)}"
            return f"the output {name} is {made.dtype}{list(made.shape)}, not {wanted}"
    return ""


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
    options = OnnxOptions(fixed=tuple(pinned.items()), rows=session.rows)
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
    given: Mapping[str, Given] | None = None,
) -> VerifyReport:
    """Runs backends on random and edge inputs and reports the first difference of each. `given` are
    inputs that stand for random draws."""
    graph = expand(graph)
    search, reference = SizeSearch(graph, pinned), Reference(graph, weights)
    drawing = _Drawing(reference, search, seed, given or {})
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
    draws: Mapping[str, Given]

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """The cases as they are drawn at first."""
        graph, weights = self.reference.graph, self.reference.weights
        return tuple(make_cases(graph, self.search, self.seed, weights, VALUES, (), self.draws))

    @cached_property
    def narrower(self) -> tuple[Case, ...]:
        """The same cases of numbers that are finite where they are rounded; none where no such
        numbers are found."""
        graph, weights = self.reference.graph, self.reference.weights
        finite = find_roundings(graph)
        try:
            made = make_cases(graph, self.search, self.seed, weights, VALUES, finite, self.draws)
            return tuple(made)
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
