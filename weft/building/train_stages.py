"""A training as a stage of a build, and what the report says of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from backends.pytorch.run.running import read_metrics, read_results, run_training
from backends.pytorch.train.folder import write_training
from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.settings import RESULTS
from compiler.loading import read_trained
from compiler.program.program import Program
from compiler.program.train import Train
from compiler.system.files import replacing
from weft.building.build_outputs import fingerprint_trained
from weft.building.charts import find_charts
from weft.building.report import Section, format_metrics
from weft.building.stage import BuildContext, Metadata, Stage
from weft.building.training_pictures import draw_curves, embed_samples
from weft.deployed.compiling import check_data
from weft.deployed.trained_data import BEST, find_data, list_fitted
from weft.inspection.inspecting import hash_file, list_inspected
from weft.inspection.page import embed_inspections
from weft.results.cache import Cache
from weft.results.progress import Follow, follow_epochs
from weft.results.setting_aside import CODE, set_aside

DRAWN = "figures are taken with the draws of the train, the same ones for every epoch"
"""What a report says of figures that follow from draws."""
TEXTS = ("results.json", "metrics.jsonl")
"""Files of a training that the record of the build holds too."""


@dataclass(frozen=True)
class TrainStages:
    """One training of a build, in a folder of its own."""

    train: Train
    program: Program
    folder: Path
    context: BuildContext
    earlier: Path | None = None
    """The folder of a build that may have finished the same training, whose results are taken."""
    follow: Follow | None = None
    """Told of every epoch, in place of a bar on a terminal."""

    @property
    def name(self) -> str:
        """Of the stage."""
        return f"train {self.train.name}"

    def run(self) -> Section:
        """Trains, or goes on with a training that was interrupted, or finds it done."""
        code = {p.name: p.read_bytes() for p in (self.folder / n for n in CODE) if p.is_file()}
        root = self.program.source.folder
        write_training(self.train, self.folder, root=root, files=self.context.files)
        # The script has a checksum of the weights that it starts from.
        written = (self.folder / name for name in ("model.py", "train.py"))
        reads = (*written, *find_data(self.train, self.program.source.folder))
        begun: Stage[Metadata] = Stage(f"{self.name} (begun)", reads, dict, quiet=True)
        writes = tuple(self.folder / name for name in RESULTS)

        def learn() -> Metadata:
            adopted = self.adopt(stage, code)
            if adopted is not None:
                return adopted
            # What a finished training left has been changed by someone: no epoch of it counts.
            return self.learn(code, begun, resume=not self.context.has_run(stage))

        stage = Stage(self.name, reads, learn, writes)
        self.restore_texts(stage)
        return self.describe(self.context.make(stage))

    def learn(self, code: Mapping[str, bytes], begun: Stage[Metadata], *, resume: bool) -> Metadata:
        """Runs the script of the train, from where it was interrupted if it may `resume`. `code`
        is that of what was trained before."""
        train, context = self.train, self.context
        check_data(train)
        resume = resume and context.is_fresh(begun)
        kept = None if resume else set_aside(self.folder, code)
        if kept is not None:
            context.files.warn(f"{self.name}: what was trained before is kept in {kept}")
        context.make(begun)
        for data in train.data.parts:
            if data.describe_hold():
                context.echo(f"{self.name}: rows of {data.name} are {data.describe_hold()}")
        begins = "training" if train.learns else "evaluating"
        context.echo(f"{self.name}: {'going on' if resume else begins}")
        with nullcontext(self.follow) if self.follow else follow_epochs(train.epochs) as follow:
            results = run_training(
                self.folder,
                data_root=self.program.source.folder,
                resume=resume,
                overwrite=True,
                device=context.device.value,
                on_progress=follow,
                span=train.span,
                source=train.data.span,
            )
        read_trained(train, self.folder / BEST, train.span)
        written = (self.folder / name for name in TEXTS)
        texts = {p.name: p.read_text(encoding="utf-8") for p in written if p.is_file()}
        trained = fingerprint_trained(train, self.program)
        return {"seconds": results.seconds, "texts": texts, "trained": trained}

    def adopt(self, stage: Stage[Metadata], code: Mapping[str, bytes]) -> Metadata | None:
        """Takes the results of the same training from the folder of another build; None where it
        has not finished one. `code` is that of what was trained before."""
        if self.earlier is None or self.earlier == self.context.cache.folder:
            return None
        cache = Cache(self.earlier, self.context.cache.version)
        if not cache.is_fresh(stage.name, stage.key):
            return None
        set_aside(self.folder, code)
        fitted = (path for _, path in list_fitted(self.train, self.folder))
        for path in (*stage.writes, *fitted):
            source = self.earlier / self.train.name / path.name
            if source.is_file():
                with replacing(path) as part:
                    shutil.copyfile(source, part)
        self.context.echo(f"{stage.name}: taken from {self.earlier}")
        return cache.get_metadata(stage.name)

    def restore_texts(self, stage: Stage[Metadata]) -> None:
        """Writes the figures of a finished training again where only their files are damaged: the
        record has them, and nothing is to be learned anew."""
        cache = self.context.cache
        changed = cache.find_changed(stage.name) if self.context.has_run(stage) else []
        if not set(changed) <= {self.folder / name for name in TEXTS}:
            return
        for path in changed:
            self.context.files.write(path, cache.get_metadata(stage.name)["texts"][path.name])
            self.context.echo(f"{stage.name}: {path} is written again from the record of the build")

    def describe(self, made: Metadata) -> Section:
        """The rows of a train: figures by split, best epoch, time, files."""
        train, folder = self.train, self.folder
        results = read_results(folder)
        names = [use.name for use in train.metrics]
        weights = (p.value.type.size for p in train.graph.parameters if p.trainable)
        parameters = sum(size.known or 0 for size in weights)
        rows = [("arguments", train.arguments)] if train.arguments else []
        rows.append(("parameters", f"{parameters:,}"))
        rows += [
            (split, format_metrics(figures, names)) for split, figures in results.figures.items()
        ]
        choice = ScriptSpec(train).choice
        if train.learns:
            rows.append(("best epoch", f"{results.best_epoch} of {results.epochs}, {choice}"))
        drawn = ScriptSpec(train).draws_itself
        if drawn:
            rows.append(("draws", DRAWN))
        if train.learns:
            rows.append(("training time", f"{made['seconds']:.1f} s"))
        else:
            rows.append(("trained", "nothing: weights are evaluated as they are"))
        rows.append(("code", f"{folder / 'model.py'}, {folder / 'train.py'}"))
        metadata = {
            "arguments": self.train.arguments,
            "parameters": parameters,
            "figures": results.figures,
            "best_epoch": results.best_epoch,
            "epochs": results.epochs,
            "seconds": made["seconds"],
        }
        if drawn:
            metadata["draws"] = DRAWN
        charts = find_charts(train, results.charts)
        rows += [(chart.title, chart.describe()) for chart in charts]
        if charts:
            metadata["charts"] = {chart.title: chart.encode() for chart in charts}
        records = read_metrics(folder / "metrics.jsonl")
        pictures = [
            *draw_curves(records, results.best_epoch),
            *embed_samples(train, folder),
            *embed_inspections(list_inspected(train, folder), hash_file(folder / BEST)),
        ]
        return Section(self.name, tuple(rows), metadata, tuple(charts), tuple(pictures))
