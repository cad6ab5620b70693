"""Int8 against fp32 and against onnxruntime.quantization, on networks for images of 224 x 224.

The rival gets the same float file, with batch norms folded, the same calibration rows, and every
setting that has been the best somewhere; the fastest of them counts.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_runtime.measure import Comparison, measure, pool
from backends.onnx_runtime.session import Device, Session, open_session
from benchmarks.compression import case, report
from benchmarks.networks import IMAGE, Network, elaborate
from compiler.compression.base import CompressionContext
from compiler.compression.context import LayerNote
from compiler.compression.quantization.base import SCHEMES, Scheme
from compiler.compression.quantization.calibrated import fold_norms
from compiler.compression.quantization.int8 import Int8
from compiler.compression.registry import load_compression
from compiler.ir.evaluate import evaluate
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights
from compiler.ops.normalization import BatchNorm
from compiler.program.variant import Target
from weft.building.compression_context import OnnxLatencyMeter
from weft.deployed.exporting import ExportSpec

Array = NDArray[Any]

THREADS = 2
ROWS = 16
OPENINGS, ROUNDS = 5, 12
"""Sessions of one file differ by several percent, as memory happens to lie, so that the fastest of
several settings would be the luckiest one: all are opened anew several times."""
EQUAL_LATENCY = 1.03
"""A rival this much slower or faster than ours is as fast."""
FLOAT = "fp32"
OURS = "weft"


@dataclass(frozen=True)
class Images:
    """Calibration rows: normal numbers with the smoothness of images (neighbours alike)."""

    name: str
    seed: int
    synthetic: bool = True

    def batches(self, rows: int, size: int = 8) -> Iterator[Mapping[str, Array]]:
        draw = np.random.default_rng(self.seed)
        for start in range(0, rows, size):
            count = min(size, rows - start)
            coarse = draw.standard_normal((count, 3, 28, 28)).astype(np.float32)
            fine = 0.3 * draw.standard_normal((count, *IMAGE[1:])).astype(np.float32)
            yield {self.name: np.kron(coarse, np.ones((8, 8), np.float32)) + fine}


@dataclass(frozen=True)
class _Calibrating:
    """A batch norm that normalises by its batch, and keeps the statistics; for the rest it is the
    one that it stands for."""

    op: BatchNorm
    paths: tuple[str, str]
    found: dict[str, Array]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.op, name)

    def substitute(self, sizes: Mapping[str, Any]) -> _Calibrating:
        return self

    def evaluate(self, x: Array, *weights: Array) -> tuple[Array, ...]:
        axes = (0, *range(2, x.ndim))
        mean, variance = x.mean(axis=axes), x.var(axis=axes)
        self.found.update(zip(self.paths, (mean, variance), strict=True))
        return self.op.evaluate(x, *weights[:-2], mean, variance)


def make_net(network: Network) -> WeightedNet:
    """The network with random weights (He et al. 2015 for convolutions), and with the statistics
    of calibration rows in its batch norms: activations are as sane as in a trained network."""
    graph = elaborate(network)
    weights = draw_weights(graph)
    draw = np.random.default_rng(0)
    for path, array in weights.items():
        if array.ndim == 4:
            scale = np.sqrt(2.0 / (array.shape[0] * array[0, 0].size))
            weights[path] = (scale * draw.standard_normal(array.shape)).astype(np.float32)
    found: dict[str, Array] = {}
    nodes = []
    for node in graph.nodes:
        op: Any = node.op
        if isinstance(node.op, BatchNorm):
            mean, variance = (v.name for v in node.inputs[-2:] if v is not None)
            op = _Calibrating(node.op, (mean, variance), found)
        nodes.append(replace(node, op=op))
    batch = next(Images(graph.inputs[0].name, 1).batches(8))
    evaluate(replace(graph, nodes=tuple(nodes)), weights, batch)
    return WeightedNet(graph, {**weights, **found})


def compile_net(net: WeightedNet, path: Path) -> Path:
    """The net as a file with a free batch and sizes that are fixed."""
    fixed = tuple((name, IMAGE[-1]) for name in net.graph.symbols if name != "batch")
    compile_onnx(net.graph, net.weights, path, options=OnnxOptions(fixed=fixed))
    return path


@dataclass(frozen=True)
class _Reader:
    """Calibration rows in the form that onnxruntime.quantization reads."""

    batches: Iterator[Mapping[str, Array]]

    def get_next(self) -> Mapping[str, Array] | None:
        return next(self.batches, None)

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        return self.batches


@dataclass(frozen=True)
class Setting:
    """A way to call onnxruntime.quantization.quantize_static."""

    label: str
    activations: str = "QUInt8"
    per_channel: bool = True
    op_types: tuple[str, ...] | None = None
    form: str = "QDQ"
    method: str = "MinMax"


QUICK = (
    Setting("default (S8S8)", "QInt8", per_channel=False),
    Setting("U8S8 per channel"),
    Setting("U8S8 per channel, layers", op_types=("Conv", "Gemm", "MatMul")),
)
ALL = (
    *QUICK,
    Setting("U8S8 per channel, entropy", method="Entropy"),
    Setting("U8S8 QOperator", form="QOperator"),
)


def quantize_by_rival(
    source: Path, folder: Path, rows: int, settings: Sequence[Setting]
) -> Iterator[tuple[str, Path]]:
    """What onnxruntime.quantization makes of a float file, by settings."""
    from onnxruntime.quantization import (
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    logging.getLogger().setLevel(logging.ERROR)  # it would advise preprocessing each time
    name = open_session(source, device=Device.CPU).inputs[0]
    for setting in settings:
        target = folder / f"{setting.label}.onnx"
        with redirect_stdout(StringIO()):  # it reports progress there
            quantize_static(
                source,
                target,
                _Reader(Images(name, 2).batches(rows)),
                quant_format=QuantFormat[setting.form],
                activation_type=QuantType[setting.activations],
                weight_type=QuantType.QInt8,
                per_channel=setting.per_channel,
                op_types_to_quantize=list(setting.op_types) if setting.op_types else None,
                calibrate_method=CalibrationMethod[setting.method],
            )
        yield f"onnxruntime: {setting.label}", target


def find_sqnr(wanted: Array, found: Array) -> float:
    """Signal to noise in decibels."""
    noise = float(np.square(wanted.astype(np.float64) - found).sum())
    return float(10 * np.log10(float(np.square(wanted.astype(np.float64)).sum()) / noise))


def compare_files(
    files: Mapping[str, Path], batch: Mapping[str, Array]
) -> tuple[Comparison, dict[str, float]]:
    """Interleaved latencies at batch 1, and the signal to noise of each file's output."""
    one = {name: array[:1] for name, array in batch.items()}
    compared = []
    for _ in range(OPENINGS):
        sessions = {
            label: open_session(path, device=Device.CPU, threads=THREADS, spinning=False)
            for label, path in files.items()
        }
        calls = {label: lambda session=s: session.run(one) for label, s in sessions.items()}
        compared.append(measure(calls, rounds=ROUNDS))
    wanted = _only(sessions[FLOAT], batch)
    ratios = {
        label: find_sqnr(wanted, _only(session, batch))
        for label, session in sessions.items()
        if label != FLOAT
    }
    return pool(compared), ratios


