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

_SPEC = """\
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

FIT = f"""\
$ cat make.py
rows = [f"{{k / 8}},{{k % 3}},{{k % 2}}" for k in range(20)]
with open("table.csv", "w") as file:
    print("a,b,label", *rows, sep="\\n", file=file)
$ python make.py
{_SPEC}"""
"""A train on a table of twenty rows."""


def fit(*changes: tuple[str, str]) -> str:
    """The same with texts in place of others."""
    return _replace(FIT, changes)


def change_fit(*changes: tuple[str, str]) -> str:
    """The spec alone with texts in place of others, in a folder that has the table."""
    return _replace(_SPEC, changes)


def behind(*lines: str) -> tuple[str, str]:
    """The change that puts lines behind the train."""
    end = "epochs 1\n}\n"
    return end, end + "".join(f"{line}\n" for line in lines)


def _replace(text: str, changes: tuple[tuple[str, str], ...]) -> str:
    for old, new in changes:
        if old not in text:
            raise ValueError(f"the session has no {old!r}")
        text = text.replace(old, new)
    return text


BUILT = (
    fit(
        ("{k % 3}", "{'abc'[k % 3]}"),
        ("stack([a, b])", "concat([stack([a]), one_hot(b, dtype=f32)])"),
        ("f32[batch, 2]", "f32[batch, 4]"),
        ("lr=0.1", "lr=lr"),
        ("train fit of", "train fit(lr: float = 0.1) of"),
        behind("deploy fit as onnx { dynamic batch }"),
    )
    + "$ weft build fit.weft -o out\n"
)
"""The build of a train on a table with a column of words."""


def homes(
    *cells: str,
    options: str = "",
    line: str = "half = area / 2",
    split: str = "in_order, train=50%, val=50%",
) -> str:
    """A session that checks data of a table with a column `area`: its cells, the options of
    its source, a line that reads it, and how the rows are divided."""
    rows = "".join(f"{number},{cell}\n" for number, cell in enumerate(cells, 1))
    return f"""\
$ cat homes.csv
id,area
{rows}{change_homes(options, line, split)}"""


def change_homes(
    options: str = "",
    line: str = "half = area / 2",
    split: str = "in_order, train=50%, val=50%",
) -> str:
    """The same with another spec, in a folder that has the table."""
    return f"""\
$ cat homes.weft
data homes {{
    source csv("homes.csv"{options and f", {options}"})
    {line}
    split {split}
}}
$ weft check homes.weft --data
"""


def pets(source: str, *images: tuple[str, int, int]) -> str:
    """A session that checks data of images: how the spec reads them, and the path, height and
    width of each."""
    folders = sorted({path.rpartition("/")[0] for path, _, _ in images})
    saved = "".join(
        f'Image.new("L", ({width}, {height})).save("{path}")\n' for path, height, width in images
    )
    return f"""\
$ mkdir {" ".join(folders)}
$ cat make.py
from PIL import Image

{saved}$ python make.py
{change_pets(source)}"""


def change_pets(source: str) -> str:
    """The same with another spec, in a folder that has the images."""
    return f"""\
$ cat pets.weft
data pets {{
    {source}
    split in_order, train=50%, val=50%
}}
$ weft check pets.weft
"""


HOMES_FILE = """\
$ cat homes.csv
kind,area
flat,50
barn,300
house,120
flat,70
$ cat homes.weft
data homes {
    source csv("homes.csv")
    x = concat([one_hot(kind, dtype=f32), stack([area / 100])])
    split in_order, train=75%, val=25%
}
model Price {
    input x: f32[batch, 4]
    output price = x -> dense(1) as head
}
net priced = Price()
deploy priced as onnx { preprocess homes }
$ weft compile homes.weft -o out --onnx
"""
"""The file of a net with the weights that its layers begin with, which takes raw rows."""


def run_homes(*lines: str) -> str:
    """A session that gives it a table of these lines."""
    table = "".join(f"{line}\n" for line in lines)
    return f"$ cat rows.csv\n{table}$ weft run out/priced.onnx rows.csv\n"


MODEL = f"""\
{NET}$ weft compile net.weft -o out --onnx --no-verify
"""
"""The ONNX file of a net, with the weights that its layers begin with."""
DRAWN = f"""\
{NET}net drawn = Net()
deploy drawn as onnx {{ dynamic batch }}
"""
"""The net and a deployment of it, with the weights that its layers begin with."""

FC = '"fc.weight": np.zeros((2, 3), "f4"), "fc.bias": np.zeros(2, "f4")'
"""The entries of a weights file that fits the net."""


def save_weights(entries: str, path: str = "fc.safetensors") -> str:
    """A session that writes a weights file, with arrays by name."""
    return f"""\
$ cat save.py
import numpy as np
from safetensors.numpy import save_file

weights = {{{entries}}}
save_file(weights, "{path}")
$ python save.py
"""


def load_weights(options: str, path: str = "fc.safetensors", layer: str = "dense(2)") -> str:
    """A session that compiles a net whose weights are loaded."""
    return f"""\
$ cat net.weft
model Net {{
    input x: f32[batch, 3]
    output y = x -> {layer} as fc
}}
net loaded = Net() -> load("{path}"{options and f", {options}"})
$ weft compile net.weft -o out --item loaded --pytorch
"""


def tiny(
    passes: str,
    require: str,
    target: str = "",
    *,
    layer: str = "dense(16) as a -> relu -> dense(2) as b",
    input: str = "f32[batch, 8]",
    rest: str = "",
) -> str:
    """The spec of a net with the weights that its layers begin with, and of a variant of it."""
    clauses = "".join(f"    {clause}\n" for clause in (target, f"require {require}") if clause)
    return f"""\
$ cat net.weft
model Net {{
    input x: {input}
    output y = x -> {layer}
}}
net drawn = Net()
variant tiny of drawn {{
    apply {passes}
{clauses}}}
{rest}"""
