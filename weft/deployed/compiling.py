"""Compilation as commands run it: what to compile, with which weights, and where to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from backends.onnx_graph.compile import OnnxReport
from backends.onnx_runtime.session import Device
from backends.pytorch.modules import emit_module
from backends.verification.torch_subject import TorchSubject
from compiler.ir.graph import Graph
from compiler.ir.modes import take_evaluation
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import read_note, write_weights
from compiler.loading import find_weights, read_all_weights
from compiler.program.deploy import Deploy
from compiler.program.net import Net
from compiler.program.program import Program
from compiler.program.train import Train
from compiler.program.variant import Variant
from compiler.report.diagnostics import CompileError, Message, Sink
from compiler.report.messages.files import nothing_to_do, unknown_item
from compiler.report.messages.weights import fresh_weights, not_our_file, weights_needed
from compiler.report.suggestions import did_you_mean
from compiler.rows.loading import choose_fitted
from compiler.rows.validation import validate_data
from compiler.types.units import format_size
from weft.deployed.exporting import (
    OnnxArtifact,
    find_beside,
    fit_preprocessing,
    list_onnx,
    make_export_spec,
    open_preprocessing,
)
from weft.deployed.trained_data import BEST, read_fitted
from weft.deployed.verifying import BackendsDiffer, keep_if_verified, verify_file
from weft.results.generated import GeneratedFiles
from weft.results.progress import follow_steps

Array = NDArray[Any]


@dataclass(frozen=True)
class Target:
    """One network to compile: `deploy` where the spec has an item for it; `net` where its
    weights are not trained by the spec. `weights` are those of a variant, which has its own."""

    name: str
    graph: Graph
    net: Net | None = None
    deploy: Deploy | None = None
    weights: Mapping[str, Array] | None = None
    variant: Variant | None = None

    @property
    def fixed(self) -> dict[str, int]:
        """The sizes that its deployment fixes."""
        return dict(self.deploy.fixed) if self.deploy is not None else {}

    @property
    def owners(self) -> tuple[str | None, ...]:
        """The trains and variants that it is, or comes from."""
        deploy, variant = self.deploy, self.variant
        made = (deploy.train, deploy.variant) if deploy is not None else (self.name,)
        return (*made, *((variant.name, variant.train) if variant is not None else ()))


MADE_BY, COMPILE = "made_by", "weft compile"
"""The metadata of the weights files that this module writes."""

OpenVariant = Callable[[Target], Target]
"""The target of a variant with its net after all passes."""


def choose_targets(
    program: Program, item: str | None, open_variant: OpenVariant
) -> Sequence[Target]:
    """The deployments of a program; its variants, nets, then models, where it has none.

    Raises:
        CompileError: `item` names nothing, there is nothing, or a variant is not built.
    """
    chosen = _choose(program, item)
    return [open_variant(t) if t.variant is not None else t for t in chosen]


def _choose(program: Program, item: str | None) -> Sequence[Target]:
    deploys = {deploy.name: find_target(deploy, program) for deploy in program.deploys}
    variants = {
        name: Target(name, variant.graph, None, None, None, variant)
        for name, variant in program.variants.items()
    }
    nets = {name: Target(name, net.graph, net) for name, net in program.nets.items()}
    models = {name: Target(name, net.graph, net) for name, net in program.models.items()}
    trained = {
        f"{train.name}.{part.name}" if len(train.nets) > 1 else train.name: Target(
            train.name, part.net.graph
        )
        for train in program.trains.values()
        for part in train.nets
    }
    if item is not None:
        known = models | trained | nets | variants | deploys
        if item not in known:
            names = tuple(known)
            fault = unknown_item(None, "item", item, names, did_you_mean(item, names))
            raise CompileError([fault])
        return [known[item]]
    chosen = deploys or variants or nets or models
    if not chosen:
        raise CompileError(
            [nothing_to_do(None, "compile", "`deploy`, `variant`, `net` or `model`")]
        )
    return list(chosen.values())


def find_target(deploy: Deploy, program: Program) -> Target:
    """What a deployment compiles."""
    variant = program.variants.get(deploy.variant or "")
    return Target(deploy.name, deploy.graph, deploy.net, deploy, None, variant)


def gather_weights(
    target: Target, file: Path | None, program: Program, results: Path | None = None
) -> tuple[dict[str, Array], Sequence[Message]]:
    """Weights for a target, and warnings about them. `results` is where each train has a folder
    with what it learned.

    Raises:
        CompileError: a file cannot be read or does not fit, or the weights are the result of a
            training that has not run.
    """
    if target.weights is not None and file is None:
        return dict(target.weights), ()
    root = program.source.folder
    fitted = _fit(target.deploy, program, file) if target.deploy else {}
    if file is not None:
        whole = list(find_paths(target, program))
        return read_all_weights(target.graph, file, fitted, whole), ()
    if target.net is None:
        raise CompileError([_need_weights(target, program)])
    weights = find_weights(target.net, root, results=results) | fitted
    if target.net.loads or not target.graph.parameters:
        return weights, ()
    return weights, (fresh_weights(target.net.span, target.name),)


def _fit(deploy: Deploy, program: Program, file: Path | None) -> dict[str, Array]:
    """The figures of the columns before a deployed net: those that its training fitted, where the
    weights are of one, else of the rows at hand."""
    train = program.trains.get(deploy.train or "")
    known = None if train is None or file is None else read_fitted(train, file)
    if known is not None and train is not None and train.data.members and deploy.preprocess:
        known = choose_fitted(deploy.preprocess, known)
    return fit_preprocessing(deploy, program.source.folder, known)


def _need_weights(target: Target, program: Program) -> Message:
    """What is said where the weights of a train are missing."""
    deploy, path = target.deploy, program.source.path
    name = target.name if deploy is None or deploy.train is None else deploy.train
    span = program.trains[name].span if deploy is None else deploy.span
    file = Path("output") / Path(path).stem / name / BEST
    return weights_needed(span, target.name, path, str(file))


def find_paths(target: Target, program: Program) -> Iterator[str]:
    """Paths of all weights of the net or the train that a target is a part of, and of what the
    train keeps beside its nets."""
    train = target.deploy.train if target.deploy is not None else None
    if target.net is not None:
        yield from (parameter.path for parameter in target.net.graph.parameters)
    for part in program.trains[train].nets if train is not None else ():
        yield from (part.prefix + parameter.path for parameter in part.net.graph.parameters)
    if train is not None:
        yield from (buffer.path for buffer in program.trains[train].buffers)


def has_weights(target: Target, file: Path | None) -> bool:
    """Whether a target's weights come from somewhere, and are not drawn."""
    loads = target.net is not None and bool(target.net.loads)
    return file is not None or target.weights is not None or loads


