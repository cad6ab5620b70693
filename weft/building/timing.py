"""Latency of ONNX files on the target of a variant: all files take turns in one process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from backends.onnx_runtime.measure import Comparison, measure
from backends.onnx_runtime.session import Device, Session, open_session
from backends.verification.cases import make_cases
from compiler.compression.sizes import choose_sizes
from compiler.ir.graph import Graph
from compiler.ir.sizes import SizeSearch
from compiler.program.variant import Target

Array = NDArray[Any]

SAMPLE = 2e-4
"""Seconds that one sample should take at least: shorter calls are repeated within it."""

PATIENCE = 0.6
"""Seconds that the calls of each file should take where candidates are compared."""
LEAST_ROUNDS = 7
"""However long a call takes: the fewest samples with a 95 % interval of their median are six."""
WARM_UP = 5
WINDOWS = 3
"""How often a comparison is made, of which the least disturbed counts."""
WINDOWS_END = 4.0
"""Seconds after which no further window is opened."""


def open_on_target(model: Path | bytes, target: Target) -> Session:
    """A session on the target. Its threads do not spin: two sessions in one process would take
    each other's cores (ResNet-18: 17.5 ms against 9.5 ms)."""
    device = Device(target.device)
    return open_session(model, device=device, threads=count_threads(target), spinning=False)


def count_threads(target: Target) -> int:
    """The threads of one operator."""
    return target.threads or os.cpu_count() or 1


def settle_sizes(graphs: Sequence[Graph], target: Target) -> Target:
    """The target with sizes that every net takes, so that all are measured alike: a pass may
    leave a net that needs larger inputs than the others. As it is where there are none."""
    for graph in graphs:
        sizes = choose_sizes(graph, target)
        if all(_takes(other, sizes) for other in graphs):
            return replace(target, sizes=tuple({**dict(target.sizes), **sizes}.items()))
    return target


def _takes(graph: Graph, sizes: Mapping[str, int]) -> bool:
    own = {name: size for name, size in sizes.items() if name in graph.symbols}
    return SizeSearch(graph, own).choose_typical() is not None


def draw_inputs(graph: Graph, target: Target, seed: int = 0) -> dict[str, Array]:
    """Random inputs at the target's sizes, and typical ones where it has none.

    Raises:
        CompileError: the net takes no input of these sizes.
    """
    search = SizeSearch(graph, choose_sizes(graph, target))
    return dict(next(iter(make_cases(graph, search, seed))).inputs)


def time_sessions(
    sessions: Mapping[str, Session],
    inputs: Mapping[str, Mapping[str, Array]],
    *,
    rounds: int = 30,
    patience: float = PATIENCE,
) -> Comparison:
    """Seconds of one call of each session on its inputs, in turns: `rounds` times, or as often as
    `patience` seconds for each session allow, but at least `LEAST_ROUNDS` times."""
    calls = {name: _bind(session, inputs[name]) for name, session in sessions.items()}
    pilot = measure(calls, rounds=3, warmup=1).timings.values()
    fastest = min(timing.median for timing in pilot)
    repeat = max(1, min(100, round(SAMPLE / max(fastest, 1e-9))))
    turn = repeat * sum(timing.median for timing in pilot)
    rounds = min(rounds, max(LEAST_ROUNDS, int(patience * len(calls) / max(turn, 1e-9))))
    return measure(calls, rounds=rounds, repeat=repeat, warmup=min(WARM_UP, rounds // 3))


def time_undisturbed(
    open_all: Callable[[], Mapping[str, Session]],
    inputs: Mapping[str, Mapping[str, Array]],
    *,
    rounds: int,
    patience: float = PATIENCE,
) -> Comparison:
    """Seconds of one call of each session, in turns, in the window of several in which all calls
    together were fastest. What else a host computes slows integers and floats by different
    factors (ResNet-20 in int8: 0.49 of fp32, 0.72 in a bad minute), so turns alone do not cancel
    it; choosing by the sum favours neither side. Every window has sessions of its own, because
    two of one file differ, as memory happens to lie."""
    begun = time.perf_counter()
    found: list[Comparison] = []
    while len(found) < WINDOWS and (not found or time.perf_counter() - begun < WINDOWS_END):
        found.append(time_sessions(open_all(), inputs, rounds=rounds, patience=patience))
    return min(found, key=lambda one: sum(timing.median for timing in one.timings.values()))


def _bind(session: Session, inputs: Mapping[str, Array]) -> Callable[[], object]:
    given = session.cast_inputs({name: inputs[name] for name in session.inputs})
    return lambda: session.run(given)
