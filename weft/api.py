"""The Python interface: a checked spec, and what can be made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

from compiler.driver import Chosen, FindWords, check_source
from compiler.driver import check as check_file
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.loading import choose_weights, find_weights, read_all_weights
from compiler.program.net import Net
from compiler.program.program import Program
from compiler.report.diagnostics import CompileError, Message, Severity, Sink
from compiler.report.messages.files import not_text, unknown_item
from compiler.report.source import Source
from compiler.report.suggestions import did_you_mean
from compiler.rows.loading import LoadedData, load_data
from compiler.rows.validation import validate_data
from compiler.writing.markup import escape_html
from compiler.writing.python import show
from weft.errors import WeftError, speaking_as_commands, warning
from weft.values import Columns, as_arrays, as_text, as_weights

if TYPE_CHECKING:
    from weft.building.report import Report

Array = NDArray[Any]
Weights = Mapping[str, Any] | Path | str | None
"""Weights of a net: an array or tensor per path, a safetensors file, or None for those that the
spec loads and fresh ones for the rest."""
T = TypeVar("T")


def check(
    path: Path | str,
    overrides: Mapping[str, object] | None = None,
    data: Columns | None = None,
) -> Sequence[Message]:
    """Everything wrong with a spec, warnings included; nothing is raised."""
    sink = Sink()
    _Origin(path, overrides or {}, data).check(sink)
    return tuple(sink.messages)


def load(
    path: Path | str,
    overrides: Mapping[str, object] | None = None,
    data: Columns | None = None,
) -> Spec:
    """A checked spec.

    Args:
        path: a `.weft` file.
        overrides: values of parameters by name, as for `weft --set`: `{"fit.lr": 1e-3}`.
        data: arrays or data frames in place of the sources of data items, by item and column; a
            row is an entry of the first axis. Text is read as the cells of a csv file are, with
            the options of the source that the spec names.

    Raises:
        WeftError: the spec has faults, or arrays of one item differ in their number of rows, or
            hold neither numbers nor text.
    """
    return _Origin(path, overrides or {}, data).load()


def loads(
    text: str,
    overrides: Mapping[str, object] | None = None,
    data: Columns | None = None,
    *,
    folder: Path | str = ".",
) -> Spec:
    """A checked spec from its text.

    Args:
        text: what a `.weft` file would hold.
        overrides: as for `load`.
        data: as for `load`.
        folder: what paths in the text are relative to.

    Raises:
        WeftError: the spec has faults.
    """
    if not isinstance(text, str):
        found = type(text).__name__
        raise WeftError([not_text(None, found)])
    source = Source(str(Path(folder) / "<text>"), text)
    return _Origin(source, overrides or {}, data).load()


@dataclass(frozen=True)
class _Origin:
    """What a spec was loaded from, so that it can be with other arguments."""

    source: Path | str | Source
    overrides: Mapping[str, object]
    data: Columns | None

    def check(
        self, sink: Sink, words: FindWords | None = None, chosen: Chosen | None = None
    ) -> Program | None:
        try:
            overrides, arrays = as_text(self.overrides), as_arrays(self.data)
        except CompileError as error:
            for message in error.messages:
                sink.report(message)
            return None
        given = {"overrides": overrides, "arrays": arrays, "words": words, "chosen": chosen}
        if isinstance(self.source, Source):
            return check_source(self.source, sink=sink, **given)  # type: ignore[arg-type]
        return check_file(self.source, sink=sink, **given)  # type: ignore[arg-type]

    def check_again(self, chosen: Chosen) -> Program:
        """The program with values for its sweeps.

        Raises:
            CompileError: it has faults with these.
        """
        sink = Sink()
        program = self.check(sink, chosen=chosen)
        sink.stop_on_errors()
        assert program is not None, "what is left out has an error"
        return program

    def load(self, words: FindWords | None = None, chosen: Chosen | None = None) -> Spec:
        sink = Sink()
        program = self.check(sink, words, chosen)
        if program is None or sink.has_errors:
            raise WeftError(sink.messages)
        return Spec(program, tuple(sink.messages), self)


def _choose(kind: str, name: str, known: Mapping[str, T]) -> T:
    """What has the name; an error that lists the names there are."""
    if name not in known:
        names = tuple(known)
        raise WeftError([unknown_item(None, kind, name, names, did_you_mean(name, names))])
    return known[name]


def _show_table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A table of HTML, for notebooks."""
    body = "".join(
        f"<tr><td>{escape_html(what)}</td><td>{escape_html(said)}</td></tr>" for what, said in rows
    )
    return f"<table><caption>{escape_html(title)}</caption>{body}</table>"


