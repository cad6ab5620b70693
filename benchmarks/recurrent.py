"""Recurrent cells: loops that are recognised or rewritten against the same loops as they stand in
the spec, and `lstm` and `gru` against PyTorch's.

A loop of a spec is printed and written twice, with the passes on loops and without. What is
compared is a training step (forward and backward) of the generated module, and the latency of the
file under ONNX Runtime. The layers `lstm` and `gru` are compared with `nn.LSTM` and `nn.GRU`, and
with the files that `torch.onnx.export` makes of these. 100 steps, 128 features, states of 128.
Everything runs on one thread, so that the processor's time is what it takes on a machine with
nothing else to do. Within 3 % two sides are as fast as one another.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.measure import Comparison, measure
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.ir.graph import Graph
from compiler.ir.weights import draw_weights
from compiler.passes.hoist_products import HoistProducts
from compiler.passes.pipeline import ONNX_PASSES
from compiler.passes.recognize_cells import RecognizeCells
from weft.api import loads

STEPS, SIZE = 100, 128
ROUNDS = 12
BATCHES = (1, 16)

JOINED = "i, f, g, o = concat([x_t, h], axis=-1) -> dense(512) as gates -> chunk(4, axis=-1)"
GATES = """\
        r = sigmoid((x_t -> dense(128) as xr) + (h -> dense(128) as hr))
        z = sigmoid((x_t -> dense(128) as xz) + (h -> dense(128) as hz))"""
CELLS = {
    "lstm": f"""\
        {JOINED}
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)""",
    "gru": f"""\
{GATES}
        n = tanh((x_t -> dense(128) as xn) + r * (h -> dense(128) as hn))
        h = (1 - z) * n + z * h""",
    "peephole": f"""\
        {JOINED}
        i = sigmoid(i + peep[0] * c)
        f = sigmoid(f + peep[1] * c)
        c = f * c + i * tanh(g)
        h = sigmoid(o + peep[2] * c) * tanh(c)""",
    "coupled": f"""\
        {JOINED}
        k = sigmoid(f)
        c = k * c + (1 - k) * tanh(g) + 0.1 * sigmoid(i)
        h = sigmoid(o) * tanh(c)""",
    "early_gru": f"""\
{GATES}
        n = tanh(concat([x_t, r * h], axis=-1) -> dense(128) as xn)
        h = (1 - z) * n + z * h""",
    "relu": "        h = relu(concat([x_t, h], axis=-1) -> dense(128) as cell)",
}
"""Bodies of loops; all but the first two are cells that PyTorch does not have."""

TRAINING = {
    "lstm": (0.20, 0.55),
    "gru": (0.70, 0.85),
    "peephole": (0.80, 0.90),
    "coupled": (0.80, 0.90),
    "early_gru": (0.80, 0.90),
    "relu": (0.80, 0.90),
}
"""The part of the loop's own training step that is allowed, at each batch."""
LATENCY = {
    "lstm": (0.45, 1.0),
    "gru": (0.45, 1.0),
    "peephole": (0.45, 1.0),
    "coupled": (1.0, 1.0),
    "early_gru": (0.45, 1.0),
    "relu": (1.0, 1.0),
}
"""The same of its latency in ONNX Runtime."""
LAYER_TRAINING, LAYER_LATENCY = 1.05, 1.00
"""What `lstm` and `gru` may take of PyTorch's modules, and of their exported files."""
TIE = 0.03
"""What two sessions of one file differ by, where one side is to be no slower than the other."""


@dataclass
class Tally:
    """Prints what was compared, and keeps whether all bounds hold."""

    holds: bool = True

    def add(self, name: str, batch: int, compared: Comparison, bound: float) -> None:
        """One row: a comparison of `weft` with `rival`."""
        ratio = compared.ratio_within_rounds("weft", "rival")
        low, high = compared.ratio_interval("weft", "rival")
        own, other = (compared.timings[side].median * 1e3 for side in ("weft", "rival"))
        held = ratio <= (bound if bound != 1.0 else bound + TIE)
        self.holds = self.holds and held
        print(
            f"{name:22} {batch:5} {own:9.2f} ms {other:9.2f} ms {ratio:6.3f}"
            f" [{low:.3f}, {high:.3f}] {'<=' if held else '> '} {bound:.2f}",
            flush=True,
        )


@contextmanager
def untouched_loops() -> Any:
    """Loops are printed and written as they stand in the spec."""
    others = [p for p in ONNX_PASSES if not isinstance(p, RecognizeCells | HoistProducts)]
    with ExitStack() as stack:
        stack.enter_context(
            patch("backends.pytorch.classes.fold.fuse_loops", lambda graph: (graph, []))
        )
        stack.enter_context(patch("backends.onnx_graph.compile.ONNX_PASSES", tuple(others)))
        yield


def elaborate_cell(name: str) -> Graph:
    """A model with one loop."""
    body = CELLS[name]
    states = [state for state in "hc" if f"        {state} = " in body]
    starts = "\n".join(f"    {state} = zeros([batch, 128])" for state in states)
    peep = "    param peep: f32[3, 128] = normal(0.1)\n" if "peep" in body else ""
    text = (
        "model M {\n    input x: f32[batch, t, 128]\n"
        f"{peep}{starts}\n    scan x_t in x, axis=1 {{\n{body}\n        emit y = h\n    }}\n"
        "    output y = y\n}\n"
    )
    return loads(text).model("M").net.graph


