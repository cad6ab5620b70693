"""A small train on a table of numbers, for tests of what commands leave in folders."""

from __future__ import annotations

from pathlib import Path

TABLE = """
model Net() {
    input x: f32[batch, 2]
    output y = x -> dense(64) -> relu -> dense(2) as head
}
data table {
    source csv("table.csv")
    x = concat([reshape(a, [1]), reshape(b, [1])])
    split in_order, train=60%, val=20%, test=20%
}
train fit of Net on table {
    minimize cross_entropy(y, label) with sgd(lr=0.1)
    metric accuracy = accuracy(y, label)
    batch 4
    epochs 1
}
"""


def write_table(folder: Path, spec: str = TABLE) -> Path:
    """The table beside a spec; the path of that."""
    rows = [f"{k / 8},{k % 3},{k % 2}" for k in range(20)]
    (folder / "table.csv").write_text("\n".join(["a,b,label", *rows]) + "\n")
    path = folder / "net.weft"
    path.write_text(spec)
    return path
