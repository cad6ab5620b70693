"""`epochs 0`: trains that train nothing, and evaluate nets as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from compiler.driver import check
from compiler.ir.evaluate import evaluate
from compiler.loading import read_trained
from compiler.program.program import Program
from compiler.report.diagnostics import Message, Sink
from compiler.rows.loading import load_data
from tests.test_train_steps import import_script
from tests.train_scripts import lint
from weft.building.build import Build
from weft.building.plan import plan_build

HEAD = """
model Net(width: int = 8) {
    input features: f32[b, 4]
    output logits: f32[b, 3] = features -> dense(width) as hidden -> tanh -> dense(3) as head
}
data iris {
    source npz("iris.npz")
    split random(seed=0), train=60%, val=20%, test=20%
}
train member(k: int = 0) of Net() on iris {
    minimize cross_entropy(logits, label) with adam(lr=1e-2)
    batch 20  epochs 1  seed k
}
model Mean {
    input features: f32[b, 4]
    net members = [member(k=k) for k in 0..2]
    output p = mean(stack([m(features) -> softmax(axis=-1) for m in members]), axis=0)
    output spread = members[0](features) - members[1](features) -> square -> mean(axis=-1)
}
"""
HEAD = HEAD.replace(
    "members[0](features) - members[1](features) ->",
    "(members[0](features) - members[1](features)) ->",
)
JUDGED = """
train judged of Mean on iris {
    metric accuracy = accuracy(p, label), nll = nll_of_probability(p, label)
    metric area = auroc(p, label)
    metric spread = spread
    epochs 0
}
"""
PAIR = """
train pair on iris {
    net left = member
    net right = member(k=1)
    metric agreement = accuracy(left(features), argmax(right(features), axis=1))
    metric curve = confusion_matrix(left(features), label)
    batch 7  epochs 0
}
"""


def elaborate(text: str, folder: Path) -> tuple[Program, list[Message]]:
    rows = np.random.default_rng(0)
    np.savez(
        folder / "iris.npz",
        features=rows.normal(size=(80, 4)).astype(np.float32),
        label=rows.integers(0, 3, 80),
    )
    path = folder / "spec.weft"
    path.write_text(HEAD + text)
    sink = Sink()
    program = check(path, sink=sink)
    assert program is not None
    return program, sink.messages


def open_program(text: str, folder: Path) -> Program:
    program, messages = elaborate(text, folder)
    assert not messages, [f"{m.code} {m.text.title}" for m in messages]
    return program


def test_figures_are_those_of_the_nets_as_they_are(tmp_path: Path) -> None:
    program = open_program(JUDGED + "deploy judged as onnx { dynamic b }\n", tmp_path)
    out, said = tmp_path / "out", []
    Build(program, out, echo=said.append).run()
    assert "train judged: evaluating" in said
    lint(out / "judged")
    found = json.loads((out / "judged" / "results.json").read_text())
    train = program.trains["judged"]
    learned = read_trained(train, out / "judged" / "best.safetensors")
    for name, path in (("member", "members.0"), ("member_k1", "members.1")):
        for key, value in load_file(out / name / "best.safetensors").items():
            assert np.array_equal(learned[f"{path}.{key}"], value.numpy())
    loaded = load_data(train.data)
    for split in ("val", "test"):
        rows = loaded.rows[split]
        columns = {n: loaded.columns[n][rows] for n in ("features", "label")}
        made = evaluate(train.graph, learned, columns)
        for use in train.metrics:
            arguments = (None if n is None else made[n] for n in use.arguments)
            wanted = use.metric.evaluate(*arguments)
            assert found[split][use.name] == pytest.approx(wanted, abs=1e-5), use.name
    assert found["epochs"] == 0
    assert set(found) == {"epochs", "best_epoch", "val", "test"}
    report = (out / "report.md").read_text()
    assert "nothing: weights are evaluated as they are" in report
    again: list[str] = []
    Build(program, out, echo=again.append).run()
    assert "train judged: up to date" in again


def test_the_script_stands_alone(tmp_path: Path) -> None:
    program = open_program(PAIR, tmp_path)
    Build(program, tmp_path / "out", echo=lambda text: None).run()
    folder = tmp_path / "out" / "pair"
    lint(folder)
    first = (folder / "results.json").read_text()

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(folder / "train.py"), "--data", str(tmp_path), *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run().returncode == 0
    assert (tmp_path / "run" / "results.json").read_text() == first
    refused = run()
    assert refused.returncode
    assert "run holds a training: give --overwrite or another --out" in refused.stderr
    assert run("--overwrite").returncode == 0
    matrix = json.loads(first)["test"]["curve"]
    assert np.sum(matrix) == 16


def test_a_judged_net_is_compressed_by_its_data(tmp_path: Path) -> None:
    text = """
    variant small of judged {
        apply quantize(int8)
        require test.nll <= judged.test.nll + 0.5 and test.spread <= 9
    }
    deploy small as onnx { dynamic b }
    """
    program = open_program(JUDGED + text, tmp_path)
    said: list[str] = []
    Build(program, tmp_path / "out", echo=said.append).run()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert '"synthetic": true' not in json.dumps(report)


def test_weights_that_nobody_trained_are_told(tmp_path: Path) -> None:
    text = JUDGED.replace("of Mean", "of Net").replace("p, label", "softmax(logits, axis=1), label")
    _, messages = elaborate(text.replace("    metric spread = spread\n", ""), tmp_path)
    assert [m.code for m in messages] == ["W1544"]
    assert "`judged`" in messages[0].text.title


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (JUDGED.replace("epochs 0", "epochs 0  minimize mean(spread) with sgd(lr=0.1)"), "W1542"),
        (JUDGED.replace("epochs 0", "epochs 0  until stalled(val.nll, epochs=3)"), "W1542"),
        (JUDGED.replace("epochs 0", "epochs 0  processes ddp"), "W1542"),
        (JUDGED.replace("epochs 0", 'epochs 0  freeze "members.0"'), "W1542"),
        (JUDGED.replace("epochs 0", "epochs 3"), "W0606"),
        (JUDGED.replace("epochs 0", "epochs 1"), "W0606"),
        (JUDGED.replace("epochs 0", ""), "W0606"),
        (JUDGED.replace("epochs 0", "epochs -1"), "W0601"),
        ("train judged of Mean on iris { epochs 0 }", "W1543"),
        (JUDGED + "variant v of judged { apply finetune(epochs=1) }", "W1101"),
        (JUDGED + "variant v of judged { require test.loss <= 3 }", "W0620"),
        (JUDGED.replace("accuracy(p, label)", "acuracy(p, label)"), "W0614"),
    ],
)
def test_what_has_no_meaning_there_is_refused(text: str, code: str, tmp_path: Path) -> None:
    _, messages = elaborate(text + "\n", tmp_path)
    assert code in [m.code for m in messages if m.severity.name == "ERROR"]


def test_a_layout_lies_in_the_file_as_any_other(tmp_path: Path) -> None:
    text = """
    model Convs {
        input x: f32[b, 3, 6, 6]
        output y: f32[b, 2] = x -> conv(4, kernel=3) as c -> flatten -> dense(2)
    }
    data images { source npz("images.npz")  split random(seed=0), train=50%, val=50% }
    train fit of Convs on images {
        minimize mse(y, z) with sgd(lr=1e-3)
        batch 4  epochs 1
    }
    train seen on images {
        net m = fit
        metric error = mse(m(x), z)
        epochs 0  layout "channels_last"  precision bf16
    }
    """
    drawn = np.random.default_rng(1)
    x, z = drawn.normal(size=(12, 3, 6, 6)), drawn.normal(size=(12, 2))
    np.savez(tmp_path / "images.npz", x=x.astype(np.float32), z=z.astype(np.float32))
    program = open_program(text, tmp_path)
    Build(program, tmp_path / "out", echo=lambda text: None).run()
    lint(tmp_path / "out" / "seen")
    learned = load_file(tmp_path / "out" / "fit" / "best.safetensors")
    kept = load_file(tmp_path / "out" / "seen" / "best.safetensors")
    assert all(torch.equal(kept[f"m.{name}"], value) for name, value in learned.items())


def test_a_build_judges_what_it_does_not_deploy(tmp_path: Path) -> None:
    other = (
        "train other of Net() on iris {\n"
        "    minimize cross_entropy(logits, label) with adam(lr=1e-2)  batch 20  epochs 1\n}\n"
    )
    deploy = "deploy member(k=2) as onnx { dynamic b }\n"
    plan = plan_build(open_program(other + JUDGED + deploy, tmp_path))
    assert {train.name for train in plan.trains} == {"member", "member_k1", "judged", "member_k2"}
    names = [train.name for train in plan.trains]
    assert names.index("judged") > max(names.index("member"), names.index("member_k1"))


SHOWN = PAIR.replace("    batch 7", "    sample codes = left(features), every=3epochs\n    batch 7")


def test_samples_are_written_once(tmp_path: Path) -> None:
    program = open_program(SHOWN, tmp_path)
    Build(program, tmp_path / "out", echo=lambda text: None).run()
    folder = tmp_path / "out" / "pair"
    lint(folder)
    assert [path.name for path in (folder / "samples").iterdir()] == ["codes-0000.npy"]
    loaded = load_data(program.trains["pair"].data)
    rows = loaded.columns["features"][loaded.rows["val"]][:64]
    module = import_script(folder, "model")
    net = module.Net()
    prefix = "left."
    weights = load_file(folder / "best.safetensors").items()
    net.load_state_dict({k.removeprefix(prefix): v for k, v in weights if k.startswith(prefix)})
    expected = net(torch.from_numpy(rows)).detach().numpy()
    np.testing.assert_allclose(np.load(folder / "samples" / "codes-0000.npy"), expected, atol=1e-5)
