"""The process that `tests/warm_python.py` starts: it imports packages that start no thread,
and forks."""

from __future__ import annotations

import atexit
import io
import json
import os
import random
import runpy
import signal
import socket
import sys
import threading
import time
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch  # noqa: F401
import torch._dynamo  # noqa: F401  # which the first optimizer imports
import tqdm  # noqa: F401


def serve(client: socket.socket) -> None:
    """Forks until the other end is closed."""
    path = list(sys.path)  # without a script's folder: this one is started with `-P`
    client.sendall(b"+")
    while True:
        head, files, _, _ = socket.recv_fds(client, 8, 3)
        if not head:
            return
        order = json.loads(receive(client, int.from_bytes(head, "big")))
        reader, writer = os.pipe()
        middle = os.fork()
        if middle == 0:
            made = os.fork()
            if made == 0:
                for end in (client.detach(), reader, writer):
                    os.close(end)
                begin(order, files, path)
            os.write(writer, made.to_bytes(8, "big"))
            os._exit(0)
        os.waitpid(middle, 0)  # only now the process has the parent that it should have
        client.sendall(os.read(reader, 8))
        for file in (reader, writer, *files):
            os.close(file)


def receive(client: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        parts += client.recv(size - len(parts))
    return parts


def begin(order: Mapping[str, Any], files: Sequence[int], path: list[str]) -> None:
    """Does what an interpreter with these arguments does, and ends as it does."""
    while os.getppid() != int(order["parent"]):
        time.sleep(1e-3)
    for at, file in enumerate(files):
        os.dup2(file, at)
    for file in files:
        if file > 2:
            os.close(file)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    random.seed()
    np.random.seed()
    open_standard_files()
    code = 1
    try:
        code = run(list(order["arguments"]), path)
    except KeyboardInterrupt as error:
        show(error)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        close()
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as error:
        show(error)
    os._exit(code if close() else 120)


def show(error: BaseException) -> None:
    """Shows an exception without the calls of this file."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename in (__file__, "<frozen runpy>"):
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)


def run(arguments: list[str], path: list[str]) -> int:
    """The status of a script, a module, or code."""
    given = os.environ.get("PYTHONPATH", "")
    sys.path[:] = [*(part for part in given.split(os.pathsep) if part), *path]
    try:
        match arguments:
            case ["-P", "-c", code, *rest]:
                sys.argv = ["-c", *rest]
                run_text(code, "<string>", {})
            case ["-m", module, *rest]:
                sys.path.insert(0, os.getcwd())  # noqa: PTH109
                sys.argv = ["-m", *rest]
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            case [script, *rest]:
                sys.path.insert(0, str(Path(script).resolve().parent))
                sys.argv = [script, *rest]
                place = str(Path(script).absolute())
                run_text(Path(script).read_bytes(), place, {"__file__": place})
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    return 0


def run_text(text: str | bytes, path: str, names: Mapping[str, str]) -> None:
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__dict__.update(names)
    exec(compile(text, path, "exec"), main.__dict__)


def open_standard_files() -> None:
    """Streams over the standard files, of the kinds that an interpreter opens."""
    for at, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, f"__{name}__")
        at_once = at > 0 and old.write_through  # with PYTHONUNBUFFERED
        mode, size = "wb" if at else "rb", 0 if at_once else -1
        file = open(at, mode, buffering=size, closefd=False)  # noqa: SIM115
        stream = io.TextIOWrapper(
            file,
            encoding=old.encoding,
            errors=old.errors,
            line_buffering=not at_once and (name == "stderr" or os.isatty(at)),
            write_through=at_once,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def close() -> bool:
    """What an interpreter does at its end; whether what was printed could be written."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        if not isinstance(error, ValueError):
            print(f"Exception ignored in: {sys.stdout!r}\n{error!r}", file=sys.stderr)
            return False
    sys.stderr.flush()
    return True


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
