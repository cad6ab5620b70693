"""200 random networks print, run as they mean, and are clean under ruff."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from backends.pytorch.modules import emit_module
from tests.pytorch_compare import assert_clean, assert_means_the_same
from tests.pytorch_random import make_network

SHARE = 50


@pytest.mark.parametrize("share", range(4))
def test_random_networks_run_as_they_mean(share: int, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    for seed in range(share * SHARE, (share + 1) * SHARE):
        graph = make_network(seed)
        text = assert_means_the_same(graph, {"batch": 2, "t": 5}, seed)
        (tmp_path / f"net{seed}.py").write_text(text, encoding="utf-8")
    assert_clean(tmp_path)


def test_random_networks_show_what_the_printer_can_do() -> None:
    """The generator would test little if it made no branch, repeat, or choice of functions."""
    nets = map(make_network, range(60))
    text = "\n".join(emit_module([net], title="x.") for net in nets)
    for sign in (
        "nn.Sequential(",
        "for _ in range(",
        "nn.Identity()",
        " is not None:",
        "        else:",
        "int | None = None",
        "Callable[[Tensor], Tensor]",
        "nn.Parameter(",
        "nn.init.",
        "class Block02(",
    ):
        assert sign in text, sign
