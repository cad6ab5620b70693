"""Runs the front end on fuzzed texts and fails on anything but a tree or diagnostics in time."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from compiler.diagnostics import Sink
from compiler.format import format_source
from compiler.parse import parse
from compiler.render import render, render_json
from compiler.source import Source
from tests.fuzz.generators import make_text

LIMIT = 5.0
"""Seconds one text may take; a spec of this size takes milliseconds."""


class FuzzFailure(AssertionError):
    """A text on which the front end fell over."""


@dataclass
class Tally:
    """What a run met: how many texts were sound, and how often each code was reported."""

    texts: int = 0
    sound: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TimeoutError when the body takes longer."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"longer than {seconds} s")

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def run_front_end(text: str) -> Sink:
    """Parse a text, render what was found, and format it where it is sound."""
    source = Source("fuzz.weft", text)
    sink = Sink()
    parse(source, sink)
    for message in sink.messages:
        place = message.span
        assert place is not None
        assert 0 <= place.start <= place.end <= len(text), f"{message.code} points outside"
    render(sink.messages)
    render_json(sink.messages)
    if not sink.has_errors:
        check_format(source)
    return sink


def check_format(source: Source) -> None:
    """Formatting keeps the tree and does nothing the second time."""
    once = format_source(source, Sink())
    sink = Sink()
    again = Source(source.path, once)
    assert format_source(again, sink) == once, "formatting twice differs"
    assert not sink.messages, f"formatted text is refused: {sink.messages}"
    assert parse(again, Sink()) == parse(source, Sink()), "formatting changed the tree"


def fuzz(count: int, seed: int) -> Tally:
    """Run that many texts; raises FuzzFailure on the first that is not handled."""
    tally = Tally()
    for number in range(count):
        text = make_text(random.Random(f"{seed}:{number}"))
        began = time.perf_counter()
        try:
            with time_limit(LIMIT):
                sink = run_front_end(text)
        except BaseException as error:
            raise FuzzFailure(f"seed {seed}:{number}: {error!r} on {text!r}") from error
        tally.texts += 1
        tally.sound += not sink.has_errors
        tally.codes.update(message.code for message in sink.messages)
        tally.slowest = max(tally.slowest, time.perf_counter() - began)
    return tally
