"""The study of a sweep: trials in a storage that several processes share, none of them lost.

There is a slot for every trial that the sweep asks for. Who works on the sweep takes the first slot
that nobody holds; a slot whose worker was killed is free again, with the values that it had. A
worker says every few seconds that it lives. Draws follow from the seed, the slot and the trials
before it, so that one worker finds the same trials again, interrupted or not.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np

from compiler.program.sweep import MARK, Sweep, list_combinations
from compiler.report.diagnostics import CompileError
from compiler.report.messages.sweeps import package_missing, storage_unusable
from compiler.sweeping.base import Label, label

BEAT = 10.0
"""Seconds between two signs of life of a worker."""
GRACE = 120.0
"""Seconds without one after which the worker of a trial counts as dead."""
PAUSE = 0.5
"""Seconds between two looks at the trials of others."""
MOST_LOST = 5
"""Workers that may die over a slot: then it is left as it is, because it may be what kills them."""
STUDY = "study.db"
"""The file with the trials, where no other storage is named."""
JOURNAL = "journal:"
"""What a storage begins with that is a file of JournalStorage."""
OWNER, ALIVE, SLOT, REASON = "owner", "alive", "slot", "reason"
"""Names of attributes of trials: who works on it, when that was said last, which slot it fills,
why it failed."""
QUEUED = "queued"
"""The attribute of who put a trial into the queue, most often to take it at once."""
FIGURES, SECONDS, PLACE, BROKEN = "figures", "seconds", "place", "broken"
"""Names of attributes of finished trials: what was measured, how long it took, the folder, and the
requirements that do not hold."""


@dataclass(frozen=True)
class TrialRecord:
    """One trial that is over. `values` are those of the goals, empty where it failed; `state` is
    "complete", "pruned" or "failed"."""

    slot: int
    state: str
    labels: Mapping[str, Label]
    values: tuple[float, ...]
    figures: Mapping[str, float]
    seconds: float
    place: str
    broken: tuple[str, ...] = ()
    reason: str = ""

    @property
    def counts(self) -> bool:
        """Whether it may be the best."""
        return self.state == "complete" and not self.broken


def import_optuna(package: str = "optuna") -> Any:
    """The package that searches; `package` is another one that a sampler needs.

    Raises:
        CompileError: one is not installed.
    """
    for name in ("optuna", package):
        if find_spec(name) is None:
            raise CompileError([package_missing(None, name)])
    import optuna  # it costs 0.4 s, and only sweeps need it

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def open_storage(storage: str | None, folder: Path) -> Any:
    """A storage of Optuna: that of a URL, else a file in the folder.

    Raises:
        CompileError: it cannot be opened.
    """
    optuna = import_optuna()
    import sqlalchemy

    url = storage or str(sqlalchemy.URL.create("sqlite", database=str(folder / STUDY)))
    last: Exception | None = None
    for attempt in range(5):  # several processes may make the same tables at once
        try:
            if url.startswith(JOURNAL):
                return _open_journal(optuna, url.removeprefix(JOURNAL))
            plain = url.replace("{", "{{").replace("}", "}}") if storage is None else url
            if not url.startswith("sqlite"):
                return optuna.storages.RDBStorage(plain)
            waiting = {"connect_args": {"timeout": 120}}
            made = optuna.storages.RDBStorage(plain, engine_kwargs=waiting)
            _let_one_write(made.engine)
            return made
        except Exception as error:  # drivers raise what they like
            last = error
            if not isinstance(error, sqlalchemy.exc.DBAPIError):
                break
            time.sleep((0.2 + os.getpid() % 10 / 50) * 2**attempt)
    shown = str(last).splitlines()[0] if str(last) else type(last).__name__
    raise CompileError([storage_unusable(None, url, shown)]) from last


def _let_one_write(engine: Any) -> None:
    """Makes each transaction of SQLite hold the file from its beginning on. SQLite has no SELECT …
    FOR UPDATE, by which Optuna takes a waiting trial: two processes would get the same one.

    Source: SQLAlchemy, SQLite dialect, "Enabling Non-Legacy SQLite Transactional Modes".
    """
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def leave_transactions_alone(connection: Any, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections that were opened before know nothing of it


def _open_journal(optuna: Any, path: str) -> Any:
    journal = optuna.storages.journal
    lock = journal.JournalFileOpenLock(path) if sys.platform == "win32" else None
    return journal.JournalStorage(journal.JournalFileBackend(path, lock_obj=lock))


@dataclass
class Study:
    """The trials of a sweep as one process sees them. `epochs` is how long a training is."""

    sweep: Sweep
    name: str
    storage: Any
    epochs: int
    study: Any = field(init=False)
    held: int | None = None  # the number of the trial that this process works on

    def __post_init__(self) -> None:
        optuna = import_optuna(self.sweep.sampler.package)
        directions = ["maximize" if g.higher else "minimize" for g in self.sweep.goals]
        pruner = self.sweep.pruner
        made = getattr(optuna.pruners, pruner.optuna_name)(**pruner.find_arguments(self.epochs))
        self.study = optuna.create_study(
            storage=self.storage,
            study_name=self.name,
            directions=directions,
            pruner=made,
            load_if_exists=True,
        )

    @property
    def count(self) -> int:
        """How many trials there are to be."""
        return self.sweep.count

    # --- slots ----------------------------------------------------------------------------------

    def claim(self) -> Any | None:
        """A trial of Optuna that nobody else works on. None where all are finished: it waits for
        those of others, whose workers may die."""
        while True:
            self.rescue()
            trials = self.find_trials()
            free = self.find_free(trials)
            waiting = [t for t in trials if t.state.name == "WAITING"]
            if free is None and not waiting:
                if not any(t.state.name == "RUNNING" for t in trials):
                    return None
                time.sleep(PAUSE)
                continue
            slot = waiting[0].user_attrs[SLOT] if waiting else free
            assert slot is not None
            if not waiting:
                noted = {SLOT: slot, QUEUED: _name_owner()}
                self.study.enqueue_trial(self.find_known(slot, trials), user_attrs=noted)
            trial = self.take(slot)
            if trial is not None:
                return trial

    def take(self, slot: int) -> Any | None:
        """The first trial that waits; None where another process was faster."""
        self.study.sampler = self.make_sampler(slot)
        trial = self.study.ask()
        slot = trial.user_attrs.get(SLOT, -1)
        holders = [t.number for t in self.find_trials() if _holds(t) and t.user_attrs[SLOT] == slot]
        if slot < 0 or min(holders, default=trial.number) < trial.number:
            self.give_up(trial.number)
            return None
        trial.set_user_attr(OWNER, _name_owner())
        trial.set_user_attr(ALIVE, time.time())
        self.held = trial.number
        return trial

    def find_trials(self) -> list[Any]:
        """All trials, those that were begun by mistake left out."""
        trials = self.study.get_trials(deepcopy=False)
        return [t for t in trials if SLOT in t.user_attrs]

    def find_free(self, trials: Sequence[Any]) -> int | None:
        """The first slot that no trial holds."""
        taken = {t.user_attrs[SLOT] for t in trials if _holds(t)}
        lost: dict[int, int] = {}
        for trial in trials:
            if not _holds(trial) and OWNER in trial.user_attrs:
                slot = trial.user_attrs[SLOT]
                lost[slot] = lost.get(slot, 0) + 1
        taken |= {slot for slot, times in lost.items() if times >= MOST_LOST}
        return next((slot for slot in range(self.count) if slot not in taken), None)

    def find_known(self, slot: int, trials: Sequence[Any]) -> dict[str, Label]:
        """The values that a slot must have: those of a grid, or those that a worker drew for it
        before it died."""
        if self.sweep.sampler.enumerates:
            values = list_combinations(self.sweep, slot + 1)[slot]
            known = self.sweep.name_keys(values)
            return {name: label(value) for name, value in known.items()}
        earlier = [t.params for t in trials if t.user_attrs[SLOT] == slot and t.params]
        return dict(earlier[-1]) if earlier else {}

    def make_sampler(self, slot: int) -> Any:
        """The sampler of a slot, with a seed of its own."""
        optuna = import_optuna()
        sampler = self.sweep.sampler
        seed = int(np.random.SeedSequence([self.sweep.seed, slot]).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of options that Optuna calls experimental
            cls = getattr(optuna.samplers, sampler.optuna_name)
            return cls(seed=seed, **sampler.arguments)

    # --- the dead -------------------------------------------------------------------------------

    def rescue(self) -> None:
        """Frees the slots of workers that have died."""
        for trial in self.find_trials():
            if trial.state.name == "RUNNING" and trial.number != self.held and _is_dead(trial):
                self.give_up(trial.number)

    def give_up(self, number: int) -> None:
        """Ends a trial without a reason: its slot is free. Whoever has ended it before is right."""
        optuna = import_optuna()
        with suppress(ValueError, RuntimeError, optuna.exceptions.OptunaError):
            self.study.tell(number, state=optuna.trial.TrialState.FAIL)

    @contextmanager
    def working(self, trial: Any) -> Iterator[None]:
        """Stands around the work on a trial: says that it goes on, and frees its slot where the
        process is interrupted."""
        done = Event()

        def beat() -> None:
            while not done.wait(BEAT):
                with suppress(Exception):  # a storage that is away for a moment is no end
                    trial.set_user_attr(ALIVE, time.time())

        thread = Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            self.give_up(trial.number)
            raise
        finally:
            done.set()
            thread.join()
            self.held = None

    # --- ends -----------------------------------------------------------------------------------

    def finish(self, trial: Any, values: Sequence[float], noted: Mapping[str, Any]) -> None:
        """Records what a trial has reached."""
        self._end(trial, "COMPLETE", noted, list(values))

    def prune(self, trial: Any, noted: Mapping[str, Any]) -> None:
        """Records that a trial was given up."""
        self._end(trial, "PRUNED", noted)

    def fail(self, trial: Any, reason: str) -> None:
        """Records why a trial has no result. It is not tried again."""
        self._end(trial, "FAIL", {REASON: reason})

    def _end(
        self, trial: Any, state: str, noted: Mapping[str, Any], values: list[float] | None = None
    ) -> None:
        optuna = import_optuna()
        # Another process may have taken this one for dead, and the slot with it.
        with suppress(ValueError, RuntimeError, optuna.exceptions.UpdateFinishedTrialError):
            for name, value in noted.items():
                trial.set_user_attr(name, value)
            self.study.tell(trial.number, values, optuna.trial.TrialState[state])

    # --- results --------------------------------------------------------------------------------

    def list_records(self) -> list[TrialRecord]:
        """The trials that are over, in the order of their slots."""
        over = [t for t in self.find_trials() if t.state.is_finished() and _holds(t)]
        return [_read(trial) for trial in sorted(over, key=lambda t: t.user_attrs[SLOT])]

    def find_importance(self) -> dict[str, float]:
        """How much of the variance of the first goal each parameter explains (fANOVA); nothing
        where there are too few trials."""
        optuna = import_optuna()
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        several = len(self.sweep.goals) > 1
        target = (lambda trial: trial.values[0]) if several else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = optuna.importance.get_param_importances(
                    self.study, evaluator=evaluator, target=target
                )
            except (ValueError, RuntimeError):
                return {}
        shares: dict[str, float] = {}
        for key, share in found.items():
            name = key.partition(MARK)[0]
            shares[name] = shares.get(name, 0.0) + float(share)
        return shares


def _holds(trial: Any) -> bool:
    """Whether a trial fills its slot: one that ended without a word has lost it."""
    return trial.state.name != "FAIL" or REASON in trial.user_attrs


def _name_owner() -> str:
    return f"{socket.gethostname()} {os.getpid()}"


def _is_dead(trial: Any) -> bool:
    """Whether the worker of a trial has ended, as far as anyone can tell."""
    process = _find_process(trial.user_attrs.get(OWNER, ""))
    if process == os.getpid():
        return True  # an earlier sweep of this process: it works on one trial at a time
    if OWNER not in trial.user_attrs:  # it may have died before it said that it took the trial
        process = _find_process(trial.user_attrs.get(QUEUED, ""))
    if process is not None and os.name == "posix" and not _is_alive(process):
        return True
    begun = trial.datetime_start.timestamp() if trial.datetime_start is not None else 0.0
    return time.time() - float(trial.user_attrs.get(ALIVE, begun)) > GRACE


def _find_process(owner: str) -> int | None:
    """The process of a worker on this machine; None for one of another."""
    host, _, process = owner.rpartition(" ")
    return int(process) if host == socket.gethostname() and process.isdigit() else None


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_defunct(process)


def _is_defunct(process: int) -> bool:
    """Whether a process has ended, and who started it has not asked for its status yet: that of
    `--workers` does so behind its own last trial. Only Linux says so."""
    try:
        said = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return said.rpartition(")")[2].split()[:1] == ["Z"]


def _read(trial: Any) -> TrialRecord:
    attributes = trial.user_attrs
    states = {"COMPLETE": "complete", "PRUNED": "pruned"}
    complete = trial.state.name == "COMPLETE"
    return TrialRecord(
        attributes[SLOT],
        states.get(trial.state.name, "failed"),
        {key.partition(MARK)[0]: value for key, value in trial.params.items()},
        tuple(trial.values) if complete else (),
        attributes.get(FIGURES, {}),
        attributes.get(SECONDS, 0.0),
        attributes.get(PLACE, ""),
        tuple(attributes.get(BROKEN, ())),
        attributes.get(REASON, ""),
    )
