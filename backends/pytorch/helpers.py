"""Functions that generated modules bring along, because PyTorch has none that says the same."""

from __future__ import annotations

import re
from collections.abc import Mapping

HELPERS: Mapping[str, str] = {
    "round_to_bytes": '''\
def round_to_bytes(x: Tensor) -> Tensor:
    """What x is worth in 256 levels between its least and its greatest number and 0."""
    low, high = x.min().clamp(max=0), x.max().clamp(min=0)
    scale = (high - low) / 255
    scale = torch.where(scale == 0, 1.0, scale)
    zero_point = (-low / scale).round()
    levels = ((x / scale).round() + zero_point).clamp(0, 255)
    return (levels - zero_point) * scale
''',
}
"""Their text, by name."""


def find_helpers(text: str) -> list[str]:
    """The texts of the functions that code calls, in order of their names."""
    return [
        source.rstrip("\n")
        for name, source in sorted(HELPERS.items())
        if re.search(rf"(?<![\w.]){name}\(", text)
    ]
