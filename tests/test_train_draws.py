"""Draws that stand in a train: reproducible, shared by processes, and made in evaluation too."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from backends.pytorch.run.load import run_source
from backends.pytorch.run.running import read_metrics
from compiler.driver import check
from compiler.report.diagnostics import Sink
from tests.train_scripts import (
    VAE,
    assert_scripts_clean,
    assert_two_processes_agree,
    check_equal,
    kill_after,
    load_state,
    run,
    save_data,
    share,
    write,
    write_shared,
)

EVERY = """
model Net {
    input x: f32[batch, 4]
    output logits: f32[batch, 3] = x -> dense(16) -> tanh -> dropout(20%) -> dense(3)
}
data iris {
    source npz("iris.npz")
    split random(seed=0), train=96, val=27, test=27
}
train fit on iris {
    net net = Net()
    scale = uniform([batch, 1], low=0.9, high=1.1)
    kept = bernoulli(0.8, [batch, 4])
    near = bernoulli(sigmoid(features))
    place = randint(0, 4, [batch])
    shift = normal([4], std=0.01)
    noisy = features * scale + shift + normal_like(features, mean=0.01, std=0.1) * kept
    walk = noisy
    scan i in 0..3 {
        walk = walk + 0.01 * uniform_like(walk)
    }
    logits = net(walk + 0.01 * near)
    guess = cast(categorical(logits), f32)
    other = features -> gather(place[:, none], axis=1)
    minimize cross_entropy(logits, label) + 0.001 * mean(other) with adam(lr=0.01)
    metric moved = mean(guess)
    metric at = mean(cast(place, f32))
    metric accuracy = accuracy(logits, label)
    batch 24  epochs 3  seed 7
}
"""
"""Each draw once, beside dropout."""


def test_the_first_losses_are_those_of_a_script_by_hand(tmp_path: Path) -> None:
    """The same weights, rows and draws in a loop that a person would write: 22 losses."""
    write(VAE, tmp_path)
    losses = train_by_hand(tmp_path)
    text = (
        (tmp_path / "train.py")
        .read_text()
        .replace(
            "return losses.mean().item()",
            'Path("losses.txt").write_text(" ".join(map(str, losses.tolist())))\n    sys.exit(0)',
        )
    )
    (tmp_path / "train.py").write_text(text)
    done = run(tmp_path, "run")
    assert done.returncode == 0, done.stderr
    found = np.array((tmp_path / "losses.txt").read_text().split(), float)
    assert len(found) == 22
    np.testing.assert_allclose(found, losses, rtol=1e-5)


def train_by_hand(folder: Path) -> list[float]:
    model = run_source((folder / "model.py").read_text(), "model")
    torch.manual_seed(3)
    encoder, decoder = model.Encoder(), model.Decoder()
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    images = np.load(folder / "digits.npz")["image"].reshape(-1, 64).astype(np.float32) / 16
    rows = images[np.random.default_rng(0).permutation(len(images))[: round(0.8 * len(images))]]
    order = np.random.default_rng([3, 1]).permutation(len(rows))
    draws = torch.Generator().manual_seed(3 + 1000 + 500)
    losses = []
    for start in range(0, len(rows) // 64 * 64, 64):
        image = torch.from_numpy(rows[order[start : start + 64]])
        mu, logvar = encoder(image)
        code = mu + torch.exp(0.5 * logvar) * torch.randn(64, 4, generator=draws)
        likelihood = functional.binary_cross_entropy_with_logits(
            decoder(code), image, reduction="sum"
        )
        divergence = -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(1).mean()
        loss = likelihood / 64 + 0.5 * divergence
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("text", [VAE, EVERY], ids=["vae", "every"])
def test_a_killed_training_goes_on_as_if_it_had_not_been(text: str, tmp_path: Path) -> None:
    write(text, tmp_path)
    assert run(tmp_path, "whole").returncode == 0
    kill_after(tmp_path, "killed", 1, signal.SIGKILL)
    done = run(tmp_path, "killed", "--resume")
    assert done.returncode == 0, done.stderr
    check_equal(tmp_path / "whole", tmp_path / "killed")


def test_seed_and_epoch_say_what_is_drawn(tmp_path: Path) -> None:
    """Another seed draws others, and each epoch others than the last; evaluation the same ones."""
    write(EVERY.replace("lr=0.01", "lr=1e-30"), tmp_path)
    assert run(tmp_path, "run").returncode == 0
    records = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert len({record["train.loss"] for record in records}) == 3
    for name in ("val.loss", "val.moved", "val.at"):
        assert len({record[name] for record in records}) == 1
    text = (tmp_path / "train.py").read_text()
    (tmp_path / "train.py").write_text(text.replace("SEED = 7", "SEED = 8"))
    assert run(tmp_path, "other").returncode == 0
    other = read_metrics(tmp_path / "other" / "metrics.jsonl")
    assert other[0]["val.at"] != records[0]["val.at"]


def test_two_processes_draw_what_one_does(tmp_path: Path) -> None:
    text = EVERY.replace(" -> dropout(20%)", "")
    assert_two_processes_agree(
        write_shared(text, tmp_path), "train.loss", "val.loss", "val.moved", "val.at"
    )
    results = [(tmp_path / out / "results.json").read_text() for out in ("one", "two")]
    assert all('"draws": "of the train, from seed 507 for every split"' in r for r in results)
    code = (tmp_path / "train.py").read_text()
    assert "torch.randn(batch_rows, 4" in code or "torch.empty(batch_rows, 4" in code
    assert "[RANK::WORLD]" in code


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
@pytest.mark.parametrize("text", [VAE, EVERY], ids=["vae", "every"])
def test_scripts_are_clean(text: str, shared: bool, tmp_path: Path) -> None:
    write(share(text) if shared else text, tmp_path)
    assert_scripts_clean(tmp_path, "train.py")


def test_draws_inside_nets_are_the_same_in_each_evaluation(tmp_path: Path) -> None:
    """A model that draws by itself takes its numbers from the global generator."""
    text = EVERY.replace("x -> dense(16)", "(x + normal_like(x, std=0.1)) -> dense(16)")
    text = re.sub(r"    (scale|kept|near|place|shift|noisy|walk|guess|other) = .*\n", "", text)
    text = re.sub(r"    scan [^}]*}\n", "", text)
    text = re.sub(r"    metric (moved|at) .*\n", "", text)
    text = text.replace("net(walk + 0.01 * near)", "net(features)")
    text = text.replace(" + 0.001 * mean(other)", "").replace("lr=0.01", "lr=1e-30")
    write(text, tmp_path)
    code = (tmp_path / "train.py").read_text()
    assert "draws" not in code.replace("as are draws", "")
    assert run(tmp_path, "run").returncode == 0
    records = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert len({record["val.loss"] for record in records}) == 1
    assert len({record["train.loss"] for record in records}) == 3


@pytest.mark.parametrize(
    ("expression", "accepted"),
    [
        ("mean(normal([2, batch]))", True),
        ("mean(normal([3]))", True),
        ("mean(normal([2 * batch]))", False),
        ("mean(normal([batch, batch]))", False),
        ("mean(features[permutation(batch)])", False),
        ("mean(cast(randint(0, batch, [3]), f32))", False),
    ],
)
def test_what_processes_cannot_share_is_refused(
    expression: str, accepted: bool, tmp_path: Path
) -> None:
    save_data(tmp_path)
    text = EVERY.replace("0.001 * mean(other)", f"0.001 * {expression}")
    for spec, wanted in ((text, []), (share(text), [] if accepted else ["W1501"])):
        (tmp_path / "spec.weft").write_text(spec)
        sink = Sink()
        check(tmp_path / "spec.weft", sink=sink)
        assert [m.code for m in sink.messages if m.severity.value == "error"] == wanted


def test_columns_may_be_called_as_the_generator_is(tmp_path: Path) -> None:
    text = EVERY.replace("    split", "    draws = features\n    batch_rows = label\n    split")
    text = text.replace("features", "draws", 20).replace("draws = draws", "draws = features")
    text = text.replace("label)", "batch_rows)")
    write(text, tmp_path)
    done = run(tmp_path, "run")
    assert done.returncode == 0, done.stderr
    assert load_state(tmp_path / "run")["history"]


def test_columns_do_not_draw(tmp_path: Path) -> None:
    save_data(tmp_path)
    drawing = "    features = features + normal_like(features)\n    split"
    (tmp_path / "spec.weft").write_text(EVERY.replace("    split", drawing))
    sink = Sink()
    check(tmp_path / "spec.weft", sink=sink)
    (message,) = sink.messages
    assert message.code == "W1359"
    assert "cannot draw in data" in message.text.title


def test_a_figure_reads_the_draws_that_the_objective_made(tmp_path: Path) -> None:
    """Also where only the figure needs a net, which is no part of a training step."""
    echo = "model Echo {\n    input x: f32[batch, 4]\n    output y = x + 0 * (x -> dense(4))\n}\n"
    text = EVERY.replace("    net net =", "    net echo = Echo()\n    freeze echo\n    net net =")
    text = text.replace(
        "    metric moved",
        "    metric size = mse(noisy, features)\n"
        "    metric same = mse(echo(noisy), noisy)\n    metric moved",
    )
    write(echo + text.replace("epochs 3", "epochs 1"), tmp_path)
    assert run(tmp_path, "run").returncode == 0
    (record,) = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert record["val.same"] == 0
    assert record["val.size"] > 1e-3


def test_rows_that_are_drawn_are_counted_by_a_column(tmp_path: Path) -> None:
    """No column is read, and yet no row is like another: `x = normal([batch, 4])`."""
    spec = """
