"""Good specs: the graph that each becomes, as text, and read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.ir.printer import print_graph
from compiler.ir.reader import read_graph
from compiler.ops.registry import load_ops
from tests.conftest import Golden
from tests.elaborating import elaborate

GOOD = Path(__file__).parent / "good" / "elaborate"
CASES = sorted(GOOD.glob("*.weft"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_good_spec(path: Path, golden: Golden) -> None:
    nets, messages = elaborate(path.read_text(encoding="utf-8"), path.name)
    assert not messages, [f"{m.code}: {m.text.title}" for m in messages]
    text = "\n".join(print_graph(net.graph) for net in nets.values())
    golden.check(path.with_suffix(".ir"), text)
    for net in nets.values():
        again = read_graph(print_graph(net.graph), load_ops())  # places in the spec are not needed
        assert [type(n.op) for n in again.nodes] == [type(n.op) for n in net.graph.nodes]


def test_every_golden_has_a_spec() -> None:
    assert CASES
    orphans = [p for p in GOOD.glob("*.ir") if not p.with_suffix(".weft").exists()]
    assert not orphans
