"""Sweeps as stages of a build: trials by one or several processes, then the best one is known."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

from compiler.program.program import Program
from compiler.program.sweep import Goal, Sweep
from compiler.report.diagnostics import CompileError
from compiler.report.messages.sweeps import no_trial_finished, not_swept
from compiler.sweeping.base import Label, label
from compiler.system.files import write_text
from weft.building.build_outputs import open_context
from weft.building.plan import order_trains
from weft.building.report import Section, without_nan
from weft.building.stage import BuildContext, Stage, fingerprint
from weft.building.sweep_results import SweepResult, describe_labels, make_result, read_result
from weft.building.sweep_study import (
    BROKEN,
    FIGURES,
    PLACE,
    SECONDS,
    STUDY,
    Study,
    open_storage,
)
from weft.building.sweep_trials import (
    GivenUp,
    Reached,
    Trial,
    be_deaf,
    be_silent,
    find_trains,
    wait_for,
    watch,
)
from weft.building.train_stages import TrainStages
from weft.deployed.trained_data import find_data
from weft.results.cache import RECORD, forget
from weft.results.chosen import SUMMARY, TRIALS, read_summary

Recheck = Callable[[Mapping[str, Mapping[str, Label]]], Program]
"""Checks the spec again with values for its sweeps; raises `CompileError` where it has faults."""


@dataclass(frozen=True)
class Workers:
    """Who works on a sweep: this process, and those that `spawn` starts, `count` in all; on a
    storage that is named, or one in the folder of the sweep."""

    count: int = 1
    spawn: Callable[[], Popen[bytes]] | None = None
    storage: str | None = None


@dataclass
class SweepRunner:
    """The sweeps of a program in the folder of a build. `program` stands for the best trials that
    are known so far, `results` has what sweeps came to."""

    program: Program
    context: BuildContext
    recheck: Recheck | None = None
    workers: Workers = field(default_factory=Workers)
    hold: Callable[[], AbstractContextManager[None]] = nullcontext
    """Stands around what is made in the folder of the build itself."""
    results: dict[str, SweepResult] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Of the build."""
        return self.context.cache.folder

    @property
    def chosen(self) -> dict[str, Mapping[str, Label]]:
        """The values of the best trials, by sweep."""
        found = {name: result.best for name, result in self.results.items()}
        return {name: best.labels for name, best in found.items() if best is not None}

    def check(self, chosen: Mapping[str, Mapping[str, Label]]) -> Program:
        """The program with these values for its sweeps.

        Raises:
            CompileError: it has faults.
        """
        assert self.recheck is not None, "a sweep needs the spec again"
        return self.recheck(chosen)

    def settle(self, name: str) -> SweepResult:
        """Runs a sweep, after those that it needs, unless it has run.

        Raises:
            CompileError: no trial can be used, or something that trials need failed.
        """
        if name in self.results:
            return self.results[name]
        self.prepare(name)
        sweep = self.program.sweeps[name]
        study, folder = name_study(self.program, sweep), self.folder / name / TRIALS
        context = open_context(folder, self.context.device, self.context.echo, be_silent)
        path = self.folder / name / SUMMARY
        stage: Stage[SweepResult] = Stage(
            f"sweep {name}",
            (study, sweep.count, sweep.choose),
            lambda: self.search(sweep, study, path),
            (path,),
            lambda _: read_result(path, sweep, study),
            begins=f"{sweep.count} trials",
        )
        result = self.results[name] = context.make(stage)
        if result.best is not None:
            self.program = self.check(self.chosen)
        return result

    def prepare(self, name: str) -> None:
        """Makes what the trials of a sweep start from: other sweeps, and trains."""
        of = self.program.sweeps[name].of
        if of in self.program.sweeps:
            self.settle(of)
        needed = find_trains(self.program, name)
        for other in [t.name for t in order_trains(self.program, needed)]:
            if other != name and other in self.program.sweeps:
                self.settle(other)
        trains = [train.name for train in order_trains(self.program, needed) if train.name != name]
        if trains:
            with self.hold():
                for other in trains:
                    self.make_train(other)

    def join(self, name: str) -> None:
        """Takes trials of a sweep that another process has begun, until all are finished."""
        needed = order_trains(self.program, find_trains(self.program, name))
        for other in (self.program.sweeps[name].of, *(train.name for train in needed)):
            if other != name and other in self.program.sweeps:
                self.settle(other)
        self.work(name)

    def make_train(self, name: str) -> Section:
        """A train of the build; that of a sweep is the training of its best trial."""
        train, found = self.program.trains[name], self.results.get(name)
        best = found.best if found is not None else None
        earlier = self.folder / best.place if best is not None and best.place else None
        folder = self.folder / name
        return TrainStages(train, self.program, folder, self.context, earlier).run()

    # --- trials ---------------------------------------------------------------------------------

    def search(self, sweep: Sweep, study: str, path: Path) -> SweepResult:
        """Runs the trials that are missing, with all workers, and writes what came of them."""
        others = []
        if self.workers.spawn is not None:
            others = [self.workers.spawn() for _ in range(self.workers.count - 1)]
        try:
            trials = self.work(sweep.name)
        except BaseException:
            for process in others:
                process.terminate()
            raise
        finally:
            for process in others:
                process.wait()
        result = make_result(sweep, study, trials.list_records(), trials.find_importance())
        with wait_for(path.parent):
            text = json.dumps(without_nan(result.encode()), indent=1, ensure_ascii=False)
            write_text(path, text + "\n")
        if not any(record.counts for record in result.records):
            reasons = [r.reason or "; ".join(r.broken) or r.state for r in result.records]
            found = tuple(dict.fromkeys(reasons))
            raise CompileError([no_trial_finished(sweep.span, sweep.name, found)])
        return result

    def work(self, name: str) -> Study:
        """Takes trials of a sweep until all are finished, by this process or others."""
        sweep, folder = self.program.sweeps[name], self.folder / name / TRIALS
        folder.mkdir(parents=True, exist_ok=True)
        storage = open_storage(self.workers.storage, folder)
        train = self.program.trains.get(name)
        epochs = train.epochs if train is not None else 1
        study = Study(sweep, name_study(self.program, sweep), storage, epochs)
        while (trial := study.claim()) is not None:
            with study.working(trial):
                self.run_trial(study, trial, sweep)
        return study

    def run_trial(self, study: Study, trial: Any, sweep: Sweep) -> None:
        """One trial, from its values to what is recorded of it."""
        values = sweep.draw(trial)
        labels = {name: label(value) for name, value in values.items()}
        number = trial.user_attrs["slot"] + 1
        said = f"sweep {sweep.name}: trial {number} of {sweep.count} ({describe_labels(labels)})"
        try:
            program = self.check({**self.chosen, sweep.name: labels})
            assert program.sweeps[sweep.name].settled, "what is drawn is in its space"
            made = Trial(program, sweep.name, self.folder, self.context.device, be_deaf)
            if sweep.pruner.watches:
                metrics = made.place / sweep.name / "metrics.jsonl"
                follow = watch(sweep.goals[0], metrics, trial.report, trial.should_prune)
                made = Trial(program, sweep.name, self.folder, self.context.device, follow)
            reached = made.run()
        except GivenUp:
            study.prune(trial, {PLACE: self.find_place(made.place)})
            self.context.echo(f"{said}: given up")
        except CompileError as error:
            reason = "; ".join(f"{m.code}: {m.text.title}" for m in error.messages)
            study.fail(trial, reason)
            self.context.echo(f"{said}: failed: {reason}")
        else:
            self.note_trial(study, trial, reached, said)

    def note_trial(self, study: Study, trial: Any, reached: Reached, said: str) -> None:
        """Notes what a finished trial has reached."""
        goals = study.sweep.goals
        values = reached.find(goals)
        missing = [g.name for g, v in zip(goals, values, strict=True) if not math.isfinite(v)]
        if missing:
            study.fail(trial, f"{missing[0]} is not a number")
            self.context.echo(f"{said}: failed: {missing[0]} is not a number")
            return
        figures = {name: v for name, v in reached.figures.items() if math.isfinite(v)}
        noted = {
            FIGURES: figures,
            SECONDS: reached.seconds,
            PLACE: self.find_place(reached.place),
            BROKEN: list(reached.broken),
        }
        study.finish(trial, values, noted)
        broken = f"; does not hold: {', '.join(reached.broken)}" if reached.broken else ""
        self.context.echo(f"{said}: {describe_goals(goals, values)}{broken}")

    def find_place(self, folder: Path) -> str:
        """A folder of a trial as seen from that of the build."""
        return folder.relative_to(self.folder).as_posix()


