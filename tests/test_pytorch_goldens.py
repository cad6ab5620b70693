"""Generated modules as a person would have written them: golden texts that are run."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.pytorch.modules import emit_module
from compiler.ir.graph import Graph
from tests.conftest import Golden
from tests.elaborating import elaborate_file
from tests.pytorch_compare import assert_clean, assert_means_the_same

ROOT = Path(__file__).resolve().parents[1]
GOOD = ROOT / "tests" / "good" / "pytorch"
PUBLISHED = {"resnet18": "ResNet18", "vit_b_16": "ViT", "alexnet": "AlexNet"}
SIZES = {
    "unet": {"batch": 2},
    "shared_net": {"batch": 3},
    "recurrent": {"batch": 2, "t": 4},
    "odd_names": {"batch": 2},
    "recursion": {"batch": 1, "h": 44, "w": 53},
    "tied": {"batch": 2},
    "bare_loops": {"b": 2},
    "text_encoder": {"batch": 2, "t": 5},
    "text_writer": {"batch": 2, "t": 5},
    "windows": {"batch": 2},
    "dense_blocks": {"batch": 2, "h": 24, "w": 32},
    "skip_lists": {"batch": 2},
    "dilated": {"batch": 2},
    "layer_starts": {"batch": 2},
    "ordering": {"batch": 2, "edges": 3},
    "shared_bias": {"batch": 2},
    "modes": {"batch": 2},
}
LONGEST = {
    "resnet18": 60,
    "unet": 72,
    "shared_net": 60,
    "vit_b_16": 115,
    "text_encoder": 88,
    "text_writer": 76,
    "windows": 130,
    "dense_blocks": 85,
    "skip_lists": 65,
    "dilated": 55,
    "layer_starts": 75,
    "shared_bias": 100,
}


def find_graph(name: str) -> Graph:
    path = GOOD / name / "spec.weft"
    if name in PUBLISHED:
        path = ROOT / "specs" / "models" / f"{name}.weft"
    nets, messages = elaborate_file(path)
    assert not messages, [m.text.title for m in messages]
    return nets[PUBLISHED.get(name, next(iter(nets)))].graph


@pytest.mark.parametrize("name", [*PUBLISHED, *SIZES])
def test_the_text_is_the_golden_one(name: str, golden: Golden) -> None:
    text = emit_module([find_graph(name)], title=name)
    golden.check(GOOD / name / "model.py", text)
    assert len(text.splitlines()) <= LONGEST.get(name, 200)


@pytest.mark.parametrize("name", SIZES)
def test_a_golden_module_means_what_its_graph_means(name: str) -> None:
    assert_means_the_same(find_graph(name), SIZES[name])


def test_ruff_would_change_nothing_in_the_goldens() -> None:
    assert_clean(GOOD)


def test_every_golden_is_used() -> None:
    assert {path.name for path in GOOD.iterdir()} == {*PUBLISHED, *SIZES}