def write_module_weights(
    target: Target, weights: Mapping[str, Array], files: GeneratedFiles, read: Path | None
) -> Path | None:
    """Writes the weights of a target's PyTorch module beside it, by the paths of its
    `state_dict`; returns their file, None where it is `read`, the file that they came from.

    Raises:
        CompileError: a file of that name is there that this function did not write.
        OSError: the folder cannot be written.
    """
    path = files.root / f"{target.name}.safetensors"
    if path.exists():
        if read is not None and path.samefile(read):
            return None
        if read_note(path).get(MADE_BY) != COMPILE:
            raise CompileError([not_our_file(None, str(path))])
    own = {parameter.path: weights[parameter.path] for parameter in target.graph.parameters}
    with files.replacing(path):
        write_weights(path, own, {MADE_BY: COMPILE})
    return path


def check_data(train: Train) -> None:
    """Looks at the numbers that a train reads, before it starts.

    Raises:
        CompileError: data that cannot be read, NaN, labels out of range, an empty split.
    """
    sink = Sink()
    validate_data(train, sink)
    sink.stop_on_errors()


def write_module(target: Target, files: GeneratedFiles) -> Path:
    """Writes the PyTorch module of a target and returns its path."""
    path = files.root / f"{target.name}.py"
    files.write(path, emit_module([target.graph], title=target.name))
    return path


def make_artifact(
    target: Target,
    weights: Mapping[str, Array],
    program: Program,
    folder: Path,
    *,
    opset: int | None = None,
) -> OnnxArtifact:
    """The ONNX file of a target, as its deployment asks or with the defaults."""
    spec = make_export_spec(target.deploy, program.source)
    if opset is not None:
        spec = replace(spec, opset=opset)
    if target.deploy is not None:
        opened = open_preprocessing(target.deploy, program.source.folder, weights)
        spec = replace(spec, rows=opened.rows)
    net = WeightedNet(target.graph, weights)
    beside = find_beside(target.deploy, program) if target.deploy is not None else {}
    return OnnxArtifact(target.name, net, folder / f"{target.name}.onnx", spec, beside)


def describe(report: OnnxReport) -> str:
    """Size, nodes and opset of a file."""
    return f"{format_size(report.bytes)}, {report.nodes} nodes, opset {report.opset}"


def verify_written(artifact: OnnxArtifact, module: Sequence[Path], device: Device) -> str:
    """As `verify_target`, for files that were just written: the ONNX file is taken away where it
    differs or cannot be judged, the module and its weights where the module differs.

    Raises:
        CompileError: a backend differs; the message names the first line that diverges.
    """
    with keep_if_verified(list_onnx(artifact.path)):
        try:
            return verify_target(artifact, device)
        except BackendsDiffer as error:
            if TorchSubject.name in error.backends:
                for file in module:
                    file.unlink()
            raise


def verify_target(artifact: OnnxArtifact, device: Device) -> str:
    """Verifies a written file and says what was compared.

    Raises:
        CompileError: a backend differs; the message names the first line that diverges.
    """
    net = artifact.net
    with follow_steps() as progress:
        found = verify_file(net.graph, net.weights, artifact.path, device, progress)
    drawing = any(node.op.varies for node in take_evaluation(net.graph).nodes)
    drawn = " and the same draws" if drawing else ""
    return (
        f"verified {artifact.name}: NumPy, PyTorch and ONNX Runtime agree on {found['cases']} "
        f"inputs{drawn} (nearest to its limit: off by {found['error']:.1e}, "
        f"allowed {found['allowed']:.1e})"
    )