model Net() {
    input x: f32[batch, 4]
    output y = x -> dense(8) -> relu -> dense(1)
}
data digits {
    source npz("digits.npz")
    split random(seed=0), train=80%, val=20%
}
train fit on digits {
    net m = Net()
    x = normal([batch, 4])
    minimize mse(m(x), sum(x * x, axis=1, keep=true)) with adam(lr=1e-2)
    batch 64  epochs 2  seed 0
}
"""
    folder = write(spec, tmp_path)
    assert_scripts_clean(folder)
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
    first, last = (
        record["train.loss"] for record in read_metrics(folder / "out" / "metrics.jsonl")
    )
    assert last < 0.9 * first
    assert "label" in (folder / "train.py").read_text(), "the smallest column counts the rows"


def test_classes_that_are_drawn_are_never_left_out(tmp_path: Path) -> None:
    """A mean over labels is one over rows where no label can be the one that does not count."""
    spec = """
model Net() {
    input x: f32[batch, 4]
    output scores = x -> dense(8) -> relu -> dense(3)
}
data digits {
    source npz("digits.npz")
    split random(seed=0), train=80%, val=20%
}
train fit on digits {
    net m = Net()
    kind = randint(LOW, 3, [batch])
    scores = m(normal([batch, 4]) + cast(kind, f32)[:, none])
    minimize cross_entropy(scores, kind) with adam(lr=1e-2)
    batch 64  epochs 2  seed 0
}
"""
    folder = write(spec.replace("LOW", "0"), tmp_path)
    assert_scripts_clean(folder)
    assert "F.cross_entropy(scores, kind)\n" in (folder / "train.py").read_text()
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
    write(spec.replace("LOW", "-100"), tmp_path)
    counted = (tmp_path / "train.py").read_text()
    assert "kind != -100" in counted, "what may be the one is counted"
