"""Files that the console sessions of several messages begin with."""

from __future__ import annotations

NET = """\
$ cat net.weft
model Net {
    input x: f32[batch, 3]
    output y = x -> dense(2) as fc
}
"""
"""A net that takes three numbers."""

FIT = """\
$ cat make.py
rows = [f"{k / 8},{k % 3},{k % 2}" for k in range(20)]
with open("table.csv", "w") as file:
    print("a,b,label", *rows, sep="\\n", file=file)
$ python make.py
$ cat fit.weft
data table {
    source csv("table.csv")
    x = stack([a, b])
    split in_order, train=60%, val=20%, test=20%
}
model Net {
    input x: f32[batch, 2]
    output y = x -> dense(8) -> relu -> dense(2) as head
}
train fit of Net on table {
    minimize cross_entropy(y, label) with sgd(lr=0.1)
    metric accuracy = accuracy(y, label)
    batch 4
    epochs 1
}
"""
"""A train on a table of twenty rows."""