def _only(session: Session, batch: Mapping[str, Array]) -> Array:
    (found,) = session.run(batch).values()
    return found


def compare_int8(
    network: Network, bound: float, schemes: Mapping[str, Scheme], settings: Sequence[Setting] = ALL
) -> bool:
    """Prints our latency and the rival's; whether ours keeps the bound and beats the rival."""
    net = make_net(network)
    name = net.graph.inputs[0].name
    sizes = tuple((s, IMAGE[-1]) for s in net.graph.symbols if s != "batch")
    target = Target(threads=THREADS, sizes=sizes)
    clock = OnnxLatencyMeter(net.graph, target, ExportSpec(21))
    context = CompressionContext(target=target, samples=Images(name, 2), latency_meter=clock)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        files = {FLOAT: compile_net(fold_norms(net), folder / "float.onnx")}
        for label, scheme in schemes.items():
            journal: list[LayerNote] = []
            made = scheme.quantize(net, replace(context, journal=journal), None, ())
            for note in journal:
                if note.done.startswith("integer:"):
                    print(f"  {OURS}: {label}: {note.done}")
            files[f"{OURS}: {label}"] = compile_net(made, folder / f"{label}.onnx")
        files.update(quantize_by_rival(files[FLOAT], folder, ROWS, settings))
        compared, ratios = compare_files(files, next(Images(name, 3).batches(8)))
    return _judge(compared, ratios, bound)


def _judge(compared: Comparison, ratios: Mapping[str, float], bound: float) -> bool:
    print(f"  {FLOAT:40} {compared.timings[FLOAT].median * 1e3:8.2f} ms")
    for label, ratio in ratios.items():
        low, high = compared.ratio_interval(label, FLOAT)
        share = compared.ratio(label, FLOAT)
        print(f"  {label:40} {share:6.3f} [{low:.3f}, {high:.3f}]  {ratio:6.2f} dB", flush=True)
    ours = [label for label in ratios if label.startswith(OURS)]
    rivals = [label for label in ratios if label not in ours]
    best = min(ours, key=lambda label: compared.ratio(label, FLOAT))
    rival = min(rivals, key=lambda label: compared.ratio(label, FLOAT))
    holds = report("latency, of fp32", compared.ratio(best, FLOAT), "<=", bound)
    holds &= report(f"latency, of {rival}", compared.ratio(best, rival), "<=", EQUAL_LATENCY)
    equal = [r for r in rivals if compared.ratio(r, best) <= EQUAL_LATENCY]
    if equal:
        loudest = max(ratios[label] for label in equal)
        holds &= report("signal to noise", ratios[best], ">=", loudest, " dB")
    return holds


@case("int8 resnet18")
def compare_resnet18() -> bool:
    """ResNet-18: everything in integers, the first convolution too."""
    network = Network("resnet18", "models/resnet18.weft", "resnet18", IMAGE, 1.0)
    return compare_int8(network, 0.40, {"int8": Int8(rows=ROWS)})


@case("int8 mobilenet_v2")
def compare_mobilenet() -> bool:
    """MobileNet-v2: the first convolutions cost in integers, up to the first bottleneck."""
    network = Network("mobilenet_v2", "models/mobilenet_v2.weft", "mobilenet_v2", IMAGE, 1.0)
    return compare_int8(network, 0.60, {"int8": Int8(rows=ROWS)})


@case("int8 vit_b_16")
def compare_vit() -> bool:
    """ViT-B/16: products with weights alone; static scales or scales found at every call."""
    load_compression()
    dynamic = SCHEMES.get("dynamic")
    schemes: dict[str, Scheme] = {"int8": Int8(rows=ROWS // 2)}
    if dynamic is not None:
        schemes["dynamic"] = dynamic()
    network = Network("vit_b_16", "models/vit_b_16.weft", "vit_b_16", IMAGE, 1.0)
    return compare_int8(network, 0.42, schemes, QUICK)
