"""torchvision's models on a CPU build of torch: an oracle that others wrote."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

_LIBRARIES: list[Any] = []


@cache
def import_models() -> Any:
    """`torchvision.models` without its compiled part, whose operators are declared instead: the
    published build expects CUDA's torch, and beside another it fails, or ends the process."""
    spec = importlib.util.find_spec("torchvision")
    assert spec is not None
    assert spec.origin is not None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for source in Path(spec.origin).parent.rglob("*.py"):
        text = source.read_text(encoding="utf-8")
        for name in set(re.findall(r'register_fake\("torchvision::(\w+)"', text)):
            if not hasattr(torch.ops.torchvision, name):
                library.define(f"{name}(Tensor x) -> Tensor")
    with patch.object(torch.ops, "load_library", side_effect=OSError):
        import torchvision.models

    _LIBRARIES.append(library)  # its operators go when it does
    return torchvision.models


def make_model(name: str, seed: int = 0) -> Any:
    """A model with random weights that leave no layer dead: torchvision starts with heads of
    zeros and batch norms that change nothing."""
    torch.manual_seed(seed)
    model = getattr(import_models(), name)(weights=None).eval()
    with torch.no_grad():
        for path, tensor in model.state_dict().items():
            if path.endswith("running_var"):
                tensor.uniform_(0.9, 1.1)
            elif not tensor.is_floating_point():
                continue  # places of windows
            elif path.endswith("running_mean") or path.startswith("heads.") or tensor.dim() == 1:
                tensor.add_(0.02 * torch.randn(tensor.shape))
    return model
