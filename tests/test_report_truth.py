"""All forms of a report say the same, and every text has its number in report.json."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from compiler.compression.wording import format_seconds
from compiler.types.units import format_size
from compiler.writing.markup import escape_markdown
from tests.variant_folder import TRAINED
from weft.building.report import format_shares
from weft.cli.main import app

SPEC = (
    TRAINED
    + """
variant tiny of fit {
    apply prune(channels=60%) -> quantize(stored8)
    target cpu(threads=1), batch=8
    require test.accuracy >= fit.test.accuracy - 95% and size <= 8KiB
}
deploy fit as onnx
deploy tiny as onnx { labels ["{i}" for i in 0..10] }
deploy tiny as onnx { opset 19 }
"""
)


class Built:
    """One build and the four forms of its report."""

    def __init__(self, folder: Path) -> None:
        (folder / "spec.weft").write_text(SPEC)
        out = folder / "out"
        command = ["build", str(folder / "spec.weft"), "-o", str(out), "--device", "cpu"]
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        self.terminal = _squeeze(done.output)
        self.markdown = (out / "report.md").read_text()
        self.page = html.unescape((out / "report.html").read_text())
        self.data = json.loads((out / "report.json").read_text())

    def section(self, title: str) -> dict[str, Any]:
        found: dict[str, Any] = next(s for s in self.data["sections"] if s["title"] == title)
        return found


def _squeeze(text: str) -> str:
    """Without spaces: the terminal breaks lines wherever a column ends."""
    return re.sub(r"\s+", "", text)


def _read_markdown(text: str) -> str:
    """What a reader sees: without the signs before signs."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(tmp_path_factory.mktemp("report"))


def test_every_figure_is_the_same_in_all_forms(built: Built) -> None:
    shown = _squeeze(_read_markdown(built.markdown))
    page = _squeeze(built.page)
    count = 0
    for section in built.data["sections"]:
        for what, figure in section["rows"].items():
            said = _squeeze(figure)
            assert said in built.terminal, (what, figure)
            assert said in shown, (what, figure)
            assert said in page or said.partition(":")[2] in page, (what, figure)
            count += 1
    assert count >= 25


def test_every_text_has_its_number(built: Built) -> None:
    section = built.section("variant tiny of fit")
    rows, own, base = section["rows"], section["figures"]["tiny"], section["figures"]["fit"]
    assert rows["size"].startswith(f"{format_size(own['size'])} of {format_size(base['size'])}")
    assert rows["parameters"] == f"{own['params']:,.0f} of {base['params']:,.0f}"
    assert rows["FLOPs"] == f"{own['flops']:,.0f} of {base['flops']:,.0f}"
    assert rows["memory"] == f"{format_size(own['memory'])} of {format_size(base['memory'])}"
    latency = f"{format_seconds(own['latency'])} of {format_seconds(base['latency'])}"
    assert rows["latency"].startswith(f"{latency}: {own['latency'] / base['latency']:.2f} at ")
    assert rows["latency"].endswith("batch=8 (target); cpu, 1 thread")
    assert rows["output error"].startswith(f"{own['error']:.2%}, {own['error_of_spread']:.2%} of")
    accuracy = f"accuracy {own['test']['accuracy']:.4f} (was {base['test']['accuracy']:.4f})"
    assert accuracy in rows["test, ONNX file"]
    assert own["params"] == sum(layer["parameters"] for layer in section["layers"])
    contract, *_ = section["contract"]
    low, high = contract["interval"]
    assert f"95 % interval {low:.4f} to {high:.4f}" in rows[f"require {contract['require']}"]
    assert low <= contract["left"] <= high
    assert contract["gap"] == pytest.approx(contract["left"] - contract["right"])


def test_a_training_has_its_numbers_as_data(built: Built) -> None:
    section = built.section("train fit")
    rows = section["rows"]
    assert rows["parameters"] == f"{section['parameters']:,}" == "2,410"
    assert rows["best epoch"].startswith(f"{section['best_epoch']} of {section['epochs']},")
    assert rows["training time"] == f"{section['seconds']:.1f} s"


def test_files_of_further_deployments_are_told(built: Built) -> None:
    section = built.section("variant tiny of fit")
    (other,) = section["others"]
    size = Path(other["file"]).stat().st_size
    assert other["deploy"] == "tiny_2"
    assert other["size"] == size
    said = section["rows"]["deploy tiny_2"]
    assert said.startswith(f"{other['file']}, {format_size(size)}; NumPy, PyTorch and ONNX Runtime")


def test_threads_are_counted_in_words(built: Built) -> None:
    measured = built.section("deploy fit as onnx")["measured"]["latency"]
    unit = "1 thread" if measured["threads"] == 1 else f"{measured['threads']} threads"
    assert built.section("deploy fit as onnx")["rows"]["latency"].endswith(f"cpu, {unit}")
    assert "1 threads" not in built.markdown


def test_a_large_error_is_named_beside_a_contract_that_holds(built: Built) -> None:
    section = built.section("variant tiny of fit")
    share = section["figures"]["tiny"]["error_of_spread"]
    assert share > 0.2
    said = f"outputs differ by {share:.0%} of their spread"
    title = f"the outputs of `tiny` differ by {share:.0%} of their spread"
    (require,) = [what for what in section["rows"] if "accuracy" in what and "require" in what]
    assert section["rows"][require].startswith("pass: ")
    assert section["rows"][require].endswith(f"; but {said}")
    assert built.data["warnings"] == [title]
    assert f"warning[W1214]:{_squeeze(title)}" in built.terminal
    assert title in built.page
    assert title in _read_markdown(built.markdown)


def test_shares_of_latency_sum_to_a_hundred(built: Built) -> None:
    draw = np.random.default_rng(0)
    for count in (1, 3, 7, 40):
        parts = draw.random(count)
        shown = format_shares([None, *(parts / parts.sum())])
        assert shown[0] == ""
        assert sum(round(10 * float(text[:-1])) for text in shown[1:]) == 1000
        assert all(
            abs(float(text[:-1]) / 100 - share) < 1e-3
            for text, share in zip(shown[1:], parts / parts.sum(), strict=True)
        )
    layers = built.section("variant tiny of fit")["layers"]
    for text in format_shares([layer["share"] for layer in layers]):
        assert f"{text} |" in built.markdown
        assert f"</span> {text}" in built.page


@pytest.mark.parametrize(
    ("text", "written"),
    [("11.2 µs", "11.2 µs"), ("1. first", r"1\. first"), ("2) two", r"2\) two"), ("- x", r"\- x")],
)
def test_numbers_need_no_sign_before_them(text: str, written: str) -> None:
    assert escape_markdown(text) == written
