"""Checks fuzzed texts and notes whatever is neither a program nor diagnostics in time."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from compiler.driver import check_source
from compiler.program.program import Program
from compiler.report.diagnostics import Sink
from compiler.report.render import render, render_json
from compiler.report.source import Source
from compiler.text.format.format import format_source
from compiler.text.parse import parse
from tests.fuzz.commands import run_commands
from tests.fuzz.generators import make_text

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a fuzzed `hf("same")` asks nobody

LIMIT = 5.0
"""Seconds of processor time one text may take; a spec of this size takes milliseconds."""
MEMORY = 2**30
"""Bytes that a process may hold while it works on one text."""
TRIES = 60
"""Texts that are tried to make a failing one smaller."""
FILES = Path(__file__).resolve().parents[1] / "bad" / "data" / "files"
"""Small tables and texts, which the fuzzed specs find in their folder."""


@dataclass(frozen=True)
class Failure:
    """A text on which the compiler fell over: where to find it again, and what happened."""

    seed: str
    text: str
    trace: str

    @property
    def place(self) -> str:
        """The end of the traceback, which tells one bug from another."""
        return last_lines(self.trace)


@dataclass
class Tally:
    """What a run met: how many texts were sound, and how often each code was reported."""

    texts: int = 0
    sound: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    failures: list[Failure] = field(default_factory=list)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TimeoutError when the body computes longer, with the stack of every thread."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        stacks = sys._current_frames().values()
        deepest = "\n".join("".join(traceback.format_stack(stack)[-4:]) for stack in stacks)
        raise TimeoutError(f"longer than {seconds} s\n{deepest}")

    previous = signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


@contextmanager
def make_folder() -> Iterator[Path]:
    """A fresh folder with a few data files, for specs; nothing but it lies in its parent."""
    with tempfile.TemporaryDirectory() as outer:
        inner = Path(outer) / "specs"
        shutil.copytree(FILES, inner)
        yield inner


def peak_memory() -> int:
    """Bytes that were held at most since `forget_peak`."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s*(\d+)", status)[1]) * 1024  # type: ignore[index]


def forget_peak() -> None:
    """Counts what is held at most from here on (`man 5 proc`)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def run_compiler(text: str, folder: Path, *, commands: bool = False) -> Sink:
    """Check a text as a spec of that folder; render what was found, and format sound syntax. A
    sound spec goes through `show` and `compile` too, where that is asked for."""
    source = Source(str(folder / "fuzz.weft"), text)
    sink = Sink()
    program = check_source(source, sink=sink)
    if commands and program is not None and not sink.has_errors and has_nets(program):
        run_commands(text, folder, program)
    for message in sink.messages:
        for place in (message.span, *(label.span for label in message.all_labels())):
            assert place is not None
            end = len(place.source.text)
            assert 0 <= place.start <= place.end <= end, f"{message.code} points outside"
    render(sink.messages)
    render_json(sink.messages)
    syntax = Sink()
    tree = parse(source, syntax)
    if not syntax.has_errors:
        once = format_source(source, Sink())
        sound = Sink()
        again = Source(source.path, once)
        assert format_source(again, sound) == once, "formatting twice differs"
        assert not sound.messages, f"formatted text is refused: {sound.messages}"
        assert parse(again, Sink()) == tree, "formatting changed the tree"
    return sink


def has_nets(program: Program) -> bool:
    """Whether there is something to compile."""
    return bool(program.models or program.nets)


def fuzz(count: int, seed: int, fuzzer: str = "all", *, commands: bool = False) -> Tally:
    """Run that many texts; those that are not handled are among the failures."""
    tally = Tally()
    with make_folder() as folder:
        for number in range(count):
            text = make_text(random.Random(f"{seed}:{number}"), fuzzer)
            began = time.process_time()
            try:
                sink = try_text(text, folder, commands=commands)
            except Exception:  # whatever the compiler raises is what is looked for
                trace = traceback.format_exc()
                place = find_place(text, folder, commands=commands)
                small = minimize(text, folder, place, commands=commands) if place else text
                tally.failures.append(Failure(f"{fuzzer}:{seed}:{number}", small, trace))
                continue
            finally:
                tally.texts += 1
            tally.sound += not sink.has_errors
            tally.codes.update(message.code for message in sink.messages)
            tally.slowest = max(tally.slowest, time.process_time() - began)
    return tally


def try_text(text: str, folder: Path, *, commands: bool) -> Sink:
    """What is reported of a text, within the limits of time and memory."""
    forget_peak()
    held = peak_memory()
    with time_limit(LIMIT * (3 if commands else 1)):
        sink = run_compiler(text, folder, commands=commands)
    # What this process held before, for other tests, is not given back.
    assert peak_memory() < MEMORY + held, f"{peak_memory():,} bytes were held"
    return sink


def last_lines(trace: str) -> str:
    """The end of a traceback, which tells one bug from another."""
    return "\n".join(trace.rstrip().split("\n")[-4:])


def minimize(text: str, folder: Path, place: str, *, commands: bool) -> str:
    """A text with fewer lines that fails at the same place: halves, then single lines are left
    out while it does."""
    lines = text.split("\n")
    size, tries = len(lines) // 2, 0
    while size and tries < TRIES:
        start = 0
        while start < len(lines) and tries < TRIES:
            fewer = lines[:start] + lines[start + size :]
            tries += 1
            if find_place("\n".join(fewer), folder, commands=commands) == place:
                lines = fewer
            else:
                start += size
        size //= 2
    return "\n".join(lines)


def find_place(text: str, folder: Path, *, commands: bool) -> str | None:
    """Where a text fails; None where it does not."""
    try:
        try_text(text, folder, commands=commands)
    except Exception:  # as above
        return last_lines(traceback.format_exc())
    return None
