"""Trains on several data sets: equal to a loop by hand, resumed exactly, divided exactly, and
measured over the rows of the data that a figure reads."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import weft
from backends.pytorch.run.running import read_metrics
from compiler.driver import check
from compiler.report.diagnostics import Sink
from compiler.rows.validation import validate_data
from tests.test_train_steps import import_script
from tests.train_scripts import (
    ADAPT,
    assert_two_processes_agree,
    check_equal,
    kill_after,
    lint,
    run,
    save_data,
    write,
    write_shared,
)
from weft.cli.main import app

BUT_ONE = ADAPT.replace(
    "0.3 * mse(mean(near.h, axis=0), mean(far.h, axis=0))", "0.1 * mse(near.h, far.h)"
)


def open_columns(script: ModuleType, folder: Path, split: str = "train") -> list[Tensor]:
    return list(script.load_splits(folder, folder, "cpu")[split])


def cycle_by_hand(rows: int, seed: int, place: int) -> Any:
    """The rows of a data set beside the first, one after the other, as a cycling loader has
    them."""
    turn = 0
    while True:
        turn += 1
        yield from np.random.default_rng([seed, turn, place]).permutation(rows)


def test_losses_are_those_of_a_loop_by_hand(tmp_path: Path) -> None:
    folder = write(ADAPT, tmp_path)
    script = import_script(folder, "train")
    columns = open_columns(script, folder)
    image, label, other = columns[0], columns[1], columns[2]
    torch.manual_seed(5)
    net = import_script(folder, "model").Net()
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    stream = cycle_by_hand(len(other), 5, 1)
    wanted = []
    for epoch in (1, 2):
        order = np.random.default_rng([5, epoch]).permutation(len(image))
        for step in range(len(image) // 64):
            chosen = order[64 * step : 64 * step + 64]
            beside = [next(stream) for _ in range(64)]
            h, logits = net(image[chosen])
            far, _ = net(other[beside])
            loss = nn.functional.cross_entropy(logits, label[chosen])
            loss = loss + 0.3 * (h.mean(0) - far.mean(0)).square().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            wanted.append(loss.item())
    torch.manual_seed(5)
    nets = nn.ModuleDict({"m": script.Net()})
    parts = {"model": nets, "optimizer": torch.optim.Adam(nets.parameters(), lr=1e-2)}
    found = [script.train_epoch(parts, columns, epoch) for epoch in (1, 2)]
    steps = len(image) // 64
    assert steps == 16
    means = [np.mean(wanted[:steps]), np.mean(wanted[steps:])]
    np.testing.assert_allclose(found, means, atol=1e-5)
    state = dict(net.named_parameters())
    for name, parameter in nets["m"].named_parameters():
        torch.testing.assert_close(parameter, state[name], atol=1e-5, rtol=1e-4)


def test_a_data_set_beside_the_first_is_gone_through_again_and_again(tmp_path: Path) -> None:
    """In every pass each row once, over the ends of epochs."""
    script = import_script(write(ADAPT, tmp_path), "train")
    chosen = [script.cycle_batches(10, 4, 3, epoch, 1).flatten() for epoch in (1, 2, 3, 4, 5)]
    stream = torch.cat(chosen).reshape(6, 10)
    assert all(sorted(turn) == list(range(10)) for turn in stream.tolist())
    assert len({tuple(turn) for turn in stream.tolist()}) == 6
    long = script.cycle_batches(1000, 4, 3, 2, 1)
    assert long.shape == (4, 3)
    assert len(set(long.flatten().tolist())) == 12


@pytest.mark.parametrize("text", [ADAPT, BUT_ONE], ids=["means", "pairs"])
def test_figures_are_taken_over_the_rows_that_they_read(text: str, tmp_path: Path) -> None:
    folder = write(text, tmp_path)
    lint(folder)
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
    script = import_script(folder, "train")
    columns = open_columns(script, folder, "test")
    assert [len(column) for column in columns] == [359, 359, 100, 100]
    net = script.Net()
    found = torch.load(folder / "out" / "last.pt", weights_only=True)["model"]
    net.load_state_dict({name.removeprefix("m."): value for name, value in found.items()})
    nets = nn.ModuleDict({"m": net})
    figures = script.evaluate(nets, columns)
    with torch.no_grad():
        h, logits = net(columns[0])
        far, moved = net(columns[2])
    accuracy = (logits.argmax(1) == columns[1]).float().mean().item()
    assert figures["accuracy"] == pytest.approx(accuracy)
    assert figures["moved"] == pytest.approx((moved.argmax(1) == columns[3]).float().mean().item())
    beside = far[torch.arange(359) % 100]
    assert figures["apart"] == pytest.approx((h - beside).square().mean().item(), rel=1e-5)


def test_a_killed_run_goes_on_to_the_same_end(tmp_path: Path) -> None:
    folder = write(ADAPT, tmp_path)
    assert run(folder, "whole").returncode == 0
    kill_after(folder, "killed", 2, signal.SIGKILL)
    done = run(folder, "killed", "--resume")
    assert done.returncode == 0, done.stderr
    check_equal(folder / "whole", folder / "killed")


@pytest.mark.parametrize("more", ["", "accumulate 2  ", "epoch 20steps  "])
def test_two_processes_give_what_one_gives(more: str, tmp_path: Path) -> None:
    folder = write_shared(BUT_ONE.replace("batch 64", f"batch 64  {more}"), tmp_path)
    lint(folder)
    assert_two_processes_agree(folder, "train.loss", "val.accuracy", "val.moved", "val.apart")


OBJECTIVE = ADAPT[ADAPT.index("    minimize") : ADAPT.index("    metric accuracy")]
TURNS = """
    step near { minimize cross_entropy(near.logits, digits.label) over m with adam(lr=1e-2) }
    step far, every=2steps { minimize mse(near.h, far.h) over m with sgd(lr=1e-2) }