def describe_goals(goals: Sequence[Goal], values: Sequence[float]) -> str:
    """`val.accuracy 0.9611, params 1234`."""
    return ", ".join(f"{g.name} {v:.6g}" for g, v in zip(goals, values, strict=True))


def name_study(program: Program, sweep: Sweep) -> str:
    """The name of a sweep's study: of all that its trials follow from."""
    needed = find_trains(program, sweep.name)
    trains = [program.trains[sweep.of]] if sweep.of in program.trains else []
    trains += [train for train in order_trains(program, needed) if train.name != sweep.name]
    data = [path for train in trains for path in _find_files(program, train.name)]
    return f"{sweep.name}-{fingerprint(sweep.identity, *trains, *data)[:16]}"


def forget_trials(folder: Path, sweep: str) -> None:
    """Takes away what a sweep remembers in the folder of a build, so that all of its trials are
    made anew. What was trained is set aside then, as of any train.

    Raises:
        OSError: a file cannot be removed.
    """
    place = folder / sweep / TRIALS
    forget(place, ())
    (place / STUDY).unlink(missing_ok=True)
    for record in place.glob(f"*/{RECORD.as_posix()}"):
        forget(record.parents[1], ())


def need_sweeps(program: Program, folder: Path, names: Collection[str | None]) -> None:
    """Refuses to go on with something of a sweep that a build in a folder has not run.

    Raises:
        CompileError: nothing was chosen there for a sweep of these names, or it has changed since.
    """
    faults = []
    for name in names:
        sweep = program.sweeps.get(name or "")
        if sweep is None:
            continue
        found = read_summary(folder / sweep.name / SUMMARY).get("study")
        if not sweep.settled or found != name_study(program, sweep):
            faults.append(not_swept(sweep.span, sweep.name, str(folder)))
    if faults:
        raise CompileError(faults)


def _find_files(program: Program, train: str) -> Sequence[object]:
    return find_data(program.trains[train], program.source.folder)
