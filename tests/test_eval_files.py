"""`weft eval` speaks of the file that it measures, and refuses one that is not the deployment's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from typer.testing import CliRunner

from compiler.report.diagnostics import CompileError
from weft.cli.main import app

SPEC = """
model Net(width: int = 4) {
    input image: f32[batch, 8, 8]
    output logits = image -> flatten -> dense(width) as stem -> relu -> dense(10) as head
}
model Deep() {
    input image: f32[batch, 8, 8]
    output logits = image -> flatten -> dense(4) -> relu -> dense(4) -> relu -> dense(10)
}
data digits {
    source sklearn("digits")
    image = image / 16
    split random(seed=0), train=70%, val=15%, test=15%
}
train fit of Net on digits {
    minimize cross_entropy(logits, label) with adamw(lr=1e-2)
    metric accuracy = accuracy(logits, label)
    batch 64  epochs 1
}
variant tiny of fit { apply quantize(stored8) }
deploy fit as onnx
deploy tiny as onnx
"""
LABELS = "deploy fit as onnx { labels LIST }\n"
ANOTHER = (
    SPEC[SPEC.index("train fit") : SPEC.index("variant tiny")].replace("fit of Net", "deep of Deep")
    + "deploy deep as onnx\n"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    (folder / "spec.weft").write_text(SPEC)
    done = CliRunner().invoke(
        app, ["build", str(folder / "spec.weft"), "-o", str(folder / "out"), "--device", "cpu"]
    )
    assert done.exit_code == 0, done.output
    return folder


def evaluate(built: Path, spec: str, *arguments: str) -> tuple[str, list[str]]:
    """What is printed, and the codes and texts of a refusal."""
    (built / "now.weft").write_text(spec)
    done = CliRunner().invoke(app, ["eval", str(built / "now.weft"), *arguments])
    error = done.exception
    if isinstance(error, CompileError):
        return done.output, [f"{m.code} {m.text.title} {m.text.label}" for m in error.messages]
    assert done.exit_code == 0, done.output
    return done.output, []


def figures_of(built: Path, title: str) -> dict[str, Any]:
    sections = json.loads((built / "out" / "report.json").read_text())["sections"]
    found: dict[str, Any] = next(s for s in sections if s["title"].startswith(title))
    return found


@pytest.mark.parametrize("name", ["fit", "tiny"])
def test_a_file_is_named_with_its_hash_and_ports(built: Path, name: str) -> None:
    path = built / "out" / f"{name}.onnx"
    said, _ = evaluate(built, SPEC, "--onnx", str(path), "--format", "json")
    (found,) = json.loads(said).values()
    assert list(json.loads(said)) == [name], "that file and no other deployment"
    assert found["sha256"] == {f"{name}.onnx": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert found["bytes"] == path.stat().st_size
    assert found["inputs"] == {"image": "f32[batch, 8, 8]"}
    assert found["outputs"] == {
        "logits": "f32[batch, 10]",
        "label": "str[batch]",
        "probabilities": "f32[batch, 10]",
    }
    section = figures_of(built, f"deploy {name}" if name == "fit" else "variant tiny")
    expected = (
        section["measured"]["metrics"] if name == "fit" else section["figures"]["tiny"]["test"]
    )
    assert found["metrics"] == pytest.approx(expected)
    text, _ = evaluate(built, SPEC, "--onnx", str(path))
    assert text.startswith(f"{name}, test: accuracy ")
    assert found["sha256"][f"{name}.onnx"] in text
    assert "made from: this spec" in text


def test_a_file_that_no_deployment_is_named_like_has_its_own_name(built: Path) -> None:
    """It fits both deployments, and may be that of a third variant of the train."""
    other = built / "third.onnx"
    other.write_bytes((built / "out" / "tiny.onnx").read_bytes())
    text, _ = evaluate(built, SPEC, "--onnx", str(other))
    assert text.startswith("third.onnx, test: accuracy ")
    asked, _ = evaluate(built, SPEC, "tiny", "--onnx", str(other))
    assert asked.startswith("tiny, test: accuracy ")


def test_another_text_of_the_spec_is_said(built: Path) -> None:
    text, _ = evaluate(built, SPEC + "## a comment\n", "--onnx", str(built / "out" / "fit.onnx"))
    assert "made from: another text of the spec" in text


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (SPEC.replace("fit", "other"), "it holds the net `fit`, not `other`"),
        (SPEC.replace("width: int = 4", "width: int = 5"),
         "its tensor `stem.weight` is f32[4, 64], that of the net f32[5, 64]"),
        (SPEC.replace("fit of Net", "fit of Deep").replace("deploy tiny", "deploy fit"),
         "the net has no weight `stem.weight`"),
        (SPEC.replace("logits", "scores"), "its outputs are `logits`, those of the deployment"),
        (SPEC.replace("image", "pixels").replace("pixels = ", "pixels = image -> ")
         .replace("image -> pixels", "image"), "its inputs are `image`"),
        (SPEC.replace("deploy fit as onnx", "deploy fit as onnx { fix batch=4 }")
         .replace("deploy tiny as onnx", "deploy tiny as onnx { opset 20 }"), ""),
        (SPEC[: SPEC.index("variant tiny")] + LABELS.replace("LIST", '["no. {i}" for i in 0..10]'),
         "its labels are `0`, `1`, "),
    ],
)  # fmt: skip
def test_a_file_that_is_not_the_deployments_is_refused(built: Path, spec: str, reason: str) -> None:
    named = ["fit"] if "deploy fit" in spec else []
    _, faults = evaluate(built, spec, *named, "--onnx", str(built / "out" / "fit.onnx"))
    assert [fault[:5] for fault in faults] == (["W1215"] if reason else [])
    assert all(reason in fault for fault in faults)


def test_a_file_of_other_software_is_held_against_ports(built: Path) -> None:
    model = onnx.load(built / "out" / "fit.onnx")
    model.producer_name, model.graph.name = "other", "main_graph"
    onnx.save(model, built / "foreign.onnx")
    text, faults = evaluate(built, SPEC, "--onnx", str(built / "foreign.onnx"))
    assert not faults
    assert "foreign.onnx, " in text


def test_which_deployment_is_asked_where_figures_differ(built: Path) -> None:
    text, _ = evaluate(built, SPEC + ANOTHER, "--onnx", str(built / "out" / "fit.onnx"))
    assert text.startswith("fit, test"), "another net is no candidate"
    model = onnx.load(built / "out" / "fit.onnx")
    model.producer_name = "other"
    onnx.save(model, built / "foreign.onnx")
    _, faults = evaluate(built, SPEC + ANOTHER, "--onnx", str(built / "foreign.onnx"))
    assert [fault[:5] for fault in faults] == ["W1216"]
    text, _ = evaluate(built, SPEC + ANOTHER, "deep", "--onnx", str(built / "foreign.onnx"))
    assert text.startswith("deep, test")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lr=1e-2", "lr=2e-2", "learning rate is 0.01 there and 0.02 here"),
        ("epochs 1", "epochs 3", "epochs is 1 there and 3 here"),
        ("adamw(", "adam(", "optimizer is "),
        ("stored8", "stored4", "pass 1 was `quantize("),
    ],
)
def test_settings_that_a_file_was_not_built_with_are_refused(
    built: Path, old: str, new: str, said: str
) -> None:
    name = "tiny" if "stored" in old else "fit"
    path = str(built / "out" / f"{name}.onnx")
    spec = SPEC.replace(old, new)
    assert spec != SPEC
    _, (fault,) = evaluate(built, spec, name, "--onnx", path)
    assert fault.startswith("W1394")
    assert said in fault


def test_a_setting_of_the_command_line_is_held_against_the_build(built: Path) -> None:
    spec = SPEC.replace("train fit of", "train fit(lr: float = 1e-2) of").replace(
        "lr=1e-2", "lr=lr"
    )
    path = str(built / "out" / "fit.onnx")
    said, faults = evaluate(built, spec, "fit", "--onnx", path)
    assert not faults
    assert "measured otherwise" not in said
    _, (fault,) = evaluate(built, spec, "fit", "--onnx", path, "--set", "fit.lr=0.5")
    assert "learning rate is 0.01 there and 0.5 here" in fault


def test_another_metric_is_measured_and_said(built: Path) -> None:
    more = "    metric size = mean(square(logits), axis=-1)\n    batch"
    said, faults = evaluate(
        built, SPEC.replace("    batch", more), "fit", "--onnx", str(built / "out" / "fit.onnx")
    )
    assert not faults
    assert "size " in said
    assert "measured otherwise: objective and metrics is" in said
