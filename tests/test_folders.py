"""Folders of builds: one process at a time, and no file in them that is taken for a module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backends.pytorch.run.running import run_training
from backends.pytorch.train.folder import write_training
from compiler.driver import check
from compiler.report.diagnostics import CompileError, Sink
from tests.table_train import write_table
from weft.results.lock import NAME, hold_folder

HOLD = (
    "import sys, pathlib; from weft.results.lock import hold_folder\n"
    "with hold_folder(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write_table(tmp_path)


def test_the_second_is_told_who_holds_a_folder(spec: Path) -> None:
    out = spec.parent / "out"
    command = [sys.executable, "-c", HOLD, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        for word in (["build"], ["train", "--code-only"]):
            weft = [sys.executable, "-m", "weft.cli.main", *word, str(spec), "-o", str(out)]
            done = subprocess.run(weft, capture_output=True, text=True)
            assert done.returncode == 1
            assert "error[W1292]" in done.stderr
            assert f"process {holder.pid}, since 20" in done.stderr
        holder.kill()
        holder.wait()
    assert (out / NAME).is_file()  # it had no time to take it away
    with hold_folder(out):
        pass
    assert not (out / NAME).exists()


def test_a_folder_is_free_again_after_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold_folder(tmp_path):
        _ = 1 // 0
    with hold_folder(tmp_path), pytest.raises(CompileError), hold_folder(tmp_path):
        pass


def test_modules_are_python_s_and_not_files_in_the_folder(spec: Path) -> None:
    program = check(spec, sink=Sink())
    assert program is not None
    folder = spec.parent / "out" / "fit"
    write_training(program.trains["fit"], folder)
    for name in ("json.py", "torch.py", "numpy.py", "argparse.py", "pandas.py"):
        for place in (folder, spec.parent):
            (place / name).write_text(f"raise SystemExit('{name} ran')\n")
    (spec.parent / "model.py").write_text("raise SystemExit('the wrong model ran')\n")
    results = run_training(folder, data_root=spec.parent, device="cpu")
    assert results.epochs == 1
    command = [sys.executable, "train.py", "--data", str(spec.parent), "--out", "by hand"]
    by_hand = subprocess.run(
        [*command, "--device", "cpu"], cwd=folder, capture_output=True, text=True
    )
    assert by_hand.returncode == 0, by_hand.stderr
    assert (folder / "by hand" / "results.json").is_file()
