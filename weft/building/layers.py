"""The layers of a variant in the report: shapes, parameters, bits, rank, sensitivity, latency."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.onnx_runtime.profile import profile_kernels
from compiler.compression.context import LayerNote, Samples
from compiler.compression.quantization.calibrated import fold_norms
from compiler.compression.selecting import layer_path
from compiler.ir.cost import is_weight, summarize
from compiler.ir.evaluate import bind_sizes, evaluate
from compiler.ir.graph import Graph, Node, Parameter
from compiler.ir.weighted_net import WeightedNet
from weft.building.figures import Candidate
from weft.building.outcomes import LayerRow
from weft.building.timing import count_threads, draw_inputs
from weft.building.variants import VariantBuild

Array = NDArray[Any]

MOST_ROWS = 64
"""Rows on which the noise of each layer is measured."""
LEAST_ROWS = 4
MOST_WORK = 5e10
"""Multiply-adds of the base on these rows: beyond, there are fewer, down to the least. A row of a
large network has so many values in every layer that a few rows tell as much."""
MOST_BYTES = 1 << 28
"""What all values of the rows that are computed together should take."""


OTHER = "(other)"
"""The row of the kernels that no layer with weights accounts for; no path has brackets."""


def describe_layers(build: VariantBuild, own: Candidate, base: Candidate) -> list[LayerRow]:
    """A row for each layer of the net before any pass that has weights, and for each new one."""
    before, after = count_parameters(base.net.graph), count_parameters(own.net.graph)
    noise = measure_noise(build, own.net, base.net)
    shares = measure_shares(build, own)
    notes: dict[str, list[LayerNote]] = defaultdict(list)
    for note in build.journal:
        if not note.trial:
            notes[note.path].append(note)
    rows = []
    told: set[str] = set()
    for path, (kind, shape, count) in after.items():
        figures = collect_figures(path, notes)
        old = next((p for p in before if path == p or path.startswith(f"{p}.")), None)
        first = old is not None and old not in told  # the first of the factors of a layer
        told |= {old} if old is not None else set()
        rows.append(
            LayerRow(
                path,
                kind,
                shape,
                count,
                before[old][2] if old is not None and first else 0,
                _as_int(figures.get("bits")),
                _as_int(figures.get("rank")),
                noise.get(path, figures.get("sqnr")),
                shares.get(path),
                tuple(_describe(note) for note in notes.get(path, ())),
            )
        )
    if OTHER in shares:
        rows.append(LayerRow(OTHER, "", "", 0, 0, share=shares[OTHER]))
    return rows


def _as_int(value: float | None) -> int | None:
    return int(value) if value is not None else None


def _describe(note: LayerNote) -> str:
    """`prune: 16 -> 8 channels`, `quantize: float: too little noise margin`."""
    text = note.done or "left as it is"
    return f"{note.step}: {text}" + (f" ({note.reason})" if note.reason else "")


def collect_figures(path: str, notes: Mapping[str, Sequence[LayerNote]]) -> dict[str, float]:
    """Figures of a layer from all passes; later ones win. A factor has those of its layer."""
    found: dict[str, float] = {}
    for owner, own in notes.items():
        if owner and (path == owner or path.startswith(f"{owner}.")):
            for note in own:
                found |= dict(note.figures)
    return found


def count_parameters(graph: Graph) -> dict[str, tuple[str, str, int]]:
    """Kind, shape of the largest weight, and numbers in all weights, by the layer that owns them
    by their paths; a weight of the model itself stands alone."""
    kinds = {layer_path(node): node.op.name for node in graph.nodes}
    owned: dict[str, list[Parameter]] = defaultdict(list)
    for parameter in filter(is_weight, graph.parameters):
        owner = parameter.path.rpartition(".")[0]
        owned[owner if owner in kinds or owner else parameter.path].append(parameter)
    found = {}
    for path, parameters in owned.items():
        sizes = [p.value.type.size.known or 0 for p in parameters]
        largest = parameters[sizes.index(max(sizes))]
        shape = "×".join(str(d) for d in largest.value.type.shape)
        found[path] = (kinds.get(path, ""), shape, sum(sizes))
    return found


# --- noise --------------------------------------------------------------------------------------


def measure_noise(build: VariantBuild, own: WeightedNet, base: WeightedNet) -> dict[str, float]:
    """Signal to noise in decibels at the output of every layer that kept its shape: the power of
    the base's output over that of the difference. None where nothing changed."""
    samples = build.make_context(None).samples
    if samples is None:
        return {}
    # Quantization folds batch norms: layers are compared with their norms, whoever folded them.
    found, expected = fold_norms(own), fold_norms(base)
    power: dict[str, float] = defaultdict(float)
    error: dict[str, float] = defaultdict(float)
    for batch in _draw_rows(base.graph, samples):
        signals = _watch(expected, batch)
        for path, array in _watch(found, batch).items():
            signal = signals.get(path)
            if signal is not None and array.shape == signal.shape:
                noise = np.asarray(np.subtract(signal, array, dtype=np.float64))
                power[path] += float(np.sum(np.square(signal, dtype=np.float64)))
                error[path] += float(np.sum(np.square(noise, out=noise)))
    return {
        path: 10 * float(np.log10(power[path] / error[path]))
        for path in power
        if power[path] and error[path]
    }


def _draw_rows(graph: Graph, samples: Samples) -> Iterator[Mapping[str, Array]]:
    """Rows to measure noise on, as many together as memory allows."""
    first = next(iter(samples.batches(1, 1)), None)
    if first is None:
        return iter(())
    sizes, summary = bind_sizes(graph, first), summarize(graph)
    work = summary.multiply_adds.evaluate(sizes)
    rows = int(np.clip(MOST_WORK / max(work, 1), LEAST_ROWS, MOST_ROWS))
    together = MOST_BYTES // max(1, summary.activation_bytes.evaluate(sizes))
    return iter(samples.batches(rows, max(1, min(rows, together))))


def _watch(net: WeightedNet, batch: Mapping[str, Array]) -> dict[str, Array]:
    """The output of the last node of every layer."""
    found: dict[str, Array] = {}

    def keep(node: Node, results: tuple[Array, ...]) -> None:
        if np.issubdtype(results[0].dtype, np.floating):
            found[layer_path(node)] = results[0]

    evaluate(net.graph, net.weights, batch, watch=keep)
    return found


# --- latency ------------------------------------------------------------------------------------


def measure_shares(build: VariantBuild, own: Candidate) -> dict[str, float]:
    """The share of each layer in the time that ONNX Runtime spends in kernels on the CPU. What no
    layer with weights accounts for is the share of `OTHER`: the sum is 1."""
    target = build.target
    inputs = draw_inputs(own.graph, target)
    spent = profile_kernels(own.path, inputs, threads=count_threads(target))
    total = sum(spent.values())
    paths = sorted(count_parameters(own.net.graph), key=len, reverse=True)
    shares: dict[str, float] = defaultdict(float)
    for names, time in spent.items():
        path = next((p for name in names for p in paths if _belongs(name, p)), None)
        if total:
            shares[OTHER if path is None else path] += time / total
    return dict(shares)


def _belongs(name: str, path: str) -> bool:
    """Whether a node of a file was made for a layer."""
    return name == path or name.startswith((f"{path}.", f"{path}/"))
