"""A shell for console sessions of messages: commands of Weft and scripts run in this process."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from backends.pytorch.run import running
from compiler.report.console import Step
from tests.environments import make_environment
from tests.hub_server import serve
from weft.cli.main import run_command

ROOT = Path(__file__).resolve().parents[1]
HEAD = re.compile(r"^(?:error|warning)\[(W\d{4})\]", re.MULTILINE)
HUB = {"fc.weight": np.ones((2, 4), np.float32), "fc.bias": np.zeros(2, np.float32)}
"""The weights of the repository that Hugging Face has."""
CORES = 4
"""How many the machine has, as far as commands of Weft know."""
OF_THE_MACHINE = re.compile(
    r"[\d.,]+ [KMGT]?i?B is free|process \d+, since [\d: -]+|(?<=CUDA cannot be used: ).*"
)
"""What differs from one machine to another, or from run to run."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    printed: str

    @property
    def codes(self) -> set[str]:
        """The codes of the messages that it printed."""
        return set(HEAD.findall(self.printed))

    def find(self, code: str) -> str:
        """The first message of a code as it was printed, up to the empty line behind it."""
        head = next(found for found in HEAD.finditer(self.printed) if found[1] == code)
        return self.printed[head.start() :].split("\n\n")[0].rstrip("\n") + "\n"


class Shell:
    """Runs sessions, one after the other, in one folder, so that paths are the same for all. What
    a session did up to its last command is kept, for others that begin with the same steps. What
    `pip` takes away cannot be imported until it brings it back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "spec"
        self._kept_in = folder / "kept"
        self._kept: dict[tuple[Step, ...], Path] = {}
        self._missing: set[str] = set()

    def run_session(self, steps: Sequence[Step], capture: pytest.CaptureFixture[str]) -> Done:
        """What the last step does; those before it must end well."""
        first = self._start(tuple(steps))
        for at in range(first, len(steps) - 1):
            self._do(steps[at], capture)
            if steps[at].command.startswith("weft "):
                self._keep(tuple(steps[: at + 1]))
        return self.run(steps[-1], capture)

    def go_on(self, steps: Sequence[Step], capture: pytest.CaptureFixture[str]) -> Done:
        """What the last of further steps does; those before it must end well."""
        *before, last = steps
        for step in before:
            self._do(step, capture)
        return self.run(last, capture)

    def _do(self, step: Step, capture: pytest.CaptureFixture[str]) -> None:
        done = self.run(step, capture)
        assert done.status == 0, f"{step.command}: {done.printed}"

    def _start(self, steps: tuple[Step, ...]) -> int:
        """Fills the folder with what most of the steps left before; how many these are."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._missing.clear()
        for length in range(len(steps) - 1, 0, -1):
            if steps[:length] in self._kept:
                shutil.copytree(self._kept[steps[:length]], self._folder, symlinks=True)
                return length
        self._folder.mkdir(parents=True)
        return 0

    def _keep(self, steps: tuple[Step, ...]) -> None:
        place = self._kept_in / str(len(self._kept))
        shutil.copytree(self._folder, place, symlinks=True)
        self._kept[steps] = place

    def run(self, step: Step, capture: pytest.CaptureFixture[str]) -> Done:
        """What a step does in the folder."""
        if step.file:
            path = self._folder / step.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step.text, encoding="utf-8")
            return Done(0, "")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self._folder)
            words = shlex.split(step.command)
            for name in self._missing:
                patch.setitem(sys.modules, name, None)
            match words:
                case ["pip", "uninstall", "-y", name]:
                    self._missing.add(name)
                    status, printed = 0, ""
                case ["pip", "install", _]:
                    self._missing.clear()
                    status, printed = 0, ""
                case _ if self._asks_hub() and not self._missing:
                    status, printed = run_with_hub(step.command)
                case ["weft", *_]:
                    status, printed = run_weft(words, patch), ""
                case ["python", "-c", code]:
                    status, printed = run_script(code)
                case ["python", path]:
                    status, printed = run_script(Path(path).read_text(encoding="utf-8"))
                case _:
                    status, printed = run_other(step.command)
        captured = capture.readouterr()
        text = f"{captured.out}{captured.err}{printed}"
        return Done(status, text.replace(str(self._folder.resolve()), "/home/ada/spec"))

    def _asks_hub(self) -> bool:
        return any("hf:" in path.read_text("utf-8") for path in self._folder.glob("*.weft"))


def run_weft(words: list[str], patch: pytest.MonkeyPatch) -> int:
    """The status of a command of Weft."""
    patch.setattr(sys, "argv", words)
    patch.setattr(running, "_run", train_here)
    patch.setattr(os, "cpu_count", lambda: CORES)
    try:
        run_command()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def train_here(command: Sequence[str], folder: Path, *_: object) -> tuple[int, str]:
    """The status of a training script and what it says, run in this process: a process of its own
    imports torch first, which takes longer than all else."""
    code, arguments = command[command.index("-c") + 1], command[command.index("-c") + 2 :]
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["-c", *arguments])
        patch.setattr(sys, "path", [*sys.path])
        patch.delitem(sys.modules, "model", raising=False)
        try:
            alone = code.removeprefix(running.FOLLOW)
            exec(compile(alone, "launch.py", "exec"), {"__name__": "__main__"})
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code)
            return (0 if end.code in (None, 0) else 1), said.getvalue()
        except Exception:
            traceback.print_exc()
            return 1, said.getvalue()
        finally:
            sys.modules.pop("model", None)
    return 0, said.getvalue()


def run_script(code: str) -> tuple[int, str]:
    """The status of a script, and what Python says of the exception that ended it."""
    try:
        exec(compile(code, "script.py", "exec"), {"__name__": "__main__"})
    except Exception as error:
        return 1, "".join(traceback.format_exception_only(error))
    return 0, ""


def run_with_hub(command: str) -> tuple[int, str]:
    """What a command does where Hugging Face has one small repository. The package that asks it
    reads the variables of the environment once, so that each command is a process."""
    with serve() as hub:
        hub.add("acme/tiny", {"model.safetensors": save(HUB)})
        status, printed = run_other(
            command,
            HF_ENDPOINT=hub.address,
            HF_HOME=str(Path("cache").absolute()),
            HF_HUB_DISABLE_TELEMETRY="1",
            HF_HUB_DISABLE_XET="1",
            HF_HUB_ETAG_TIMEOUT="120",  # a busy machine is not one that cannot be reached
            NO_PROXY="127.0.0.1",
        )
        return status, printed.replace(hub.address, "https://huggingface.co")


def run_other(command: str, **more: str) -> tuple[int, str]:
    """What a command of the system does."""
    places = [str(Path(sys.executable).parent), os.environ["PATH"]]
    paths = {"PATH": os.pathsep.join(places), "PYTHONPATH": str(ROOT)}
    environment = make_environment(**paths, **more)
    shown = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)
    return shown.returncode, shown.stdout + shown.stderr


def hide_figures(text: str) -> str:
    """A text without what differs from machine to machine."""
    return OF_THE_MACHINE.sub("…", text)
