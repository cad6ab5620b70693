"""Trains whose steps take turns: equal to a loop by hand, resumed exactly, divided exactly."""

from __future__ import annotations

import importlib.util
import signal
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from typer.testing import CliRunner

from backends.pytorch.run.running import read_metrics
from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.driver import check
from compiler.report.diagnostics import Sink
from tests.train_scripts import (
    GAN,
    assert_two_processes_agree,
    check_equal,
    kill_after,
    lint,
    open_train,
    run,
    save_data,
    write,
    write_shared,
)
from weft.cli.main import app

TWO_OPTIMIZERS = GAN.replace(
    "with adam(lr=2e-3, betas=[0.5, 0.9])",
    'with sgd(lr=0.01, momentum=0.9, schedule=cosine(warmup=5%)) over "G.*.bias" '
    "with adam(lr=1e-3)",
)
TUNED = GAN.replace(
    "lr=1e-3, betas=[0.5, 0.9]", "lr=1e-3, schedule=plateau(val.critic.loss, patience=0)"
).replace("batch 64", "until stalled(val.gap, epochs=2)\n    clip norm=0.5\n    batch 64")
FROZEN = TWO_OPTIMIZERS.replace("batch 64", 'freeze "D.head.*", "G.dense.bias"\n    batch 64')
TUNED = TUNED.replace("mean(D(fake))\n    }", 'mean(D(fake)), better="higher"\n    }')


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script of `GAN` and a finished run in it."""
    folder = write(GAN, tmp_path_factory.mktemp("gan"))
    done = run(folder, "whole")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return folder


softplus = nn.functional.softplus


def import_script(folder: Path, name: str) -> ModuleType:
    """The module of a script or of its nets."""
    spec = importlib.util.spec_from_file_location(f"steps_{name}", folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get("model"), list(sys.path)
    if name == "train":
        sys.modules["model"] = import_script(folder, "model")
    try:
        spec.loader.exec_module(module)
    finally:
        sys.modules.pop("model", None)
        if before[0] is not None:
            sys.modules["model"] = before[0]
        sys.path[:] = before[1]
    return module


def train_by_hand(folder: Path, images: Tensor) -> tuple[list[float], list[float]]:
    """The losses of the steps of the first epoch, in a loop that was written by hand."""
    model = import_script(folder, "model")
    torch.manual_seed(0)
    g, d = model.Generator(), model.Critic()
    critic = torch.optim.Adam(d.parameters(), lr=1e-3, betas=(0.5, 0.9))
    generator = torch.optim.Adam(g.parameters(), lr=2e-3, betas=(0.5, 0.9))
    order = np.random.default_rng([0, 1]).permutation(len(images))
    of_critic, of_generator = [], []
    for step in range(len(images) // 64):
        image = images[order[64 * step : 64 * step + 64]]
        code = image.reshape(64, 64)[:, 16:32]
        loss = softplus(-d(image)).mean() + softplus(d(g(code).detach())).mean()
        critic.zero_grad()
        loss.backward()
        critic.step()
        of_critic.append(loss.item())
        if step % 3 == 2:
            loss = softplus(-d(g(code))).mean()
            generator.zero_grad()
            loss.backward()
            generator.step()
            of_generator.append(loss.item())
    return of_critic, of_generator


def test_losses_are_those_of_a_loop_by_hand(gan: Path) -> None:
    script = import_script(gan, "train")
    seen: dict[str, list[float]] = {}

    def read_mean(name: str, losses: dict[int, Tensor]) -> float:
        seen[name] = [loss.item() for loss in losses.values()]
        assert list(losses) == ([*range(1, 23)] if name == "critic" else [3, 6, 9, 12, 15, 18, 21])
        return 0.0

    script.read_mean = read_mean  # type: ignore[attr-defined]
    model = script.nn.ModuleDict
    torch.manual_seed(0)
    nets = model({"G": script.Generator(), "D": script.Critic()})
    adam = torch.optim.Adam
    parts = {
        "model": nets,
        "critic": adam(nets["D"].parameters(), lr=1e-3, betas=(0.5, 0.9)),
        "generator": adam(nets["G"].parameters(), lr=2e-3, betas=(0.5, 0.9)),
    }
    columns = load_columns(script, gan)
    script.train_epoch(parts, columns, 1)
    of_critic, of_generator = train_by_hand(gan, columns[0])
    np.testing.assert_allclose(seen["critic"][:20], of_critic[:20], atol=1e-5)
    np.testing.assert_allclose(seen["generator"], of_generator, atol=1e-5)


def load_columns(script: ModuleType, folder: Path) -> list[Tensor]:
    return list(script.load_splits(folder, "cpu")["train"])


def test_a_run_leaves_the_figures_of_its_steps(gan: Path) -> None:
    records = read_metrics(gan / "whole" / "metrics.jsonl")
    figures = {"critic.loss", "generator.loss"}
    assert set(records[0]) == {
        "epoch",
        "seconds",
        *(f"train.{name}" for name in figures),
        *(f"val.{name}" for name in (*figures, "gap")),
        "lr.critic",
        "lr.generator",
    }


@pytest.mark.parametrize(
    "text", [GAN, TWO_OPTIMIZERS, TUNED, FROZEN], ids=["gan", "two", "tuned", "frozen"]
)
def test_the_script_is_clean_and_a_killed_run_goes_on_to_the_same_end(
    text: str, tmp_path: Path
) -> None:
    folder = write(text, tmp_path)
    lint(folder)
    done = run(folder, "whole")
    assert done.returncode == 0, done.stderr
    kill_after(folder, "killed", 1, signal.SIGKILL)
    done = run(folder, "killed", "--resume")
    assert done.returncode == 0, done.stderr
    check_equal(folder / "whole", folder / "killed")


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    """With group norm: the running statistics of batch norm are those of each process."""
    folder = write_shared(GAN.replace("batch_norm", "group_norm(2)"), tmp_path)
    lint(folder)
    assert_two_processes_agree(folder, "train.critic.loss", "train.generator.loss", "val.gap")


def test_a_step_changes_nothing_but_its_nets(tmp_path: Path) -> None:
    """With a rate of nothing for one of them, it stays as it was."""
    folder = write(GAN.replace("lr=2e-3", "lr=1e-30"), tmp_path)
    assert run(folder, "out").returncode == 0
    state = torch.load(folder / "out" / "last.pt", weights_only=True)["model"]
    torch.manual_seed(0)
    model = import_script(folder, "model")
    g, d = model.Generator(), model.Critic()
    for name, parameter in g.named_parameters():
        assert torch.allclose(state[f"G.{name}"], parameter, rtol=0, atol=1e-20), name
    assert not any(torch.equal(state[f"D.{name}"], p) for name, p in d.named_parameters())


def test_half_precision_scales_each_step(tmp_path: Path) -> None:
    train = open_train(GAN.replace("batch 64", "precision f16\n    batch 64"), tmp_path)
    text = emit_script(ScriptSpec(train))
    assert "scaler.scale(loss).backward(inputs=parameters)" in text
    assert text.count("scaler.update()") == 1
    assert '"scaler": scaler' in text


def test_a_loss_that_is_no_number_is_told_with_its_step(tmp_path: Path) -> None:
    folder = write(GAN.replace("adam(lr=1e-3, betas=[0.5, 0.9])", "sgd(lr=1e30)"), tmp_path)
    done = run(folder, "out")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("the loss of critic is nan at step ")


REFUSED = [
    ("over G with", "with", "W1482"),
    ("step generator,", "step critic,", "W1481"),
    ("every=3steps", "every=0", "W0601"),
    ("every=3steps", "every=3epochs", "W0208"),
    ("every=3steps", "often=3", "W0208"),
    ("step generator, every=3steps", "step", "W0208"),
    ("over G with", "over H with", "W0201"),
    ("batch 64", "minimize mean(D(image)) over D with sgd(lr=1e-3) batch 64", "W1480"),
    ("batch 64", "until stalled(val.loss, epochs=3) batch 64", "W0620"),
    ("batch 64", "until stalled(val.gap, epochs=3) batch 64", "W1202"),
    ("batch 64", "regularize l2(1e-3) batch 64", "W1483"),
    ("metric gap", "net E = Critic() metric gap", "W0205"),
    ("with adam(lr=1e-3, betas=[0.5, 0.9])", "with lbfgs()", "W1483"),
    ("metric gap = mean(D(image)) - mean(D(fake))", "metric gap = mean(code)", ""),
    ("D(G(code))", "D(G(fake))", "W0201"),  # a name of the step before
]


@pytest.mark.parametrize(("old", "new", "code"), REFUSED)
def test_what_a_step_cannot_be_is_told(old: str, new: str, code: str, tmp_path: Path) -> None:
    assert old in GAN
    np.savez(tmp_path / "digits.npz", image=np.zeros((99, 8, 8), np.uint8))
    path = tmp_path / "spec.weft"
    path.write_text(GAN.replace(old, new))
    sink = Sink()
    check(path, sink=sink)
    errors = {m.code for m in sink.messages if m.severity.value == "error"}
    assert errors == ({code} if code else set()), [m.text.title for m in sink.messages]


def test_a_net_that_is_given_draws_alone_is_deployed_and_verified(tmp_path: Path) -> None:
    save_data(tmp_path)
    code = "code = reshape(image, [batch, 64])[:, 16:32]"
    spec = GAN.replace(code, "code = normal([batch, 16])").replace("epochs 2", "epochs 1")
    path = tmp_path / "spec.weft"
    path.write_text(f"{spec}deploy fit.G as onnx {{ dynamic batch }}\n")
    done = CliRunner().invoke(app, ["build", str(path), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "NumPy, PyTorch and ONNX Runtime agree" in report
    assert "critic.loss" in report


def test_a_variant_of_a_net_of_steps_is_not_trained_on(tmp_path: Path) -> None:
    np.savez(tmp_path / "digits.npz", image=np.zeros((99, 8, 8), np.uint8))
    path = tmp_path / "spec.weft"
    path.write_text(f"{GAN}variant small of fit.G {{ apply finetune(epochs=1) }}\n")
    sink = Sink()
    check(path, sink=sink)
    assert [m.code for m in sink.messages if m.severity.value == "error"] == ["W1483"]


TWO_NETS = """
model M() {
    input image: f32[batch, 64]
    output logits = image -> dense(10) as d
}
model H() {
    input x: f32[batch, 10]
    output y = x -> dense(10)
}
data digits {
    source npz("digits.npz")
    image = (image / 16) -> flatten(0)
    split random(seed=0), train=80%, val=20%
}
train fit of M on digits {
    net helper = H()
    minimize cross_entropy(logits + helper(logits), label) with adam(lr=1e-2)
    batch 64  epochs 1  seed 0
}
"""


def test_the_net_of_a_train_stands_beside_others(tmp_path: Path) -> None:
    """`train f of M` with another net: both are modules of the script, `M` under its own name."""
    folder = write(TWO_NETS, tmp_path)
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
    weights = load_file(tmp_path / "out" / "best.safetensors")
    helper = ["helper.dense.bias", "helper.dense.weight"]
    assert sorted(weights) == ["M.d.bias", "M.d.weight", *helper]


def test_the_model_of_a_train_goes_on_to_mean_the_model(tmp_path: Path) -> None:
    """`net other = M()` beside it is another net, and the train's name is its own."""
    spec = TWO_NETS.replace("net helper = H()", "net helper = M()")
    spec = spec.replace("helper(logits), label)", "helper(image), label) over fit")
    folder = write(spec.replace("batch 64", "freeze helper\n    batch 64"), tmp_path)
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
    weights = load_file(tmp_path / "out" / "best.safetensors")
    assert sorted(weights) == ["M.d.bias", "M.d.weight", "helper.d.bias", "helper.d.weight"]
    assert not torch.equal(weights["M.d.weight"], weights["helper.d.weight"])
