"""The PyTorch code of nets with weights in few bits: clean under ruff, and as it should read."""

from __future__ import annotations

from pathlib import Path

from backends.pytorch.modules import emit_module
from compiler.compression.quantization.dynamic import Dynamic
from compiler.compression.quantization.weight_only import Weights4
from tests.pytorch_compare import assert_clean
from tests.quantizing import make_net
from tests.weight_formats import DENSE, IMAGES, STORED, TOKENS, apply


def test_generated_code_is_clean(tmp_path: Path) -> None:
    tried = [(IMAGES, scheme) for scheme in STORED] + [(TOKENS, scheme) for scheme in DENSE]
    for number, (text, scheme) in enumerate(tried):
        made = apply(scheme, make_net(text))
        source = emit_module([made.graph], title="A net")
        (tmp_path / f"net{number}.py").write_text(source, encoding="utf-8")
    assert_clean(tmp_path)


def test_layers_are_modules_with_the_widths_of_their_block() -> None:
    net = make_net(TOKENS)
    dynamic = emit_module([apply(Dynamic(), net).graph], title="A net")
    assert "self.in_proj = DynamicLinear(d, 3 * d)" in dynamic
    assert dynamic.count("class DynamicLinear(nn.Module):") == 1
    assert "def round_to_bytes(x: Tensor) -> Tensor:" in dynamic
    packed = emit_module([apply(Weights4(), net).graph], title="A net")
    assert "self.in_proj = PackedLinear(d, 3 * d, 32, middle=8)" in packed
    assert "round_to_bytes" not in packed
    assert "weft" not in packed.partition('"""\n')[2]
