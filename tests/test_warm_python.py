"""Warm processes do what new interpreters do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backends.pytorch.run.running import LAUNCH
from tests.warm_python import COLD, WarmPopen, can_be_warm

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux alone")
SCRIPT = """
import atexit, os, sys, threading, time
from helper import NUMBER
print(sys.argv, os.getcwd(), os.environ.get("GIVEN"), sys.path[0], __name__, NUMBER)
print(sys.stdin.read(), sys.stdout.encoding, sys.stderr.line_buffering)
print("to the error output", file=sys.stderr)
atexit.register(print, "at the end")
threading.Thread(target=lambda: (time.sleep(0.1), print("from a thread"))).start()
assert "weft" not in sys.modules and "compiler" not in sys.modules
"""
ENDS = {
    "well": "",
    "status": "sys.exit(3)",
    "negative": "sys.exit(-1)",
    "text": "sys.exit('bye')",
    "exception": "def fail(): 1 / 0\nfail()",
    "own hook": "sys.excepthook = lambda *_: print('mine')\n[][1]",
    "killed": "os.kill(os.getpid(), 9)",
    "interrupted": "import signal\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)",
    "at once": "os._exit(7)",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text("NUMBER = 5\n")
    return tmp_path


def run(folder: Path, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GIVEN": "ä"}
    command = [sys.executable, *words]
    assert can_be_warm(command, environment) == (COLD not in os.environ)
    return subprocess.run(
        command, cwd=folder, input="given", env=environment, capture_output=True, text=True
    )


def describe(done: subprocess.CompletedProcess[str]) -> tuple[object, ...]:
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("end", ENDS)
def test_scripts_do_the_same(end: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "script.py").write_text(SCRIPT + ENDS[end])
    warm = run(folder, "script.py", "--out", "a b")
    monkeypatch.setenv(COLD, "1")
    assert describe(run(folder, "script.py", "--out", "a b")) == describe(warm)


def test_modules_and_launches_do_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "model.py").write_text("WIDTH = 4\n")
    (folder / "train.py").write_text("import sys, model\nprint(sys.argv, model.WIDTH)\n")
    commands = (
        ("-P", "-c", LAUNCH, str(folder), "--out", "x"),
        ("-m", "weft.cli.main", "check", "missing.weft"),
        ("-m", "weft.cli.main", "nothing"),
    )
    warm = [describe(run(folder, *command)) for command in commands]
    monkeypatch.setenv(COLD, "1")
    assert [describe(run(folder, *command)) for command in commands] == warm


def test_a_warm_process_is_a_child_that_can_be_killed(folder: Path) -> None:
    (folder / "script.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    with WarmPopen([sys.executable, "script.py"], cwd=folder, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
    assert process.returncode == -signal.SIGTERM


def test_numbers_at_random_differ_between_processes(folder: Path) -> None:
    text = "import random, numpy\nprint(random.random(), numpy.random.rand())\n"
    (folder / "script.py").write_text(text)
    first, second = (run(folder, "script.py").stdout.split() for _ in range(2))
    assert not {*first} & {*second}


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (["-c", "import sys"], {}),
        (["-m", "pip"], {}),
        (["-O", "script.py"], {}),
        (["script.py"], {"PYTHONIOENCODING": "ascii"}),
        (["script.py"], {"OMP_NUM_THREADS": "3"}),
    ],
)
def test_what_could_be_told_apart_starts_an_interpreter(
    words: list[str], more: dict[str, str]
) -> None:
    assert not can_be_warm([sys.executable, *words], {**os.environ, **more})
