"""Weight formats: the loss of a small language model in few bits, and the speed of packed layers.

The language model is the trained one of `specs/examples/tiny_gpt.weft`: the weights that
`weft train` left in `output/tiny_gpt/fit`, or new ones, which take about five minutes.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_runtime.measure import Comparison, measure
from backends.onnx_runtime.session import Device, Session, open_session
from benchmarks.compression import case, report
from benchmarks.networks import NETWORKS, ROOT, elaborate
from compiler.compression.base import CompressionContext
from compiler.compression.quantization.base import Scheme
from compiler.compression.quantization.dynamic import Dynamic
from compiler.compression.quantization.stored import Stored4, Stored8
from compiler.compression.quantization.weight_only import Weights4, Weights8
from compiler.driver import check_source
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights, read_weights
from compiler.report.diagnostics import CompileError, Sink
from compiler.report.source import Source

Array = NDArray[Any]

CONTEXT = 64
WINDOWS = 256
"""Windows of the validation text that the loss is taken over."""
ROUNDS = 30
LOSS_INT8, LOSS_INT4 = 0.02, 0.10  # nats
DENSE = """
model Layer(d: int = 768, hidden: int = 3072) {
    input x: f32[rows, d]
    output y = x -> dense(hidden) as fc
}
"""


@dataclass(frozen=True)
class Text:
    """Windows of the training text, for calibration."""

    codes: Array
    synthetic: bool = False

    def batches(self, rows: int, size: int = 32) -> Iterator[Mapping[str, Array]]:
        draw = np.random.default_rng(0)
        for start in range(0, rows, size):
            places = draw.integers(0, len(self.codes) - CONTEXT, min(size, rows - start))
            yield {"tokens": np.stack([self.codes[p : p + CONTEXT] for p in places])}


@case("weights tiny_gpt")
def compare_language_model() -> bool:
    """Loss, size and time of the trained character model in few bits."""
    net = WeightedNet(elaborate(NETWORKS["tiny_gpt"]), find_trained_weights())
    training, validation = read_text()
    samples = Text(training)
    schemes: dict[str, Scheme] = {
        "dynamic": Dynamic(),
        "dynamic, smoothed": Dynamic(smooth=0.5),
        "stored8": Stored8(),
        "weights8": Weights8(),
        "weights4": Weights4(),
        "weights4, gptq": Weights4(rounding="gptq"),
        "stored4": Stored4(),
        "stored4, gptq": Stored4(rounding="gptq"),
        "stored4, codebook": Stored4(codebook=True),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {"fp32": write(net, folder / "fp32.onnx")}
        for label, scheme in schemes.items():
            made = scheme.quantize(net, CompressionContext(samples=samples), None, ())
            files[label] = write(made, folder / f"{label}.onnx")
        files["onnxruntime.quantization"] = quantize_by_rival(files["fp32"], folder)
        return _judge_language_model(files, validation)


def _judge_language_model(files: Mapping[str, Path], validation: Array) -> bool:
    sessions = {label: open_one(path) for label, path in files.items()}
    losses = {label: measure_loss(one, validation) for label, one in sessions.items()}
    one = {"tokens": validation[None, :CONTEXT]}
    timings = race(sessions, one)
    base = files["fp32"].stat().st_size
    print(f"  fp32: {losses['fp32']:.3f} nats, {base / 1e6:.2f} MB")
    held = []
    for label, path in files.items():
        if label == "fp32":
            continue
        ratio, size = timings.ratio(label, "fp32"), path.stat().st_size / base
        print(f"  {label}: {size:.3f} of the size, {ratio:.2f} of the time at batch 1")
        bound = LOSS_INT4 if "4" in label else LOSS_INT8
        raised = losses[label] - losses["fp32"]
        kept = report(f"{label}: loss increase", raised, "<=", bound, " nats")
        if label in ("dynamic", "weights4"):
            held.append(kept)
    rival = timings.ratio("dynamic", "onnxruntime.quantization")
    held.append(report("dynamic against onnxruntime.quantization: time", rival, "<=", 1.05))
    return all(held)


@case("weights layer")
def compare_layers() -> bool:
    """One dense layer, 768 to 3072, on one thread: packed and dynamic against f32."""
    graph = read_model(DENSE)
    net = WeightedNet(graph, draw_weights(graph))
    schemes: dict[str, Scheme] = {
        "weights4": Weights4(),
        "weights8": Weights8(),
        "dynamic": Dynamic(),
    }
    held = []
    with tempfile.TemporaryDirectory() as name:
        files = {"fp32": write(net, Path(name) / "fp32.onnx")}
        for label, scheme in schemes.items():
            made = scheme.quantize(net, CompressionContext(), None, ())
            files[label] = write(made, Path(name) / f"{label}.onnx")
        sessions = {label: open_one(path) for label, path in files.items()}
        for rows, bounds in (
            (1, {"weights4": 0.5, "weights8": 0.6, "dynamic": 0.6}),
            (128, {"weights4": 1.0, "weights8": 1.0, "dynamic": 0.5}),
        ):
            draw = np.random.default_rng(0)
            inputs = {"x": draw.standard_normal((rows, 768)).astype(np.float32)}
            timings = race(sessions, inputs)
            for label, bound in bounds.items():
                ratio = timings.ratio(label, "fp32")
                held.append(report(f"{label} at {rows} rows: time", ratio, "<=", bound))
    return all(held)


# --- files and figures ------------------------------------------------------------------------


def write(net: WeightedNet, path: Path) -> Path:
    """The net as a file with free dims."""
    compile_onnx(net.graph, net.weights, path, options=OnnxOptions())
    return path


def open_one(path: Path) -> Session:
    """A session on one thread."""
    return open_session(path, device=Device.CPU, threads=1, spinning=False)


def race(sessions: Mapping[str, Session], inputs: Mapping[str, Array]) -> Comparison:
    """Times sessions in turns on the same inputs."""

    def call(session: Session) -> Any:
        return lambda: session.run(inputs)

    calls = {label: call(session) for label, session in sessions.items()}
    return measure(calls, rounds=ROUNDS, repeat=3)


def measure_loss(session: Session, codes: Array) -> float:
    """Mean cross-entropy of the next character over windows of a text, in nats."""
    starts = np.linspace(0, len(codes) - CONTEXT - 2, WINDOWS).astype(int)
    total = 0.0
    for part in np.array_split(starts, WINDOWS // 16):
        tokens = np.stack([codes[s : s + CONTEXT] for s in part])
        target = np.stack([codes[s + 1 : s + CONTEXT + 1] for s in part])
        (logits,) = session.run({"tokens": tokens}).values()
        logits = logits - logits.max(axis=-1, keepdims=True)
        picked = np.take_along_axis(logits, target[..., None], axis=-1)[..., 0]
        total += float((np.log(np.exp(logits).sum(axis=-1)) - picked).sum())
    return total / (len(starts) * CONTEXT)


def read_text() -> tuple[Array, Array]:
    """The training and the validation part of the text as codes, as the example splits it."""
    data = ROOT.parent / "shared" / "data" / "tinyshakespeare" / "input.txt"
    text = data.read_text(encoding="utf-8")
    alphabet = sorted(set(text))
    places = {letter: index for index, letter in enumerate(alphabet)}
    codes = np.array([places[letter] for letter in text], np.int64)
    cut = int(0.9 * len(codes))
    return codes[:cut], codes[cut:]


def find_trained_weights() -> dict[str, Array]:
    """Weights of the example, trained if they are not there yet."""
    spec = ROOT / "specs" / "examples" / "tiny_gpt.weft"
    folder = ROOT / "output" / "tiny_gpt"
    path = folder / "fit" / "best.safetensors"
    if not path.is_file():
        code = "from weft.cli.main import main; main()"
        command = [sys.executable, "-c", code, "train", str(spec), "-o", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True)
    return read_weights(path)


def read_model(text: str) -> Graph:
    """The graph of a spec given as text.

    Raises:
        CompileError: the spec has errors.
    """
    sink = Sink()
    program = check_source(Source("benchmark.weft", text), sink=sink)
    if program is None or sink.has_errors:
        raise CompileError(sink.messages)
    return next(iter(program.models.values())).graph


def quantize_by_rival(source: Path, folder: Path) -> Path:
    """What onnxruntime.quantization makes of a file by dynamic quantization."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    logging.getLogger().setLevel(logging.ERROR)  # it would advise preprocessing each time
    prepared, path = folder / "prepared.onnx", folder / "rival.onnx"
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_dynamic(prepared, path, per_channel=True, weight_type=QuantType.QInt8)
    return path
