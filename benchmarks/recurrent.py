"""Recurrent cells: loops that are recognised or rewritten against the same loops as they stand in
the spec, and `lstm` and `gru` against PyTorch's.

A loop of a spec is printed and written twice, with the passes on loops and without. What is
compared is a training step (forward and backward) of the generated module, and the latency of the
file under ONNX Runtime. The layers `lstm` and `gru` are compared with `nn.LSTM` and `nn.GRU`, and
with the files that `torch.onnx.export` makes of these; `lstm(peephole=true)` and
`rnn(recurrence="diagonal")`, which PyTorch lacks, with a loop that is written by hand. 100 steps,
128 features, states of 128. Everything runs on one thread, so that the processor's time is what it
takes on a machine with nothing else to do. Within 3 % two sides are as fast as one another.
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
from torch.nn import functional

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
LACKING = {
    "peephole": ("lstm(128, peephole=true)", (0.90, 1.0), (0.45, 1.0)),
    "diagonal": ('rnn(128, recurrence="diagonal")', (0.75, 0.75), (0.75, 2.5)),
}
"""Layers that PyTorch lacks, and what they may take of a loop by hand in training, and of the file
that is exported from it, at each batch. ONNX's RNN multiplies the states of the second by a whole
matrix, where its diagonal would do."""
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
    export_module(rival, paths["rival"], 10, {0: "batch", 1: "t"})
    files = {side: open_file(path) for side, path in paths.items()}
    for batch in BATCHES:
        modules = {"weft": module, "rival": rival}
        bounds = LAYER_TRAINING, LAYER_LATENCY
        compare_sides(f"nn.{name.upper()}", modules, files, batch, tally, *bounds)


def export_module(module: nn.Module, path: Path, steps: int, axes: Mapping[int, str]) -> None:
    """The file that PyTorch makes of a module, with sizes that are open."""
    torch.onnx.export(
        module,
        (torch.randn(2, steps, SIZE),),
        str(path),
        dynamo=False,
        input_names=["x"],
        dynamic_axes={"x": dict(axes)},
        opset_version=18,
    )


def compare_sides(
    name: str,
    modules: Mapping[str, nn.Module],
    files: Mapping[str, Callable[[dict[str, Any]], Any]],
    batch: int,
    tally: Tally,
    training: float,
    latency: float,
) -> None:
    """A training step of both modules and a run of both files, which must give the same."""
    x = draw(batch)
    tensor = torch.from_numpy(x)
    made = modules["rival"](tensor).detach().numpy()
    for found in (modules["weft"](tensor).detach().numpy(), *(f({"x": x}) for f in files.values())):
        np.testing.assert_allclose(found, made, atol=1e-4)
    steps = {side: make_step(m, m.parameters(), tensor) for side, m in modules.items()}
    tally.add(f"{name}, training", batch, time_turns(steps, 3 * ROUNDS), training)
    runs = {side: _bind(run, x) for side, run in files.items()}
    tally.add(f"{name}, onnxruntime", batch, time_turns(runs, 5 * ROUNDS), latency)


class PeepholeByHand(nn.Module):
    """An LSTM whose gates see the cell, as its equations are written down."""

    def forward(self, x: Tensor) -> Tensor:
        """Its outputs, rows first."""
        p = dict(self.named_parameters())
        h = c = x.new_zeros(x.shape[0], SIZE)
        outputs = []
        for place in range(x.shape[1]):
            mixed = functional.linear(x[:, place], p["weight_ih_l0"], p["bias_ih_l0"])
            mixed = mixed + functional.linear(h, p["weight_hh_l0"], p["bias_hh_l0"])
            i, f, g, o = mixed.chunk(4, dim=-1)
            to_i, to_f, to_o = p["weight_ch_l0"].chunk(3)
            i, f = torch.sigmoid(i + to_i * c), torch.sigmoid(f + to_f * c)
            c = f * c + i * torch.tanh(g)
            h = torch.sigmoid(o + to_o * c) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs, dim=1)


class DiagonalByHand(nn.Module):
    """A recurrent layer in which each unit feeds back to itself alone."""

    def forward(self, x: Tensor) -> Tensor:
        """Its outputs, rows first."""
        p = dict(self.named_parameters())
        h = x.new_zeros(x.shape[0], SIZE)
        outputs = []
        for place in range(x.shape[1]):
            mixed = functional.linear(x[:, place], p["weight_ih_l0"], p["bias_ih_l0"])
            h = torch.tanh(mixed + p["weight_hh_l0"] * h + p["bias_hh_l0"])
            outputs.append(h)
        return torch.stack(outputs, dim=1)


def compare_lacking(name: str, folder: Path, tally: Tally) -> None:
    """A layer that PyTorch lacks against a loop by hand and the file that is exported from it,
    which has every step, and is for one length."""
    call, training, latency = LACKING[name]
    text = f"model M {{\n    input x: f32[batch, t, 128]\n    output y = x -> {call}\n}}\n"
    graph = loads(text).model("M").net.graph
    weights = draw_weights(graph)
    module = make_module(graph, weights)
    rival = {"peephole": PeepholeByHand, "diagonal": DiagonalByHand}[name]()
    for path, array in weights.items():
        rival.register_parameter(path.rpartition(".")[2], nn.Parameter(torch.from_numpy(array)))
    paths = {side: folder / f"lacking_{name}_{side}.onnx" for side in ("weft", "rival")}
    compile_onnx(graph, weights, paths["weft"])
    export_module(rival, paths["rival"], STEPS, {0: "batch"})
    files = {side: open_file(path) for side, path in paths.items()}
    for place, batch in enumerate(BATCHES):
        modules = {"weft": module, "rival": rival}
        compare_sides(
            f"by hand: {name}", modules, files, batch, tally, training[place], latency[place]
        )


def main() -> int:
    """Compares all cells and layers, or those named: `gru`, `nn.gru`, `by_hand.diagonal`."""
    torch.set_num_threads(1)
    tally = Tally()
    wanted = sys.argv[1:] or [*CELLS, "nn.lstm", "nn.gru", *(f"by_hand.{n}" for n in LACKING)]
    print("what                   batch        weft        rival  ratio [95 % interval]   bound")
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted:
            if name.startswith("nn."):
                compare_layer(name.removeprefix("nn."), Path(folder), tally)
            elif name.startswith("by_hand."):
                compare_lacking(name.removeprefix("by_hand."), Path(folder), tally)
            else:
                compare_cell(name, Path(folder), tally)
    return int(not tally.holds)


if __name__ == "__main__":
    sys.exit(main())
