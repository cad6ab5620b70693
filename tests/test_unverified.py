"""Files that fail verification are not left behind; `verify off` keeps them, and says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compiler.ops.activation import Relu
from compiler.ops.rounding import Abs
from compiler.report.diagnostics import CompileError
from weft.cli.main import app

NET = """model Net() {
    input x: f32[batch, 4]
    output y = x -> dense(3) as fc -> relu
}
"""
DEPLOYED = NET + "deploy Net as onnx"
OFF = DEPLOYED + " { verify off }"
VARIANT = (
    NET.replace("dense(3)", "dense(400)")
    + "variant small of Net { apply quantize(float16)  require size <= 900KiB }\n"
)


def run(folder: Path, spec: str, command: str) -> tuple[int, str]:
    (folder / "net.weft").write_text(spec)
    out = ["-o", str(folder / "out")]
    done = CliRunner().invoke(app, [command, str(folder / "net.weft"), *out, "--device", "cpu"])
    error = done.exception
    said = " ".join(m.code for m in error.messages) if isinstance(error, CompileError) else ""
    return done.exit_code, done.output + said


def files(folder: Path) -> set[str]:
    found = (folder / "out").rglob("*")
    made = {str(path.relative_to(folder / "out")) for path in found if path.is_file()}
    return made - {".weft/code.json"}


@pytest.fixture
def wrong_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Relu that is written as something else."""
    monkeypatch.setattr(Relu, "onnx", lambda self, build, outputs, x: [build.op("Abs", [x.value])])


@pytest.fixture
def wrong_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Relu, "torch", lambda self, node: Abs().torch(node))


@pytest.mark.parametrize("command", ["compile", "build"])
def test_a_wrong_file_is_not_left_behind(command: str, tmp_path: Path, wrong_onnx: None) -> None:
    status, said = run(tmp_path, DEPLOYED, command)
    assert status == 1
    assert "W0810" in said
    assert not any(name.endswith(".onnx") for name in files(tmp_path))
    if command == "compile":
        assert f"took {tmp_path / 'out' / 'Net.onnx'} away again" in said


@pytest.mark.parametrize("command", ["compile", "build"])
def test_nor_is_an_older_one_under_its_name(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, DEPLOYED, command)[0] == 0
    assert "Net.onnx" in files(tmp_path)
    monkeypatch.setattr(Relu, "onnx", lambda self, build, outputs, x: [build.op("Abs", [x.value])])
    status, _ = run(tmp_path, DEPLOYED.replace("dense(3)", "dense(5)"), command)
    assert status == 1
    assert "Net.onnx" not in files(tmp_path)


def test_nor_one_that_cannot_be_judged(tmp_path: Path) -> None:
    spec = DEPLOYED.replace("x: f32[batch, 4]", "x: i64[batch]").replace(
        "x -> dense(3) as fc", "(x * 0 + 7) -> embedding(5, 3) as fc"
    )
    status, said = run(tmp_path, spec, "compile")
    assert status == 1
    assert "W1250" in said
    assert "Net.onnx" not in files(tmp_path)


def test_a_wrong_module_is_not_left_behind_either(tmp_path: Path, wrong_torch: None) -> None:
    status, _ = run(tmp_path, DEPLOYED, "compile")
    assert status == 1
    assert files(tmp_path) == set()


def test_a_right_module_stays_beside_a_wrong_file(tmp_path: Path, wrong_onnx: None) -> None:
    run(tmp_path, DEPLOYED, "compile")
    assert files(tmp_path) == {"Net.py"}


def test_a_wrong_variant_is_not_left_behind(tmp_path: Path, wrong_onnx: None) -> None:
    status, _ = run(tmp_path, VARIANT, "build")
    assert status == 1
    assert "small.onnx" not in files(tmp_path)


def test_a_compile_without_verification_says_so(tmp_path: Path, wrong_onnx: None) -> None:
    status, said = run(tmp_path, OFF, "compile")
    assert status == 0
    assert "W1251" in said
    assert "NOT VERIFIED" in said
    assert "Net.onnx" in files(tmp_path)


def test_every_form_of_the_report_says_so(tmp_path: Path, wrong_onnx: None) -> None:
    status, said = run(tmp_path, OFF, "build")
    assert status == 0
    assert "NOT VERIFIED" in said
    assert "verify Net: OFF" in said
    markdown = (tmp_path / "out" / "report.md").read_text().splitlines()
    assert "NOT VERIFIED" in markdown[2], "at the head"
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.index("NOT VERIFIED") < page.index("deploy Net")
    facts = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "NOT VERIFIED" in facts["warnings"][0]
    assert facts["sections"][0]["verified"] == {"off": True}


def test_what_is_required_is_measured_all_the_same(tmp_path: Path, wrong_onnx: None) -> None:
    kept = VARIANT + "deploy small as onnx { verify off }"
    status, said = run(tmp_path, kept, "build")
    assert status == 0, said
    assert "require size" in said
    assert "small.onnx" in files(tmp_path)
    status, said = run(tmp_path, kept.replace("900KiB", "10B"), "build")
    assert status == 1, "a contract that does not hold is an error as before"


def test_verification_comes_back_with_its_clause_gone(tmp_path: Path, wrong_onnx: None) -> None:
    assert run(tmp_path, OFF, "build")[0] == 0
    status, said = run(tmp_path, DEPLOYED, "build")
    assert status == 1
    assert "W0810" in said
    assert "Net.onnx" not in files(tmp_path)
