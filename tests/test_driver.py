"""The driver: files read, settings overridden, stages printed, and what a check may cost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compiler.driver import STAGES, check, check_source
from compiler.elaborate.values.values import Tensor, Val
from compiler.program.program import Program
from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from compiler.text.tree.syntax import Expr
from tests.long_spec import write_long_spec

ROOT = Path(__file__).resolve().parents[1]
SPEC = """
model Net(classes: int = 10, width: int = 32) {
    input image: f32[batch, 8, 8]
    output logits = image -> flatten -> dense(width) -> relu -> dense(classes)
}
data digits(name: str = "digits", scale: float = 16.0) {
    source sklearn(name)
    image = image / scale
    split random(seed=0), train=80%, val=20%
}
train fit(lr: float = 3e-3, width: int = 16) of Net(width=width) on digits {
    minimize cross_entropy(logits, label) with adamw(lr=lr)
    batch 64  epochs 3
}
train other(lr: float = 1e-3, betas: list = [0.9, 0.99]) of Net on digits {
    minimize cross_entropy(logits, label) with adamw(lr=lr, betas=betas)
    batch 64  epochs 3
}
"""


def run(overrides: dict[str, str]) -> tuple[Program | None, list[str]]:
    sink = Sink()
    program = check_source(Source("spec.weft", SPEC), overrides=overrides, sink=sink)
    return program, [f"{m.code} {m.text.title} {m.text.help or ''}".strip() for m in sink.messages]


def test_overrides_by_full_and_short_name() -> None:
    program, messages = run({"fit.lr": "1e-2", "betas": "[0.5, 0.9]", "Net.classes": "12"})
    assert [text[:5] for text in messages] == ["W1466", "W1466"]  # 12 scores, 10 digits
    assert program is not None
    assert program.trains["fit"].groups[0].optimizer.lr == 1e-2
    assert program.trains["other"].groups[0].optimizer.lr == 1e-3
    assert program.trains["other"].groups[0].optimizer.betas == (0.5, 0.9)  # type: ignore[attr-defined]
    assert program.models["Net"].graph.outputs[0].value.type.shape[1] == 12
    assert program.trains["fit"].nets[0].net.graph.outputs[0].value.type.shape[1] == 12


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"fit.rl": "1"}, "W0950 there is no parameter `fit.rl` did you mean `fit.lr`?"),
        ({"scal": "1"}, "W0950 there is no parameter `scal` did you mean `scale`?"),
        ({"lr": "1"}, "W0951 `lr` could mean several parameters say which: `fit.lr`"),
        ({"fit.lr": "fast"}, "W0201"),
        ({"fit.lr": "1 +"}, "W01"),
        ({"fit.width": '"wide"'}, "W0225 `width` of `fit` is a whole number"),
        ({"fit.lr": "-1"}, "W0601 `lr` of `adamw` must be above 0"),
        ({"digits.name": "digit"}, "W0704"),
        ({"digits.set": "1"}, "W0704"),
    ],
)
def test_faults_in_overrides(overrides: dict[str, str], message: str) -> None:
    _, messages = run(overrides)
    assert messages
    assert messages[0].startswith(message), messages


def test_text_needs_no_quotes() -> None:
    for text in ("iris", '"iris"'):
        sink = Sink()
        spec = 'data d(name: str = "digits") {\n    source sklearn(name)\n'
        spec += "    split random, train=80%, val=20%\n}\n"
        program = check_source(Source("s.weft", spec), overrides={"name": text}, sink=sink)
        assert not sink.messages
        assert program is not None
        assert len(program.data["d"].schema) == 6


def test_options_of_a_source_can_be_set(tmp_path: Path) -> None:
    for name, size in (("a.npz", 3), ("b.npz", 7)):
        np.savez(tmp_path / name, x=np.zeros((size, 2), np.float32))
    path = tmp_path / "spec.weft"
    path.write_text(
        'data d {\n    source npz("a.npz")\n    split in_order, train=50%, val=50%\n}\n'
    )
    for value in ("b.npz", str(tmp_path / "b.npz")):
        sink = Sink()
        program = check(path, overrides={"d.path": value}, sink=sink)
        assert program is not None
        assert not sink.messages
        assert len(program.data["d"].source.load(tmp_path)["x"]) == 7
    sink = Sink()
    check(path, overrides={"path": "c.npz"}, sink=sink)
    assert [m.code for m in sink.messages] == ["W0701"]
    assert sink.messages[0].text.help in ("did you mean `a.npz`?", "did you mean `b.npz`?")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "net.weft").write_text(SPEC)
    (tmp_path / "binary.weft").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "mark.weft").write_text("\ufefflet a = 1\n")
    cases = {"nett.weft": "W0901", "binary.weft": "W0902", "": "W0902", "mark.weft": ""}
    for name, code in cases.items():
        sink = Sink()
        program = check(tmp_path / name, sink=sink)
        assert [m.code for m in sink.messages] == ([code] if code else [])
        assert (program is None) == bool(code)
    sink = Sink()
    check(tmp_path / "nett.weft", sink=sink)
    assert "net.weft" in (sink.messages[0].text.help or "")


def test_stages_are_printed() -> None:
    shown: dict[str, str] = {}
    source = Source("spec.weft", SPEC)
    printers = {stage: lambda text, stage=stage: shown.update({stage: text}) for stage in STAGES}
    check_source(source, sink=Sink(), print_after=printers)
    assert list(shown) == list(STAGES)
    assert "Model" in shown["tree"]
    assert "train fit on digits" in shown["program"]
    assert "cross_entropy" in shown["graphs"]


def test_a_faulty_text_gives_no_program() -> None:
    sink = Sink()
    assert check_source(Source("spec.weft", "model {"), sink=sink) is None
    assert sink.has_errors


def test_one_refused_item_leaves_the_others() -> None:
    sink = Sink()
    text = SPEC.replace("adamw(lr=lr, betas", "adamv(lr=lr, betas")
    program = check_source(Source("spec.weft", text), sink=sink)
    assert program is not None
    assert list(program.trains) == ["fit"]
    assert [m.code for m in sink.messages] == ["W0614"]


# --- what a check costs ---------------------------------------------------------------------------

CHECKED = "from weft.cli.main import main; main()"
IMPORTS = """
import sys
from weft.cli.main import run_command
try:
    run_command()
