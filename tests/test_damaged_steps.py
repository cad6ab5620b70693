"""Files that a build keeps of its steps, damaged in any way: made again, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compiler.compression.context import LayerNote
from compiler.compression.contracts import Measured, Spread
from tests.quantizing import make_net
from weft.building.outcomes import (
    Figures,
    LayerRow,
    read_figures,
    read_layers,
    write_figures,
    write_layers,
)
from weft.results.nets import ENDINGS, read_net, write_net

MODEL = """model M() {
    input x: f32[batch, 8]
    output y = x -> dense(4) as a -> relu -> dense(2) as b
}"""
TEXTS = (
    b"",
    b"{",
    b"null",
    b"3",
    b"[[1], {}]",
    b'{"a": []}',
    b"\xff\xfe",
    b"[" * 100_000,
    b"9" * 5000,
)


def damage(content: bytes) -> Iterator[bytes]:
    """What a crash, a full disk or an editor may leave."""
    yield from TEXTS
    draw = np.random.default_rng(0)
    for _ in range(60):
        yield content[: draw.integers(len(content))]
        spoiled = bytearray(content)
        for place in draw.integers(len(content), size=draw.integers(1, 4)):
            spoiled[place] = draw.integers(256)
        yield bytes(spoiled)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_damaged_net_is_made_again(ending: str, tmp_path: Path) -> None:
    net = make_net(MODEL)
    notes = [
        LayerNote("prune", "a", True, "small", (("bits", 8.0),), net.graph.nodes[0].origin.span)
    ]
    write_net(net, notes, tmp_path / "net")
    known = read_net(tmp_path / "net", net.graph)
    assert known is not None
    assert known[1] == notes
    path = tmp_path / f"net{ending}"
    content = path.read_bytes()
    for spoiled in damage(content):
        path.write_bytes(spoiled)
        found = read_net(tmp_path / "net", net.graph)
        assert found is None or found[0].graph.parameters is not None
        assert found is None or spoiled not in TEXTS
    path.unlink()
    assert read_net(tmp_path / "net", net.graph) is None


def test_numbers_of_another_net_are_not_taken(tmp_path: Path) -> None:
    net, other = make_net(MODEL), make_net(MODEL.replace("dense(4)", "dense(5)"))
    write_net(net, [], tmp_path / "net")
    write_net(other, [], tmp_path / "other")
    (tmp_path / "other.safetensors").replace(tmp_path / "net.safetensors")
    assert read_net(tmp_path / "net", net.graph) is None


def test_damaged_figures_are_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    measured = Measured(0.5, Spread.ROWS, np.array([0.25, 0.75]), 2)
    figures = {"fit": Figures({"size": Measured(3)}, {"test": {"accuracy": measured}})}
    write_figures(path, figures, {"threads": 1})
    known = read_figures(path)
    assert known is not None
    assert known[0]["fit"].metadata() == figures["fit"].metadata()
    content = path.read_bytes()
    for spoiled in damage(content):
        path.write_bytes(spoiled)
        assert read_figures(path) is None or spoiled not in TEXTS
    for name, value in (("figures", []), ("conditions", 3), ("conditions", None)):
        path.write_text(json.dumps({**json.loads(content), name: value}))
        assert read_figures(path) is None
    for old, new in (
        ("0.5", '"0.5"'),
        ("[0.25", '["a"'),
        ("[0.25", "[[0.25]"),
        ('"spread": "rows"', '"spread": "?"'),
    ):
        path.write_text(content.decode().replace(old, new))
        assert content.decode() != path.read_text()
        assert read_figures(path) is None


def test_damaged_layers_are_described_again(tmp_path: Path) -> None:
    path = tmp_path / "layers.json"
    row = LayerRow("a", "dense", "[8, 4]", 36, 36, notes=("prune",))
    write_layers(path, [row, replace(row, path="b")])
    assert read_layers(path) == [row, replace(row, path="b")]
    content = path.read_bytes()
    for spoiled in damage(content):
        path.write_bytes(spoiled)
        assert read_layers(path) is None or spoiled not in TEXTS