def make_module(graph: Graph, weights: Mapping[str, Any]) -> nn.Module:
    """The generated module, for training."""
    module = load_module(emit_module([graph], title="M"), graph)
    assign_weights(module, weights)
    return module.train()


def open_file(path: Path) -> Callable[[dict[str, Any]], Any]:
    """What runs a file on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)[0]


def make_step(module: Callable[[Tensor], Tensor], parameters: Any, x: Tensor) -> Callable[[], Any]:
    """Forward and backward."""
    held = list(parameters)

    def step() -> None:
        for parameter in held:
            parameter.grad = None
        module(x).square().mean().backward()

    return step


def draw(batch: int) -> Any:
    """A batch of sequences."""
    return np.random.default_rng(batch).standard_normal((batch, STEPS, SIZE)).astype(np.float32)


def compare_cell(name: str, folder: Path, tally: Tally) -> None:
    """A cell against its loop, in PyTorch and in ONNX Runtime."""
    weights = draw_weights(elaborate_cell(name))
    modules, files = {}, {}
    for side in ("weft", "rival"):
        graph = elaborate_cell(name)
        path = folder / f"{name}_{side}.onnx"
        with ExitStack() as stack:
            if side == "rival":
                stack.enter_context(untouched_loops())
            modules[side] = make_module(graph, weights)
            compile_onnx(graph, weights, path)
        files[side] = open_file(path)
    for place, batch in enumerate(BATCHES):
        x = draw(batch)
        tensor = torch.from_numpy(x)
        made = [module(tensor).detach().numpy() for module in modules.values()]
        np.testing.assert_allclose(*made, atol=1e-4)
        np.testing.assert_allclose(files["weft"]({"x": x}), made[1], atol=1e-4)
        steps = {s: make_step(m, m.parameters(), tensor) for s, m in modules.items()}
        bound = TRAINING[name][place]
        tally.add(f"{name}, training", batch, time_turns(steps, ROUNDS), bound)
        runs = {side: _bind(run, x) for side, run in files.items()}
        bound = LATENCY[name][place]
        tally.add(f"{name}, onnxruntime", batch, time_turns(runs, 3 * ROUNDS), bound)


def time_turns(calls: Mapping[str, Callable[[], Any]], rounds: int) -> Comparison:
    """Processor time of both sides in turns."""
    return measure(calls, rounds=rounds, clock=time.process_time)


def _bind(run: Callable[[dict[str, Any]], Any], x: Any) -> Callable[[], Any]:
    return lambda: run({"x": x})


class First(nn.Module):
    """A recurrent module without its last states."""

    def __init__(self, inner: nn.RNNBase) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Its outputs."""
        made: Tensor = self.inner(x)[0]
        return made


def compare_layer(name: str, folder: Path, tally: Tally) -> None:
    """A layer against PyTorch's module and the file that is exported from it."""
    text = f"model M {{\n    input x: f32[batch, t, 128]\n    output y = x -> {name}(128)\n}}\n"
    graph = loads(text).model("M").net.graph
    weights = draw_weights(graph)
    module = make_module(graph, weights)
    layer = {"lstm": nn.LSTM, "gru": nn.GRU}[name](SIZE, SIZE, batch_first=True)
    layer.load_state_dict(
        {path.rpartition(".")[2]: torch.from_numpy(array) for path, array in weights.items()}
    )
    rival = First(layer)
    paths = {side: folder / f"layer_{name}_{side}.onnx" for side in ("weft", "rival")}
    compile_onnx(graph, weights, paths["weft"])
    torch.onnx.export(
        rival,
        (torch.randn(2, 10, SIZE),),
        str(paths["rival"]),
        dynamo=False,
        input_names=["x"],
        dynamic_axes={"x": {0: "batch", 1: "t"}},
        opset_version=18,
    )
    files = {side: open_file(path) for side, path in paths.items()}
    for batch in BATCHES:
        x = draw(batch)
        tensor = torch.from_numpy(x)
        made = rival(tensor).detach().numpy()
        np.testing.assert_allclose(module(tensor).detach().numpy(), made, atol=1e-4)
        np.testing.assert_allclose(files["weft"]({"x": x}), made, atol=1e-4)
        steps = {
            "weft": make_step(module, module.parameters(), tensor),
            "rival": make_step(rival, rival.parameters(), tensor),
        }
        compared = time_turns(steps, 3 * ROUNDS)
        tally.add(f"nn.{name.upper()}, training", batch, compared, LAYER_TRAINING)
        runs = {side: _bind(run, x) for side, run in files.items()}
        compared = time_turns(runs, 5 * ROUNDS)
        tally.add(f"nn.{name.upper()}, onnxruntime", batch, compared, LAYER_LATENCY)


def main() -> int:
    """Compares all cells and layers, or those named: `gru`, `nn.gru`."""
    torch.set_num_threads(1)
    tally = Tally()
    wanted = sys.argv[1:] or [*CELLS, "nn.lstm", "nn.gru"]
    print("what                   batch        weft        rival  ratio [95 % interval]   bound")
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted:
            if name.startswith("nn."):
                compare_layer(name.removeprefix("nn."), Path(folder), tally)
            else:
                compare_cell(name, Path(folder), tally)
    return int(not tally.holds)


if __name__ == "__main__":
    sys.exit(main())
