"""Sensitivity: how much the outputs suffer when one layer alone computes in integers."""

from __future__ import annotations

from collections.abc import Collection

from compiler.compression.quantization.calibrated import Calibrated
from compiler.compression.quantization.calibration import (
    compare_records,
    first_rows,
    record_outputs,
)
from compiler.compression.quantization.placement import Layer, place

ROWS = 8
"""Rows of the calibration set that each layer is tried on: one evaluation for every layer."""


def measure_sensitivity(known: Calibrated, layers: Collection[Layer]) -> dict[str, float]:
    """For each layer, by name: the ratio of signal to noise at the worst output, in decibels,
    when only this layer is rounded. The lowest is the most sensitive."""
    batches = first_rows(known.batches, ROWS)
    wanted = record_outputs(known.net, batches)
    found = {}
    for layer in layers:
        placement = place(known.net.graph, [layer], layer.path, joins=False)
        ratios = compare_records(wanted, known.build(placement), batches)
        found[layer.name] = min(ratios.values(), default=0.0)
    return found