"""
THIRD = """
data third {
    source npz("iris.npz")
    split in_order, train=100, val=20, test=20
}
"""
OTHERS = {
    "parts": ADAPT.replace("batch 64", "accumulate 4  batch 64"),
    "steps": ADAPT.replace("batch 64", "epoch 11steps  batch 64"),
    "one data set alone": ADAPT.replace(
        "    metric moved = accuracy(far.logits, inverted.label)\n", ""
    ).replace("    metric apart = mse(near.h, far.h)\n", ""),
    "solver": ADAPT.replace("adam(lr=1e-2)", "lbfgs(lr=0.1)"),
    "turns": ADAPT.replace(OBJECTIVE, TURNS),
    "augmented": ADAPT.replace(
        "-> standardize\n",
        "-> standardize\n    augment { image = image + 0.1 * normal_like(image) }\n",
    ),
    "sampled": ADAPT.replace("batch 64", "sample seen = m(inverted.image).h\n    batch 64"),
    "three": ADAPT.replace("on digits, inverted", "on digits, inverted, third")
    .replace("with adam", "+ mean(third.features ** 2) * mean(near.h ** 2) with adam")
    .replace(
        "train fit",
        f"{THIRD}train fit",
    ),
    "halves": ADAPT.replace("batch 64", "precision bf16  batch 64"),
    "draws": ADAPT.replace(
        "m(inverted.image)", "m(inverted.image + 0.1 * normal_like(digits.image))"
    ),
    "larger than all": ADAPT.replace("batch 64", "batch 1500"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_the_script_runs_and_goes_on(kind: str, tmp_path: Path) -> None:
    text = OTHERS[kind]
    assert text != ADAPT
    folder = write(text, tmp_path)
    lint(folder)
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
    records = read_metrics(folder / "out" / "metrics.jsonl")
    assert all(np.isfinite(v) for record in records for v in record.values())


def build(text: str, folder: Path) -> Path:
    """Builds a spec, and returns where to."""
    save_data(folder)
    (folder / "spec.weft").write_text(text)
    done = CliRunner().invoke(app, ["build", str(folder / "spec.weft"), "-o", str(folder / "out")])
    assert done.exit_code == 0, done.output
    return folder / "out"


def read_report(out: Path) -> dict[str, Any]:
    return json.loads((out / "report.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


DEPLOYED = "deploy fit.m as onnx { preprocess inverted  outputs logits }\n"


def test_a_file_is_measured_over_the_data_that_it_takes(tmp_path: Path) -> None:
    """The file has the columns of `inverted` before the net, with what was fitted on its rows: it
    gives the figure of these rows that the training gave, and none of the others."""
    out = build(ADAPT + DEPLOYED, tmp_path)
    text = (out / "report.md").read_text(encoding="utf-8")
    results = json.loads((out / "fit" / "results.json").read_text(encoding="utf-8"))
    assert f"moved {results['test']['moved']:.4f}" in text.split("test, ONNX file")[1]
    assert "NumPy, PyTorch and ONNX Runtime agree" in text
    assert sorted(path.name for path in (out / "fit").glob("columns*")) == [
        "columns_inverted.safetensors"
    ]


VARIANT = """
variant small of fit.m {
    apply prune(channels=50%) -> finetune(epochs=2)
    require test.accuracy >= 50% and test.apart <= 5
}
"""


def test_a_variant_is_trained_on_and_measured_over_all_data(tmp_path: Path) -> None:
    out = build(ADAPT + VARIANT, tmp_path)
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "test.apart" in text
    assert ", moved 0" in text
    assert "test.accuracy" in text


def test_arrays_in_place_of_several_data_sets(tmp_path: Path) -> None:
    """Columns of one name that two data sets hold are told apart in the file beside the script."""
    spec = ADAPT.replace('npz("digits.npz")', 'sklearn("digits")')
    (tmp_path / "spec.weft").write_text(spec)
    generator = np.random.default_rng(0)

    def make(rows: int, value: int) -> dict[str, Any]:
        image = np.full((rows, 8, 8), value, np.uint8)
        return {"image": image, "label": generator.integers(0, 10, rows)}

    arrays = {"digits": make(400, 8), "inverted": make(350, 16)}
    trained = weft.load(tmp_path / "spec.weft", data=arrays).train("fit", tmp_path / "run")
    assert trained.epochs == 4
    with np.load(tmp_path / "run" / "fit" / "columns.npz") as held:
        assert sorted(held) == [
            "digits.image",
            "digits.label",
            "inverted.image",
            "inverted.label",
        ]
        assert held["inverted.image"].shape == (350, 8, 8)


FAULTS = [
    ("m(digits.image)", "m(image)", "W1593"),
    ("on digits, inverted", "on digits, digits", "W1594"),
    ("train=200, val=50, test=100", "train=200, val=50", "W1595"),
    ("train=200, val=50, test=100", "train=20000, val=50, test=100", None),
    ("m(inverted.image)", "m(inverted.imag)", "W0203"),
    ("data inverted", "data digit", "W0607"),
]


@pytest.mark.parametrize(("old", "new", "code"), FAULTS)
def test_what_several_data_sets_cannot_be_is_told(
    old: str, new: str, code: str | None, tmp_path: Path
) -> None:
    save_data(tmp_path)
    assert old in ADAPT
    path = tmp_path / "spec.weft"
    path.write_text(ADAPT.replace(old, new))
    sink = Sink()
    program = check(path, sink=sink)
    errors = [m.code for m in sink.messages if m.severity.value == "error"]
    if code is not None:
        assert errors == [code], [m.text.title for m in sink.messages]
        return
    assert program is not None
    assert not errors
    validate_data(program.trains["fit"], sink)
    assert "W0722" in [m.code for m in sink.messages], [m.text.title for m in sink.messages]


def test_faults_of_the_rows_of_each_data_set_are_told(tmp_path: Path) -> None:
    """A label out of range, and a number that is none, in the data beside the first."""
    save_data(tmp_path)
    found = np.load(tmp_path / "digits.npz")
    label = found["label"].copy()
    label[1700] = 12
    image = found["image"].astype(np.float32)
    image[1690] = np.nan
    np.savez(tmp_path / "other.npz", image=image, label=label)
    first, second = ADAPT.split("data inverted")
    path = tmp_path / "spec.weft"
    second = second.replace("digits.npz", "other.npz").replace(" -> standardize", "")
    second = second.replace("random(seed=7)", "in_order").replace("train=200", "train=1500")
    path.write_text(f"{first}data inverted{second.replace('val=50', 'val=150')}")
    sink = Sink()
    program = check(path, sink=sink)
    assert program is not None, [m.text.title for m in sink.messages]
    validate_data(program.trains["fit"], sink)
    said = {m.code: str(m.text) for m in sink.messages if m.severity.value == "error"}
    assert "1,690" in "".join(said.values()) or "1690" in "".join(said.values()), said
    assert "1,700" in "".join(said.values()) or "1700" in "".join(said.values()), said


WINDOWS = """
model Net() {
    input x: f32[batch, 6, 1]
    output y: f32[batch, 1] = x -> flatten -> dense(8) as fc -> tanh -> dense(1) as head
}
data north {
    source csv("north.csv")
    x = reshape(a, [1]) -> standardize
    target = reshape(a, [1])
    window 6, ahead=1, target=target
    split in_order, train=60%, val=20%, test=20%
}
data south {
    source csv("south.csv")
    x = reshape(a, [1])
    target = reshape(a, [1])
    window 6, ahead=1, target=target
    split in_order, train=60%, val=20%, test=20%
}
train fit on north, south {
    net m = Net()
    minimize mse(m(north.x), north.target) + mse(m(south.x), south.target) with adam(lr=1e-3)
    metric far = mse(m(south.x), south.target)
    batch 16  epochs 2
}
"""


def test_windows_of_several_series(tmp_path: Path) -> None:
    """Each data set cuts its own windows; the file takes those of raw rows of one of them."""
    generator = np.random.default_rng(3)
    for name, count in (("north", 300), ("south", 160)):
        rows = generator.normal(size=count).cumsum()
        (tmp_path / f"{name}.csv").write_text("a\n" + "".join(f"{row:.4f}\n" for row in rows))
    out = build(WINDOWS + "deploy fit.m as onnx { preprocess south }\n", tmp_path)
    results = json.loads((out / "fit" / "results.json").read_text(encoding="utf-8"))
    text = (out / "report.md").read_text(encoding="utf-8")
    assert f"far {results['test']['far']:.4f}" in text.split("test, ONNX file")[1]


BLOCKS = """
block prepare(x: f32[d]) {
    return (2 * x) -> standardize
}
model Net() {
    input features: f32[batch, 4]
    output logits: f32[batch, 3] = features -> dense(8) -> tanh -> dense(3)
}
data one {
    source npz("iris.npz")
    features = features -> prepare
    split random(seed=0, stratify=label), train=60%, val=20%, test=20%
}
data two {
    source npz("iris.npz")
    features = (1 - features) -> prepare
    augment { features = features + 0.1 * normal_like(features) }
    split random(seed=1), val=20%, test=20%
}
train fit of Net(features=one.features) on one, two {
    far = fit(two.features)
    minimize cross_entropy(logits, one.label) + 0.1 * cross_entropy(far, two.label)
        with adam(lr=1e-2, schedule=plateau(val.far))
    metric accuracy = accuracy(logits, one.label)
    metric far = accuracy(far, two.label)
    until stalled(val.far, epochs=2)
    batch 16  epochs 2
}
deploy fit as onnx { preprocess two }
"""


def test_columns_that_call_a_block_stand_before_a_deployed_net(tmp_path: Path) -> None:
    """Both data sets call it, each for weights of its own; `far` chooses the best epoch."""
    out = build(BLOCKS, tmp_path)
    lint(out / "fit")
    results = json.loads((out / "fit" / "results.json").read_text(encoding="utf-8"))
    text = (out / "report.md").read_text(encoding="utf-8")
    assert f"far {results['test']['far']:.4f}" in text.split("test, ONNX file")[1]
    assert "NumPy, PyTorch and ONNX Runtime agree" in text
    done = CliRunner().invoke(
        app, ["eval", str(tmp_path / "spec.weft"), "--onnx", str(out / "fit.onnx")]
    )
    assert done.exit_code == 0, done.output
    assert f"{results['test']['far']:.4f}" in done.output
