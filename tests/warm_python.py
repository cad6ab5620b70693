"""Processes of Python that have imported PyTorch before they begin.

Three seconds of every training script and of most commands are imports. Where a test starts Python
with a script, a module or the launch code of `weft build`, a process that has imported the packages
of others, and nothing of Weft, forks in place of a new interpreter: with the arguments, the folder,
the environment and the files that were asked for, and as a child of the test, which it can wait for
and kill. What would be told apart from a new interpreter, such as code that looks at what is
imported, starts one.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from backends.pytorch.run.running import LAUNCH

COLD = "COLD_PROCESSES"
"""The variable of the environment that leaves every process as it is."""
SERVER = Path(__file__).with_name("warm_server.py")
MODULES = ("weft.cli.main",)
_SUBREAPER = 36  # of <linux/prctl.h>
_READ_AT_START = ("PYTHON", "OMP_", "MKL_", "OPENBLAS_", "LC_", "LANG", "LD_", "TORCH", "CUDA")
"""How the names of variables begin that Python or a package reads once."""

Environment = Mapping[str, str]


class WarmPopen(subprocess.Popen[Any]):
    """`subprocess.Popen`, which forks a warm process where it can."""

    def _execute_child(self, *given: Any) -> None:
        args, executable, preexec_fn, _, pass_fds, cwd, env, _, _, shell, *others = given
        files, (_, gid, gids, uid, umask, new_session, group) = others[:6], others[6:13]
        environment = {**os.environ} if env is None else dict(env)
        plain = executable is preexec_fn is gid is gids is uid is None and not shell
        plain = plain and not pass_fds and not new_session and umask == group == -1
        if not (plain and can_be_warm(args, environment)):
            super()._execute_child(*given)
            return
        folder = str(Path.cwd() if cwd is None else Path(cwd).absolute())
        if not Path(folder).is_dir() or (
            args[1][:1] != "-" and not Path(folder, args[1]).is_file()
        ):
            super()._execute_child(*given)  # which says so
            return
        standard = [end if end != -1 else at for at, end in enumerate((files[0], *files[3:6:2]))]
        self.pid = fork(list(map(str, args[1:])), folder, environment, standard)
        self._child_created = True
        self._close_pipe_fds(*files)  # type: ignore[attr-defined]


def can_be_warm(args: object, environment: Environment) -> bool:
    """Whether a process would do the same as one that begins with an interpreter."""
    if not isinstance(args, list | tuple) or not args or str(args[0]) != sys.executable:
        return False
    if not sys.platform.startswith("linux") or COLD in os.environ or measures_coverage():
        return False
    if _read_at_start(environment) != _read_at_start(os.environ):
        return False
    match list(map(str, args[1:])):
        case ["-P", "-c", code, *_]:
            return code == LAUNCH
        case ["-m", module, *_]:
            return module in MODULES
        case [script, *_]:
            return script.endswith(".py")
    return False


def measures_coverage() -> bool:
    return any(name.startswith("COV") for name in os.environ)


def _read_at_start(environment: Environment) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_READ_AT_START) and name != "PYTHONPATH"
    }


def fork(
    arguments: Sequence[str], folder: str, environment: dict[str, str], files: Sequence[int]
) -> int:
    """The number of a new process, a child of this one, whose standard files are given."""
    order = {"arguments": arguments, "folder": folder, "environment": environment}
    order["parent"] = os.getpid()
    server = start_server(tuple(sorted(_read_at_start(os.environ).items())))
    adopt_orphans(1)  # the process that forks it ends at once
    try:
        body = json.dumps(order).encode()
        socket.send_fds(server, [len(body).to_bytes(8, "big")], files)
        server.sendall(body)
        return int.from_bytes(server.recv(8), "big")
    finally:
        adopt_orphans(0)


def adopt_orphans(number: int) -> None:
    """Whether what a child leaves behind becomes a child of this process: 1 or 0."""
    ctypes.CDLL(None).prctl(_SUBREAPER, number, 0, 0, 0)


@cache
def start_server(_: tuple[tuple[str, str], ...]) -> socket.socket:
    """The socket of a process that forks, for what is set now of the variables that are read
    once; it ends when the other end is closed, as it is when this process ends."""
    mine, its = socket.socketpair()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-P", str(SERVER), str(its.fileno())]
    with its:
        server = subprocess.Popen(command, pass_fds=[its.fileno()], env=environment)
    assert mine.recv(1) == b"+", server.poll()
    _SERVERS.append(server)
    return mine


_SERVERS: list[subprocess.Popen[Any]] = []
"""Kept, so that nobody waits for one."""
