"""Trials of sweeps: claimed, lost, tried again; what they come to."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backends.onnx_runtime.session import Device
from compiler.driver import check_source
from compiler.program.identity import identify
from compiler.program.program import Program
from compiler.program.sweep import Sweep
from compiler.report.diagnostics import CompileError, Sink
from compiler.report.messages.sweeps import sweep_spec
from compiler.report.source import Source
from weft.building import sweep_study
from weft.building.build_outputs import open_context
from weft.building.sweep_results import make_result, read_result
from weft.building.sweep_stages import SweepRunner
from weft.building.sweep_study import Study, TrialRecord, open_storage
from weft.building.sweep_trials import GivenUp, watch

ROOT = Path(__file__).resolve().parents[1]


def make_program(clauses: str, chosen: Mapping[str, Any] | None = None) -> Program:
    sink = Sink()
    program = check_source(Source("spec.weft", sweep_spec(clauses)), sink=sink, chosen=chosen)
    sink.stop_on_errors()
    assert program is not None
    return program


def make_sweep(clauses: str) -> Sweep:
    return make_program(clauses).sweeps["tune"]


def open_study(sweep: Sweep, folder: Path, storage: str | None = None) -> Study:
    return Study(sweep, "study", open_storage(storage, folder), 5)


def work(study: Study, judge: Callable[[dict[str, Any]], float], most: int = 1000) -> list[dict]:
    """Takes trials to their ends; their values."""
    seen = []
    for _ in range(most):
        trial = study.claim()
        if trial is None:
            return seen
        with study.working(trial):
            values = study.sweep.draw(trial)
            seen.append(values)
            study.finish(trial, [judge(values)], {"figures": {}, "seconds": 0.0})
    return seen


def peak(values: dict[str, Any]) -> float:
    return -abs(values["lr"] - 0.01)


RANGE = "lr in log_uniform(1e-4, 1e-1)  decay in uniform(0, 0.5)  maximize val.accuracy"

# --- slots ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", [None, "journal:"])
@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "nsga2(population=4)"])
def test_one_worker_finds_the_same_trials_again(
    tmp_path: Path, sampler: str, storage: str | None
) -> None:
    sweep = make_sweep(f"{RANGE}  sampler {sampler}  trials 9  seed 3")
    found = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        url = f"{storage}{folder / 'log'}" if storage else None
        whole = work(open_study(sweep, folder, url), peak)
        found.append(whole)
    assert found[0] == found[1]
    assert len(found[0]) == 9
    other = make_sweep(f"{RANGE}  sampler {sampler}  trials 9  seed 4")
    (tmp_path / "c").mkdir()
    assert work(open_study(other, tmp_path / "c"), peak)[0] != found[0][0]


def test_an_interrupted_sweep_finds_the_same_trials(tmp_path: Path) -> None:
    sweep = make_sweep(f"{RANGE}  trials 14  sampler tpe(startup=4)")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole = work(open_study(sweep, tmp_path / "a"), peak)
    first = work(open_study(sweep, tmp_path / "b"), peak, most=6)
    study = open_study(sweep, tmp_path / "b")
    trial = study.claim()
    assert trial is not None
    sweep.draw(trial)  # and the process dies here
    rest = work(open_study(sweep, tmp_path / "b"), peak)
    assert first + rest == whole
    records = open_study(sweep, tmp_path / "b").list_records()
    assert [record.slot for record in records] == list(range(14))


def test_more_trials_go_on(tmp_path: Path) -> None:
    few, many = (make_sweep(f"{RANGE}  trials {n}") for n in (3, 7))
    assert identify(few.identity) == identify(many.identity)
    first = work(open_study(few, tmp_path), peak)
    rest = work(open_study(many, tmp_path), peak)
    assert (len(first), len(rest)) == (3, 4)
    other = make_sweep(f"{RANGE}  trials 3  seed 1")
    assert identify(other.identity) != identify(few.identity)


def test_a_grid_is_tried_whole_and_in_order(tmp_path: Path) -> None:
    sweep = make_sweep(
        "lr in [1e-3, 1e-2]  if lr > 5e-3 { decay in uniform(0, 1, step=0.5) }"
        "  maximize val.accuracy  sampler grid"
    )
    found = work(open_study(sweep, tmp_path), lambda values: values["lr"])
    assert found == [{"lr": 1e-3}, *({"lr": 1e-2, "decay": d} for d in (0.0, 0.5, 1.0))]
    shorter = make_sweep("lr in [1e-3, 1e-2, 0.1]  maximize val.accuracy  sampler grid  trials 2")
    (tmp_path / "b").mkdir()
    assert work(open_study(shorter, tmp_path / "b"), peak) == [{"lr": 1e-3}, {"lr": 1e-2}]


@pytest.mark.parametrize("sampler", ["grid", "tpe(startup=2)  trials 8"])
def test_branches_search_one_parameter_among_other_values(tmp_path: Path, sampler: str) -> None:
    sweep = make_sweep(
        "lr in [1e-3, 1e-2]  if lr > 5e-3 { decay in [0.1, 0.2] } else { decay in [0.3, 0.4, 0.5] }"
        f"  maximize val.accuracy  sampler {sampler}"
    )
    found = work(open_study(sweep, tmp_path), lambda values: values["decay"])
    assert all((v["decay"] < 0.25) == (v["lr"] > 5e-3) for v in found)
    records = open_study(sweep, tmp_path).list_records()
    assert [record.labels for record in records] == found
    assert len(found) == sweep.count == (5 if sampler == "grid" else 8)


def test_a_trial_without_a_slot_is_left_out(tmp_path: Path) -> None:
    sweep = make_sweep(f"{RANGE}  trials 3")
    study = open_study(sweep, tmp_path)
    study.study.ask()  # as a process that finds nothing waiting makes it
    assert len(work(study, peak)) == 3
    assert len(study.list_records()) == 3


def test_two_trials_of_a_slot_leave_one(tmp_path: Path) -> None:
    study = open_study(make_sweep(f"{RANGE}  trials 2"), tmp_path)
    for _ in range(2):  # as two processes that saw no other's do
        study.study.enqueue_trial({}, user_attrs={"slot": 0})
    assert len(work(study, peak)) == 2
    assert [record.slot for record in study.list_records()] == [0, 1]


# --- workers that die -----------------------------------------------------------------------------

WORKER = """
import sys, time
from pathlib import Path
from tests.test_sweep_runs import make_sweep, open_study
sweep, folder, pause = make_sweep(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
study = open_study(sweep, folder)
while (trial := study.claim()) is not None:
    with study.working(trial):
        values = sweep.draw(trial)
        print(trial.user_attrs["slot"], flush=True)
        time.sleep(pause)
        study.finish(trial, [values["lr"]], {"seconds": pause})
"""


def start(clauses: str, folder: Path, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, clauses, str(folder), str(pause)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name != "posix", reason="who lives is known at once on POSIX only")
@pytest.mark.parametrize("reaped", [True, False])
def test_no_trial_of_a_killed_worker_is_lost(reaped: bool, tmp_path: Path) -> None:
    """Its slot is free at once, also while who started it has not waited for its end."""
    clauses = f"{RANGE}  trials 10"
    open_study(make_sweep(clauses), tmp_path)
    killed, other = start(clauses, tmp_path, 1000), start(clauses, tmp_path, 0.2)
    assert killed.stdout is not None
    held = int(killed.stdout.readline())
    killed.send_signal(signal.SIGKILL)
    if reaped or sys.platform != "linux":
        killed.wait()
    said, _ = other.communicate(timeout=sweep_study.GRACE - 20)
    killed.wait()
    assert other.returncode == 0
    records = open_study(make_sweep(clauses), tmp_path).list_records()
    assert [record.slot for record in records] == list(range(10))
    assert {record.state for record in records} == {"complete"}
    assert sorted(map(int, said.split())) == list(range(10))
    assert held in range(10)


TAKER = """
import os, sys
from pathlib import Path
from tests.test_sweep_runs import make_sweep, open_study
study = open_study(make_sweep(sys.argv[1]), Path(sys.argv[2]))
take = study.study.ask
study.study.ask = lambda: (take(), os._exit(9))
study.claim()
"""


@pytest.mark.skipif(os.name != "posix", reason="who lives is known at once on POSIX only")
def test_a_worker_may_die_before_it_says_what_it_took(tmp_path: Path) -> None:
    clauses = f"{RANGE}  trials 3"
    done = subprocess.run(
        [sys.executable, "-c", TAKER, clauses, str(tmp_path)], cwd=ROOT, check=False
    )
    assert done.returncode == 9
    study = open_study(make_sweep(clauses), tmp_path)
    (taken,) = study.find_trials()
    assert taken.state.name == "RUNNING"
    assert "owner" not in taken.user_attrs
    begun = time.monotonic()
    work(study, peak)
    assert time.monotonic() - begun < sweep_study.GRACE / 2
    assert [record.slot for record in study.list_records()] == [0, 1, 2]


def test_processes_may_begin_at_once(tmp_path: Path) -> None:
    clauses = f"{RANGE}  trials 8"
    workers = [start(clauses, tmp_path, 0.05) for _ in range(4)]
    said = [worker.communicate(timeout=300)[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4
    assert sorted(int(slot) for slots in said for slot in slots) == list(range(8))
    records = open_study(make_sweep(clauses), tmp_path).list_records()
    assert [record.slot for record in records] == list(range(8))


def test_who_reads_of_sqlite_may_write(tmp_path: Path) -> None:
    """A trial that waits is read, then taken: nobody may read it in between."""
    study = open_study(make_sweep(f"{RANGE}  trials 2"), tmp_path)
    other = sqlite3.connect(tmp_path / sweep_study.STUDY, timeout=0, isolation_level=None)
    engine = study.storage.engine
    with closing(other), engine.begin() as reader:
        reader.exec_driver_sql("SELECT COUNT(*) FROM trials")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")


def test_a_trial_that_others_took_for_dead_ends_quietly(tmp_path: Path) -> None:
    study = open_study(make_sweep(f"{RANGE}  trials 1"), tmp_path)
    trial = study.claim()
    study.give_up(trial.number)
    study.finish(trial, [0.5], {"seconds": 1.0})
    study.prune(trial, {"place": "x"})
    study.fail(trial, "why")
    assert study.list_records() == []


def claim_as(study: Study, owner: str, alive: float) -> int:
    """A trial that a process of another machine holds."""
    trial = study.claim()
    assert trial is not None
    study.sweep.draw(trial)
    trial.set_user_attr("owner", owner)
    trial.set_user_attr("alive", alive)
    study.held = None
    return int(trial.user_attrs["slot"])


def test_a_worker_elsewhere_is_dead_when_it_says_nothing(tmp_path: Path) -> None:
    sweep = make_sweep(f"{RANGE}  trials 2")
    study = open_study(sweep, tmp_path)
    assert claim_as(study, "elsewhere 1", time.time() - sweep_study.GRACE - 1) == 0
    lost = study.find_trials()[0].params
    assert work(study, peak)[0] == lost, "its slot is tried again with the same values"


def test_a_worker_elsewhere_that_lives_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study(make_sweep(f"{RANGE}  trials 2"), tmp_path)
    claim_as(study, "elsewhere 1", time.time())
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            study.study.tell(0, 1.0)  # it is done

    monkeypatch.setattr(sweep_study.time, "sleep", nap)
    assert len(work(study, peak)) == 1
    assert len(naps) == 3


def test_a_slot_that_kills_its_workers_is_left(tmp_path: Path) -> None:
    study = open_study(make_sweep(f"{RANGE}  trials 2"), tmp_path)
    for _ in range(sweep_study.MOST_LOST):
        assert claim_as(study, "elsewhere 1", 0.0) == 0
    assert len(work(study, peak)) == 1
    assert [record.slot for record in study.list_records()] == [1]


def test_an_interrupt_frees_the_slot(tmp_path: Path) -> None:
    study = open_study(make_sweep(f"{RANGE}  trials 2"), tmp_path)
    trial = study.claim()
    assert trial is not None
    with pytest.raises(KeyboardInterrupt), study.working(trial):
        raise KeyboardInterrupt
    assert len(work(study, peak)) == 2


# --- failures -------------------------------------------------------------------------------------


def make_runner(clauses: str, folder: Path, recheck: Callable[..., Program]) -> SweepRunner:
    said: list[str] = []
    context = open_context(folder, Device.AUTO, said.append, said.append)
    return SweepRunner(make_program(clauses), context, recheck)


def test_failed_trials_say_why_and_are_not_repeated(tmp_path: Path) -> None:
    calls = []

    def recheck(chosen: Mapping[str, Any]) -> Program:
        calls.append(chosen)
        raise CompileError(find_faults())

    runner = make_runner(f"{RANGE}  trials 3", tmp_path, recheck)
    with pytest.raises(CompileError) as raised:
        runner.settle("tune")
    (message,) = raised.value.messages
    assert message.code == "W1529"
    assert "W0201" in message.text.label
    assert len(calls) == 3
    with pytest.raises(CompileError):
        make_runner(f"{RANGE}  trials 3", tmp_path, recheck).settle("tune")
    assert len(calls) == 3


def find_faults() -> list[Any]:
    sink = Sink()
    check_source(Source("a.weft", "model M { input x: f32[n]  output y = z }"), sink=sink)
    return sink.messages


@pytest.mark.parametrize(("sampler", "package"), [("tpe", "optuna"), ("cmaes", "cmaes")])
def test_a_missing_package_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str, package: str
) -> None:
    sweep, storage = (
        make_sweep(f"{RANGE}  trials 1  sampler {sampler}"),
        open_storage(None, tmp_path),
    )
    monkeypatch.setattr(sweep_study, "find_spec", lambda name: None if name == package else name)
    with pytest.raises(CompileError) as raised:
        Study(sweep, "study", storage, 1)
    (message,) = raised.value.messages
    assert message.code == "W1530"
    assert package in message.text.title
    assert "weft[sweep]" in (message.text.help or "")


# --- pruning --------------------------------------------------------------------------------------


def test_a_pruner_sees_every_epoch_once(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    lines = [f'{{"epoch": {e}, "seconds": 1.0, "val.accuracy": 0.{e}}}\n' for e in range(1, 5)]
    told: list[tuple[float, int]] = []
    goal = make_sweep(f"{RANGE}  trials 1").goals[0]
    follow = watch(goal, metrics, lambda v, e: told.append((v, e)), lambda: len(told) == 4)
    metrics.write_text("".join(lines[:2]))  # what was trained before an interruption
    for epoch in (3, 4):
        metrics.write_text("".join(lines[:epoch]))
        record = {"epoch": epoch, "seconds": 1.0, "val.accuracy": epoch / 10}
        if epoch == 4:
            with pytest.raises(GivenUp):
                follow(record)
        else:
            follow(record)
    assert told == [(0.1, 1), (0.2, 2), (0.3, 3), (0.4, 4)]


# --- results --------------------------------------------------------------------------------------


def record(slot: int, *values: float, broken: tuple[str, ...] = ()) -> TrialRecord:
    state = "complete" if values else "pruned"
    return TrialRecord(slot, state, {"lr": 0.1}, values, {}, 1.0, f"tune/trials/{slot}", broken)


def test_the_best_trial_is_the_first_of_equal_ones() -> None:
    sweep = make_sweep(f"{RANGE}  trials 5")
    records = [
        record(0),
        record(1, 0.5),
        record(2, 0.9),
        record(3, 0.9),
        record(4, 1.0, broken=("x",)),
    ]
    result = make_result(sweep, "study", records, {})
    assert result.best is not None
    assert result.best.slot == 2
    low = make_sweep(RANGE.replace("maximize val.accuracy", "minimize val.loss") + "  trials 5")
    best = make_result(low, "study", records, {}).best
    assert best is not None
    assert best.slot == 1


def test_several_goals_make_a_front() -> None:
    goals = f"{RANGE}  minimize params  trials 5"
    records = [record(0, 0.9, 100), record(1, 0.8, 50), record(2, 0.8, 60), record(3, 0.7, 10)]
    result = make_result(make_sweep(goals), "study", records, {})
    assert result.front == (0, 1, 3)
    assert result.best is None
    for word, slot in (("val.accuracy", 0), ("params", 3)):
        best = make_result(make_sweep(f"{goals}  choose {word}"), "study", records, {}).best
        assert best is not None
        assert best.slot == slot


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    import json

    sweep = make_sweep(f"{RANGE}  trials 3")
    result = make_result(sweep, "study", [record(0, 0.5), record(1), record(2, 0.7)], {"lr": 1.0})
    path = tmp_path / "results.json"
    path.write_text(json.dumps(result.encode()))
    assert read_result(path, sweep, "study") == result
    assert read_result(path, sweep, "other") is None
    for text in ("", "[]", "{}", '{"study": "study"}', '{"study": "study", "trials": [3]}'):
        path.write_text(text)
        assert read_result(path, sweep, "study") is None


def test_the_report_shows_trials_and_pictures(tmp_path: Path) -> None:
    sweep = make_sweep(f"{RANGE}  trials 3")
    records = [record(0, 0.5), record(1), record(2, 0.7)]
    section = make_result(sweep, "study", records, {"lr": 0.75, "decay": 0.25}).describe(tmp_path)
    assert section.table[0] == ("trial", "val.accuracy", "lr", "decay", "state", "seconds")
    assert [row[0] for row in section.table[1:]] == ["3", "1", "2"]
    assert dict(section.rows)["best trial"] == "3"
    assert len(section.pictures) == 2
    assert all(picture.startswith("<svg") for picture in section.pictures)
    assert "75%" in section.pictures[1]
