"""A small spec with a variant, and the folder that it is built in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backends.onnx_runtime.session import Device
from weft.api import load
from weft.building.build import Build

TRAINED = """
model Net(width: int = 32) {
    input image: f32[batch, 64]
    output logits = image -> dense(width) as stem -> relu -> dense(10) as head
}
data digits {
    source sklearn("digits")
    image = (image / 16) -> reshape([64])
    split random(seed=0), train=60%, val=20%, test=20%
}
train fit of Net on digits {
    minimize cross_entropy(logits, label) with adamw(lr=1e-2)
    metric accuracy = accuracy(logits, label)
    batch 64  epochs 8
}
"""
SHARES = "train=60%, val=20%, test=20%"
"""What the split of `TRAINED` says, to be replaced."""
SPEC = (
    TRAINED
    + """
variant tiny of fit {
    apply PASSES
    target cpu(threads=1), batch=8
    require REQUIRE
}
deploy tiny as onnx { preprocess digits  labels ["{i}" for i in 0..10] }
deploy tiny as onnx { opset 19 }
"""
)
PASSES = "prune(channels=50%) -> quantize(stored8)"
REQUIRE = "test.accuracy >= fit.test.accuracy - 20% and size <= 8KiB"


class Folder:
    """A build folder, and what its last build said."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []

    @property
    def out(self) -> Path:
        return self.path / "out"

    def build(self, passes: str = PASSES, require: str = REQUIRE, spec: str = SPEC) -> None:
        text = spec.replace("PASSES", passes).replace("REQUIRE", require)
        (self.path / "spec.weft").write_text(text)
        self.said = []
        program = load(self.path / "spec.weft").program
        Build(program, self.out, Device.CPU, echo=self.said.append).run()

    def report(self) -> dict[str, Any]:
        sections = json.loads((self.out / "report.json").read_text())["sections"]
        found: dict[str, Any] = next(s for s in sections if s["title"].startswith("variant tiny"))
        return found
