"""What a file may hold besides weights: buffers that follow from sizes, and tied copies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from compiler.ir.weights import COUNTER, StoredTensor

PLACES = {
    "position_ids": "places of a sequence",
    "relative_position_index": "places in a window",
}
"""Buffers of whole numbers that follow from sizes."""
FREQUENCIES = "inv_freq"
MASK_VALUE = "masked_bias"


def find_surplus(found: Iterable[str], known: Iterable[str]) -> list[str]:
    """Paths of a file that a net does not have. The counters of PyTorch's batch norms, which no
    output depends on, may stand beside the statistics that they belong to."""
    paths = set(known)
    return sorted(path for path in found if path not in paths and not _is_counter(path, paths))


def _is_counter(path: str, known: Collection[str]) -> bool:
    layer, _, name = path.rpartition(".")
    return name == COUNTER and f"{layer}.running_mean".lstrip(".") in known


def explain_left_out(
    surplus: Iterable[str],
    found: Mapping[str, StoredTensor],
    chosen: Mapping[str, StoredTensor],
) -> dict[str, str]:
    """Why tensors that a net does not have may be left out: buffers that follow from sizes, and
    copies of weights that the net has; those that are neither are not among the result."""
    reasons = {}
    for path in surplus:
        reason = _explain_buffer(path, found[path])
        if reason is None:
            twin = _find_twin(found[path], chosen)
            reason = f"the same numbers as {twin}" if twin is not None else None
        if reason is not None:
            reasons[path] = reason
    return reasons


def _explain_buffer(path: str, tensor: StoredTensor) -> str | None:
    """What buffer of PyTorch a tensor is, by its name, kind and shape."""
    name, shape, kind = path.rpartition(".")[2], tensor.shape, tensor.dtype.kind
    if name in PLACES and kind in "iu":
        return PLACES[name]
    if name == FREQUENCIES and kind == "f" and len(shape) == 1:
        return "frequencies of rotary positions"
    if name == MASK_VALUE and kind == "f" and shape in ((), (1,)):
        return "the score of what is masked"
    if name == "bias" and len(shape) == 4 and shape[:2] == (1, 1) and shape[2] == shape[3] > 1:
        causal = np.tri(shape[2], dtype=bool)
        return "a causal mask" if np.array_equal(tensor.read()[0, 0], causal) else None
    return None


def _find_twin(tensor: StoredTensor, chosen: Mapping[str, StoredTensor]) -> str | None:
    """A weight with the same numbers, which are not all one number: a tied head."""
    if len(tensor.shape) != 2 or 0 in tensor.shape:
        return None
    numbers = None
    for path, other in chosen.items():
        if other.shape != tensor.shape or other.dtype != tensor.dtype:
            continue
        numbers = tensor.read() if numbers is None else numbers
        if np.all(numbers == numbers.flat[0]):
            return None
        if np.array_equal(numbers, other.read()):
            return path
    return None