@dataclass(frozen=True, repr=False)
class Model:
    """A net of a spec: a model with its arguments. `folder` is what paths of weights are relative
    to."""

    net: Net
    folder: Path

    @property
    def graph(self) -> Graph:
        """Its graph."""
        return self.net.graph

    @property
    def parameters(self) -> int:
        """Number of trainable numbers."""
        known = (p.value.type.size.known for p in self.graph.parameters if p.trainable)
        return sum(size or 0 for size in known)

    def weights(
        self, given: Weights = None, *, seed: int = 0, build: Path | str | None = None
    ) -> dict[str, Array]:
        """An array for every path.

        Args:
            given: arrays or tensors, such as a module's `state_dict()`, or a safetensors file;
                without it what the spec loads, else fresh.
            seed: of the fresh ones.
            build: folder of the build that made the nets of trains in it (`net m = fit`).

        Raises:
            WeftError: a file cannot be read, lacks a weight, or has one of another shape; a train
                has not run.
        """
        with speaking_as_commands():
            if given is None:
                results = Path(build) if build is not None else None
                return find_weights(self.net, self.folder, seed, results)
            if isinstance(given, Path | str):
                return read_all_weights(self.graph, Path(given))
            return choose_weights(self.graph, as_weights(given), "the weights given")

    def torch(
        self, weights: Weights = None, *, seed: int = 0, build: Path | str | None = None
    ) -> Any:
        """The generated PyTorch module (an `nn.Module`) with weights, in evaluation mode."""
        from backends.pytorch.modules import emit_module
        from backends.pytorch.run.load import assign_weights, load_module

        numbers = self.weights(weights, seed=seed, build=build)
        with speaking_as_commands():
            module = load_module(emit_module([self.graph], title=self.net.name), self.graph)
        assign_weights(module, numbers)
        return module

    def source(self) -> str:
        """The generated PyTorch code."""
        from backends.pytorch.modules import emit_module

        with speaking_as_commands():
            return emit_module([self.graph], title=self.net.name)

    def onnx(
        self,
        path: Path | str,
        weights: Weights = None,
        *,
        opset: int = 21,
        build: Path | str | None = None,
    ) -> Path:
        """Writes an ONNX file, in which every symbolic size stays open, and returns its path.

        Raises:
            WeftError: ONNX cannot say what a layer means, or weights do not fit.
        """
        from weft.deployed.exporting import ExportSpec

        with speaking_as_commands():
            net = WeightedNet(self.graph, self.weights(weights, build=build))
            ExportSpec(opset).write(net, Path(path))
        return Path(path)

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(f"{n}: {t}" for n, t in part) for part in self._ends())
        return show(f"<{type(self).__name__} {self.net.name}({inputs}) -> {outputs}>")

    def _repr_html_(self) -> str:
        inputs, outputs = self._ends()
        rows = [(f"input {name}", spelled) for name, spelled in inputs]
        rows += [(f"output {name}", spelled) for name, spelled in outputs]
        rows.append(("parameters", f"{self.parameters:,}"))
        return _show_table(f"{type(self).__name__} {self.net.name}", rows)

    def _ends(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Names and types of inputs and outputs."""
        inputs = [(i.name, str(i.value.type)) for i in self.graph.inputs]
        return inputs, [(o.name, str(o.value.type)) for o in self.graph.outputs]


@dataclass(frozen=True, repr=False)
class CompressedModel(Model):
    """The net of a variant after its passes, as a build has left it; `known` are its weights."""

    known: Mapping[str, Array] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """Numbers in its weights, as `require params` counts them: codes of rounded weights count
        although they are not trained."""
        from weft.building.figures import count_numbers

        return count_numbers(self.graph)

    def weights(
        self, given: Weights = None, *, seed: int = 0, build: Path | str | None = None
    ) -> dict[str, Array]:
        """An array for every path: those of the build, unless others are given."""
        return dict(self.known) if given is None else super().weights(given, seed=seed)


@dataclass(frozen=True, repr=False)
class Training:
    """A finished training: figures of the best epoch by split, and the folder that holds its code
    and weights."""

    name: str
    folder: Path
    figures: Mapping[str, Mapping[str, float]]
    best_epoch: int
    epochs: int
    charts: Mapping[str, Mapping[str, Sequence[Sequence[float]]]] = field(default_factory=dict)
    """Figures that are no numbers, such as a confusion matrix, by split."""

    @property
    def weights(self) -> Path:
        """The file with the weights of the best epoch."""
        return self.folder / "best.safetensors"

    def __repr__(self) -> str:
        figures = "; ".join(f"{split}: {said}" for split, said in self._rows())
        best = f"epoch {self.best_epoch} of {self.epochs}"
        return show(f"<Training {self.name}: {best}; {figures}>")

    def _repr_html_(self) -> str:
        rows = [*self._rows(), ("best epoch", f"{self.best_epoch} of {self.epochs}")]
        return _show_table(f"Training {self.name}", rows)

    def _rows(self) -> list[tuple[str, str]]:
        from weft.building.report import format_metrics

        return [(split, format_metrics(found)) for split, found in self.figures.items()]


@dataclass(frozen=True, repr=False)
class Spec:
    """A checked spec. `warnings` are what `weft check` says of it beside errors."""

    program: Program
    warnings: tuple[Message, ...]
    origin: _Origin

    def __repr__(self) -> str:
        items = ", ".join(f"{kind} {', '.join(names)}" for kind, names in self._items() if names)
        return show(f"<Spec {self.program.source.path}: {items}>")

    def _repr_html_(self) -> str:
        rows = [(kind, ", ".join(names)) for kind, names in self._items() if names]
        return _show_table(f"Spec {self.program.source.path}", rows)

    def _items(self) -> list[tuple[str, list[str]]]:
        program = self.program
        return [
            ("models", list(program.models)),
            ("nets", list(program.nets)),
            ("data", list(program.data)),
            ("trains", list(program.trains)),
            ("variants", list(program.variants)),
            ("sweeps", list(program.sweeps)),
            ("deployments", [deploy.name for deploy in program.deploys]),
        ]

    @property
    def folder(self) -> Path:
        """What the paths in the spec are relative to."""
        return self.program.source.folder

    def model(self, name: str, **arguments: object) -> Model:
        """A model, a net of the file, or the net of a train (`fit`, or `fit.encoder` where it has
        several).

        Args:
            name: of it.
            arguments: of the model or train, in place of the defaults: `model("Net", width=32)`.

        Raises:
            WeftError: there is none of that name, or the arguments do not fit.
        """
        if arguments:
            item = name.partition(".")[0]
            given = {f"{item}.{key}": value for key, value in arguments.items()}
            overrides = {**self.origin.overrides, **given}
            return self._make_model(name, replace(self.origin, overrides=overrides))
        return Model(_choose("model or net", name, self._nets()), self.folder)

    def _make_model(self, name: str, origin: _Origin) -> Model:
        """A model with other arguments, whatever trains of the file say to these."""
        sink = Sink()
        program = origin.check(sink)
        errors = [m for m in sink.messages if m.severity is Severity.ERROR]
        known = Spec(program, (), origin)._nets() if program is not None else {}
        # Faults without a place are those of the arguments.
        if errors and (name not in known or any(m.span is None for m in errors)):
            raise WeftError(sink.messages)
        return Model(_choose("model or net", name, known), self.folder)

    def variant(self, name: str, folder: Path | str) -> CompressedModel:
        """The net of a variant after its passes.

        Args:
            name: of the variant.
            folder: of the build that made it.

        Raises:
            WeftError: there is no such variant, or the build in the folder has not finished it.
        """
        from weft.building.build_outputs import recall_variant
        from weft.results.chosen import read_chosen

        program = self.program
        if program.sweeps:  # what it is follows from what they have chosen
            program = self.origin.load(chosen=read_chosen(Path(folder))).program
        found = _choose("variant", name, program.variants)
        with speaking_as_commands():
            net, _ = recall_variant(program, found, Path(folder))
        return CompressedModel(Net(name, found.net, net.graph), self.folder, net.weights)

    def _nets(self) -> Mapping[str, Net]:
        nets: dict[str, Net] = {}
        for train in self.program.trains.values():
            for part in train.nets:
                single = len(train.nets) == 1
                nets[train.name if single else f"{train.name}.{part.name}"] = part.net
        return {**nets, **self.program.nets, **self.program.models}

    def graph(self, name: str) -> Graph:
        """The graph of `model(name)`."""
        return self.model(name).graph

    def onnx(
        self, name: str, path: Path | str, weights: Weights = None, *, opset: int = 21
    ) -> Path:
        """Writes the ONNX file of `model(name)`."""
        return self.model(name).onnx(path, weights, opset=opset)

    def data(self, name: str) -> LoadedData:
        """The columns of a data item as arrays, with its splits and fitted statistics.

        Raises:
            WeftError: there is none of that name, or it cannot be loaded.
        """
        found = _choose("data item", name, self.program.data)
        with speaking_as_commands():
            return load_data(found)

    def check(self) -> Sequence[Message]:
        """What the numbers tell: loads the data of every train and looks for empty splits, NaN
        and labels out of range. Warnings of the spec come first."""
        sink = Sink(list(self.warnings))
        for train in self.program.trains.values():
            validate_data(train, sink)
        return tuple(sink.messages)

    def build(self, folder: Path | str, *, device: str = "auto") -> Report:
        """Trains, compiles, verifies and measures, as `weft build` does, into a folder. Where it
        keeps a copy of a file that it replaces, `warnings` says so.

        Raises:
            WeftError: a stage failed; what earlier stages made is kept.
        """
        from backends.onnx_runtime.session import Device
        from weft.building.build import Build

        faults = [m for m in self.check() if m.severity is Severity.ERROR]
        if faults:
            raise WeftError(faults)
        with speaking_as_commands(), warning() as warn:
            build = Build(
                self.program,
                Path(folder),
                Device(device),
                echo=_be_silent,
                warn=warn,
                recheck=self.origin.check_again,
            )
            return build.run()

    def train(
        self, name: str, folder: Path | str, *, resume: bool = False, device: str = "auto"
    ) -> Training:
        """Trains, as `weft train` does: writes FOLDER/NAME/model.py and train.py and runs them.

        Raises:
            WeftError: there is no such train, its data has faults, or the training failed.
        """
        from backends.pytorch.run.running import run_training
        from backends.pytorch.train.folder import write_training
        from compiler.ir.memory import need_weights
        from weft.deployed.compiling import check_data
        from weft.results.generated import GeneratedFiles
        from weft.results.lock import hold_folder

        found = _choose("train", name, self.program.trains)
        place = Path(folder) / name
        with speaking_as_commands(), hold_folder(Path(folder), [name]), warning() as warn:
            need_weights(found.graph)
            check_data(found)
            files = GeneratedFiles(Path(folder), warn)
            write_training(found, place, root=self.folder, files=files)
            results = run_training(
                place,
                data_root=self.folder,
                resume=resume,
                device=device,
                span=found.span,
                source=found.data.span,
            )
        best, epochs, charts = results.best_epoch, results.epochs, results.charts
        return Training(name, place, results.figures, best, epochs, charts)

    def eval(
        self,
        name: str,
        folder: Path | str,
        *,
        onnx: Path | str | None = None,
        split: str | None = None,
        device: str = "auto",
    ) -> Mapping[str, float]:
        """Metrics of a deployed ONNX file by name, as `weft eval` measures them.

        Args:
            name: of the deployment.
            folder: of the build.
            onnx: another file than FOLDER/NAME.onnx.
            split: default: test, or the last that there is.
            device: "auto", "cpu" or "cuda".

        Raises:
            WeftError: there is no such deployment, file or split, or the file does not fit.
        """
        from weft.deployed.given import need_input
        from weft.deployed.trained_data import find_words
        from weft.evaluating import choose_deploys, measure_given
        from weft.results.chosen import read_chosen

        with speaking_as_commands(), warning() as warn:
            at = Path(folder) if onnx is None else Path(onnx).parent
            words = partial(find_words, folder=at)
            program = self.origin.load(words, read_chosen(at)).program
            deploys = choose_deploys(program, name)
            path = Path(onnx) if onnx is not None else Path(folder) / f"{name}.onnx"
            need_input(path, build=onnx is None)
            found = measure_given(deploys, program, path, device, split)
            for difference in found.measured:
                warn(f"{path} is measured otherwise than in its training: {difference}")
            if found.warning is not None:
                warn(f"{found.warning.text.title}: {found.warning.text.label}")
            return found.figures


def _be_silent(text: str) -> None:
    """Takes the place of printing."""