finally:
    heavy = {"torch", "onnx", "onnx_ir", "onnxruntime", "pandas", "sklearn", "scipy", "PIL", "lark"}
    print(*sorted(heavy & set(sys.modules)))
"""


def test_a_check_that_finds_nothing_says_nothing(tmp_path: Path) -> None:
    text = write_long_spec()
    assert 190 <= text.count("\n") <= 230
    spec = tmp_path / "long.weft"
    spec.write_text(text)
    # As a process, because it ends without winding up; benchmarks/check.py measures how long.
    done = subprocess.run(
        [sys.executable, "-c", CHECKED, "check", str(spec)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_check_imports_nothing_heavy(tmp_path: Path) -> None:
    spec = tmp_path / "long.weft"
    spec.write_text(write_long_spec())
    command = [sys.executable, "-c", IMPORTS, "check", str(spec)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n", f"imports {done.stdout}"


def test_texts_come_from_a_reader(tmp_path: Path) -> None:
    """An editor holds texts that no file has yet: of the spec, and of a file that it uses."""
    held = {
        tmp_path / "main.weft": 'use "parts.weft"\nmodel M() {\n    input x: f32[batch, 4]\n'
        "    output y = x -> head(classes=3)\n}\n",
        tmp_path / "parts.weft": "block head(x, classes: int) {\n"
        "    return x -> dense(classes)\n}\n",
    }
    sink = Sink()
    program = check(tmp_path / "main.weft", sink=sink, read=held.__getitem__)
    assert program is not None, sink.messages
    (output,) = program.models["M"].graph.outputs
    assert str(output.value.type) == "f32[batch, 3]"


def test_a_missing_text_of_a_reader_is_a_missing_file(tmp_path: Path) -> None:
    def read(path: Path) -> str:
        if path.name == "main.weft":
            return 'use "parts.weft"\n'
        raise FileNotFoundError(path)

    sink = Sink()
    check(tmp_path / "main.weft", sink=sink, read=read)
    assert [m.code for m in sink.messages] == ["W0209"]


def test_an_observer_is_told_types() -> None:
    text = (
        "block twice(x, width: int) {\n    return x -> dense(width * 2)\n}\n"
        "model M() {\n    input x: f32[batch, 4]\n"
        "    output y = x -> twice(width=3) -> twice(width=5) -> relu\n}\n"
    )
    seen: dict[str, list[str]] = {}

    def observe(expression: Expr, value: Val) -> None:
        span = expression.span
        shown = str(value.type) if isinstance(value, Tensor) else getattr(value, "value", "")
        seen.setdefault(text[span.start : span.end], []).append(str(shown))

    sink = Sink()
    assert check_source(Source("<text>", text), sink=sink, observe=observe) is not None
    assert seen["width * 2"] == ["6", "10"]
    assert seen["x -> dense(width * 2)"] == ["f32[batch, 6]", "f32[batch, 10]"]
    assert seen["x -> twice(width=3) -> twice(width=5) -> relu"] == ["f32[batch, 10]"]
