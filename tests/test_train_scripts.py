"""Generated training scripts, run: deterministic, resumed exactly, divided among processes."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from backends.pytorch.run.running import read_metrics, run_training
from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.report.diagnostics import CompileError
from tests.train_scripts import (
    DIGITS,
    NETS,
    PLAIN,
    assert_two_processes_agree,
    check_equal,
    kill_after,
    lint,
    open_train,
    run,
    run_two,
    write,
    write_shared,
)

# --- whole runs -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script of `DIGITS` and a finished run in it."""
    folder = write(DIGITS, tmp_path_factory.mktemp("digits"))
    done = run(folder, "whole")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return folder


def test_a_run_leaves_metrics_weights_and_results(digits: Path) -> None:
    records = read_metrics(digits / "whole" / "metrics.jsonl")
    assert [record["epoch"] for record in records] == [1, 2, 3, 4, 5]
    assert set(records[0]) == {"epoch", "train.loss", "val.loss", "val.accuracy", "lr", "seconds"}
    assert records[-1]["train.loss"] < records[0]["train.loss"]
    results = json.loads((digits / "whole" / "results.json").read_text())
    assert results["test"]["accuracy"] > 0.9
    best = max(records, key=lambda r: (r["val.accuracy"], -r["val.loss"]))
    assert results["best_epoch"] == best["epoch"]
    assert results["val"]["accuracy"] == best["val.accuracy"]
    weights = load_file(digits / "whole" / "best.safetensors")
    train = open_train(DIGITS, digits)
    paths = {p.path for p in train.nets[0].net.graph.parameters}
    assert paths <= set(weights)
    assert not list((digits / "whole").glob("*.part"))


def test_the_script_is_clean(digits: Path) -> None:
    lint(digits)


def test_a_second_run_is_equal_bit_for_bit(digits: Path) -> None:
    assert run(digits, "again").returncode == 0
    check_equal(digits / "whole", digits / "again")


def test_a_killed_run_goes_on_to_the_same_end(digits: Path) -> None:
    kill_after(digits, "killed", 2, signal.SIGKILL)
    kill_after(digits, "killed", 1, signal.SIGTERM, "--resume")
    done = run(digits, "killed", "--resume")
    assert done.returncode == 0, done.stderr
    check_equal(digits / "whole", digits / "killed")


def test_a_finished_run_resumed_evaluates_only(digits: Path) -> None:
    shutil.copytree(digits / "whole", digits / "finished")
    done = run(digits, "finished", "--resume")
    assert "epoch 1" not in done.stdout
    check_equal(digits / "whole", digits / "finished")


def test_a_fresh_run_forgets_the_one_before(digits: Path) -> None:
    shutil.copytree(digits / "whole", digits / "twice")
    kill_after(digits, "twice", 1, signal.SIGKILL, "--overwrite")
    assert not (digits / "twice" / "results.json").exists()
    assert run(digits, "twice", "--resume").returncode == 0
    check_equal(digits / "whole", digits / "twice")


def test_run_training_gives_the_results(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    epochs: list[float] = []
    results = run_training(
        digits,
        data_root=digits,
        out=digits / "called",
        device="cpu",
        on_progress=lambda record: epochs.append(record["epoch"]),
    )
    assert epochs == [1, 2, 3, 4, 5]
    assert set(results.figures) == {"val", "test"}
    assert results.weights.exists()


# --- early stopping, options -------------------------------------------------------------------


STOPPING = DIGITS.replace("epochs 5", "epochs 40").replace(
    "seed 0\n}", "seed 0\n    until stalled(val.accuracy, epochs=2)\n}"
)


def test_early_stopping_survives_a_kill(tmp_path: Path) -> None:
    folder = write(STOPPING, tmp_path)
    assert run(folder, "whole").returncode == 0
    results = json.loads((folder / "whole" / "results.json").read_text())
    assert results["epochs"] == results["best_epoch"] + 2 < 40
    kill_after(folder, "killed", results["epochs"] - 1, signal.SIGKILL)
    assert run(folder, "killed", "--resume").returncode == 0
    check_equal(folder / "whole", folder / "killed")


OPTIONS = {
    "clip": "clip 0.5",
    "clip_value": "clip value=0.5",
    "bf16": "precision bf16",
    "f16": "precision f16  clip 0.5",
    "layout": 'layout "channels_last"',
    "freeze": 'freeze "conv.*"',
    "until_loss": "until stalled(val.loss, epochs=3)",
}


@pytest.mark.parametrize(
    "options", [("f16", "layout"), ("bf16", "clip_value", "freeze", "until_loss")], ids="-".join
)
def test_options_run_resume_and_are_clean(options: tuple[str, ...], tmp_path: Path) -> None:
    clauses = "  ".join(OPTIONS[option] for option in options)
    text = DIGITS.replace("epochs 5", "epochs 2").replace("seed 0\n}", f"seed 0  {clauses}\n}}")
    folder = write(text, tmp_path)
    lint(folder)
    done = run(folder, "whole")
    assert done.returncode == 0, done.stderr
    kill_after(folder, "killed", 1, signal.SIGKILL)
    assert run(folder, "killed", "--resume").returncode == 0
    check_equal(folder / "whole", folder / "killed")


def test_only_what_is_asked_for_is_written(tmp_path: Path) -> None:
    words = {
        "clip": "clip_grad_norm_",
        "clip_value": "clip_grad_value_",
        "bf16": "torch.bfloat16",
        "f16": "GradScaler",
        "layout": "channels_last",
        "freeze": "requires_grad",
        "until_loss": "PATIENCE",
    }
    plain = emit_script(ScriptSpec(open_train(DIGITS, tmp_path)))
    for option, clause in OPTIONS.items():
        text = emit_script(
            ScriptSpec(open_train(DIGITS.replace("seed 0\n}", f"seed 0  {clause}\n}}"), tmp_path))
        )
        assert words[option] in text
        assert words[option] not in plain
    assert "--data" in plain
    assert "--data" not in emit_script(
        ScriptSpec(open_train(DIGITS.replace('npz("digits.npz")', 'sklearn("digits")'), tmp_path))
    )
    assert "manual_seed(SEED + 1000 * epoch" in plain  # dropout
    assert "manual_seed(SEED + 1000" not in emit_script(
        ScriptSpec(open_train(PLAIN.replace("OPTIMIZER", "sgd(lr=0.1)"), tmp_path))
    )


def test_frozen_parameters_stay(tmp_path: Path) -> None:
    text = DIGITS.replace("epochs 5", "epochs 1").replace("seed 0\n}", 'seed 0  freeze "conv.*"\n}')
    folder = write(text, tmp_path)
    assert run(folder, "run").returncode == 0
    weights = load_file(folder / "run" / "best.safetensors")
    sys.path.insert(0, str(folder))
    sys.modules.pop("model", None)
    try:
        import model  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(folder))
    torch.manual_seed(0)
    fresh = model.DigitNet().state_dict()
    assert torch.equal(weights["conv.weight"], fresh["conv.weight"])
    assert not torch.equal(weights["head.weight"], fresh["head.weight"])


@pytest.mark.parametrize(
    "optimizer",
    [
        "sgd(lr=0.1, momentum=0.9, nesterov=true, schedule=step(every=2epochs))",
        "adam(lr=0.02, schedule=exponential(0.9))",
        'adamw(lr=0.02, weight_decay=0, schedule=cosine) over "*.bias" '
        "with adamw(lr=0.01, schedule=cosine)",
        'sgd(lr=0.1, momentum=0.9, schedule=step(every=2epochs)) over "*.bias" with sgd(lr=0.2)',
        'adamw(lr=0.02) over "hidden.*" with sgd(lr=0.1, momentum=0.9, schedule=cosine)',
        'muon(lr=0.02, schedule=one_cycle) over "*.weight" with lion(lr=0.01)',
        'lamb over "hidden.*" with sgd(lr=0.1, momentum=0.9, velocity="steps") over "head.bias" '
        "with rmsprop(momentum=0.9, schedule=multi_step([2epochs, 80%]))",
        "lookahead(sgd(lr=0.1, momentum=0.9, schedule=cosine), k=3, alpha=0.3)",
        'lookahead(lamb, k=7) over "*.weight" with lookahead(adam(lr=0.02))',
        'nadam(schedule=cosine_restarts(1epoch, growth=2)) over "hidden.weight" '
        'with radam over "hidden.bias" with adamax over "head.bias" with adagrad',
    ],
)
def test_optimizers_run_and_resume(optimizer: str, tmp_path: Path) -> None:
    folder = write(PLAIN.replace("OPTIMIZER", optimizer), tmp_path)
    lint(folder)
    done = run(folder, "whole")
    assert done.returncode == 0, done.stderr
    kill_after(folder, "killed", 2, signal.SIGKILL)
    assert run(folder, "killed", "--resume").returncode == 0
    check_equal(folder / "whole", folder / "killed")


# --- several processes ----------------------------------------------------------------------


TAKEN = NETS.replace("body", "train").replace("head", "values")
"""Nets with names of methods of PyTorch's modules."""


@pytest.mark.parametrize("text", [PLAIN.replace("OPTIMIZER", "adamw(lr=0.02)"), NETS, TAKEN])
def test_two_processes_give_what_one_gives(text: str, tmp_path: Path) -> None:
    folder = write_shared(text, tmp_path)
    lint(folder)
    assert_two_processes_agree(folder, "train.loss", "val.loss", "val.accuracy")


def test_no_thread_of_the_process_group_outlives_it(tmp_path: Path) -> None:
    folder = write_shared(PLAIN.replace("OPTIMIZER", "adamw(lr=0.02)"), tmp_path)
    script = folder / "train.py"
    leave = "        dist.destroy_process_group()\n"
    count = """
        tasks = Path("/proc/self/task").iterdir()
        names = [(task / "comm").read_text().strip() for task in tasks]
        print("left", [name for name in names if "gloo" in name], file=sys.stderr)
"""
    text = script.read_text()
    assert text.count(leave) == 1
    script.write_text(text.replace(leave, leave + count))
    done = run_two(folder, "two")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("left []") == 2, done.stderr  # one of them can abort Python's end


def test_processes_part_where_a_training_ends_early(tmp_path: Path) -> None:
    loss = "minimize log(0 * mean(logits ** 2)) + cross_entropy"
    text = PLAIN.replace("OPTIMIZER", "sgd").replace("minimize cross_entropy", loss)
    folder = write_shared(text, tmp_path)
    script = folder / "train.py"
    leave = "dist.destroy_process_group()"
    text = script.read_text()
    assert text.count(leave) == 1
    script.write_text(text.replace(leave, f"{leave}\n        print('left', file=sys.stderr)"))
    done = run_two(folder, "two")
    assert done.returncode != 0
    assert "the loss is" in done.stderr
    assert done.stderr.count("left") == 2  # else threads of the group outlive Python, and abort it


def test_several_nets_start_from_loaded_weights(tmp_path: Path) -> None:
    folder = write(NETS, tmp_path)
    start = load_file(folder / "start.safetensors")
    assert set(start) == {"head.fc.weight"}
    assert torch.equal(start["head.fc.weight"], torch.full((3, 24), 0.1))
    text = (folder / "train.py").read_text()
    assert '"start.safetensors"' in text
    assert '    model["frozen"].eval()' in text


# --- failures ---------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_stops_with_epoch_and_step(tmp_path: Path) -> None:
    folder = write(PLAIN.replace("OPTIMIZER", "sgd(lr=1e38)"), tmp_path)
    with pytest.raises(CompileError) as caught:
        run_training(folder, data_root=folder, out=folder / "run", device="cpu")
    (message,) = caught.value.messages
    assert message.code == "W0861"
    assert "epoch 1, step" in message.text.title
    assert "is the first expression of the objective that is not finite" in message.text.label


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=np.zeros((40, 3), np.float32), y=np.arange(40) % 2)
    text = (
        "model Net {\n    input x: f32[batch, 3]\n"
        "    output logits: f32[batch, 2] = x -> dense(2) as head\n}\n"
        'data rows { source npz("rows.npz")  split in_order, train=50%, val=50% }\n'
        "train fit of Net on rows {\n    minimize cross_entropy(logits, y) with sgd(lr=0.1)\n"
        "    batch 8  epochs 1  seed 0\n}\n"
    )
    folder = write(text, tmp_path)
    lint(folder)
    (folder / "rows.npz").rename(folder / "gone.npz")
    with pytest.raises(CompileError) as caught:
        run_training(folder, data_root=folder, device="cpu")
    (message,) = caught.value.messages
    assert message.code == "W0860"
    assert "rows.npz" in message.text.title
    (folder / "gone.npz").rename(folder / "rows.npz")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = run(folder, str(elsewhere), "--data", str(folder))
    assert done.returncode == 0, done.stderr


WEIGHTED = """
model Tagger {
    input tokens: i64[batch, t]
    x = tokens -> embedding(12, 8, padding_idx=0) as embed
    output logits: f32[batch, t, 3] = x -> dense(3) as head
}
data tags {
    source npz("tags.npz")
    split in_order, train=50%, val=25%, test=25%
}
train fit of Tagger on tags {
    minimize cross_entropy(logits, tag, axis=-1) with adamw(lr=1e-2)
    metric plain = accuracy(logits, tag)
    metric seen = accuracy(logits, tag, mask=tokens != 0)
    metric rare = accuracy(logits, tag, weight=[0.2, 1.0, 3.0])
    metric top = top_k(logits, tag, 2, mask=tokens != 0, weight=[0.2, 1.0, 3.0])
    metric heavy = perplexity(logits, tag, weight=cast(tokens, f32))
    metric error = mse(logits[:, :, 0], cast(tag, f32), mask=tag >= 0)
    metric hits = mean(cast((argmax(logits[:, 0], axis=1) == 0) and (tag[:, 0] == 0), f32))
    batch 8  epochs 2  seed 0
}
deploy fit as onnx
"""


RARE = "cross_entropy(logits, tag, axis=-1, weight=[0.2, 1.0, 3.0])"
WEIGHTED_LOSS = re.sub(r"    metric (?!plain).*\n", "", WEIGHTED).replace(
    "    batch 8", f"    metric rare = 1 - 2 * {RARE}\n    batch 8"
)


def tag_tokens(spec: str, folder: Path, share: float | None) -> tuple[Any, Any, Any]:
    """The figures of the test split of a run on tagged tokens, with what the net puts out there and
    the tags. `share` is that of the tokens in a row that count; None: another one for each row."""
    drawn = np.random.default_rng(0)
    shares = drawn.random((40, 1)) if share is None else share
    tokens = drawn.integers(1, 12, (40, 6)) * (drawn.random((40, 6)) < shares)
    tag = np.where(tokens > 0, tokens % 3, -100)
    np.savez(folder / "tags.npz", tokens=tokens, tag=tag)
    write(spec, folder)
    lint(folder)
    done = run(folder, "run")
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "run" / "results.json").read_text())
    weights = load_file(folder / "run" / "best.safetensors")
    scores = weights["embed.weight"].numpy()[tokens] @ weights["head.weight"].numpy().T
    return results["test"], (scores + weights["head.bias"].numpy())[30:], tag[30:]


def test_weighted_losses_are_those_of_the_whole_split(tmp_path: Path) -> None:
    figures, scores, tag = tag_tokens(WEIGHTED_LOSS, tmp_path, None)
    seen = tag != -100
    shares = np.exp(scores) / np.exp(scores).sum(2, keepdims=True)
    losses = -np.log(shares[seen][np.arange(seen.sum()), tag[seen]])
    assert figures["loss"] == pytest.approx(losses.mean(), rel=1e-5)
    rare = np.average(losses, weights=np.array([0.2, 1.0, 3.0])[tag[seen]])
    assert figures["rare"] == pytest.approx(1 - 2 * rare, rel=1e-5)


def test_weighted_metrics_are_those_of_numpy(tmp_path: Path) -> None:
    figures, scores, tag = tag_tokens(WEIGHTED, tmp_path, 0.7)
    right, seen = scores.argmax(2) == tag, tag != -100
    assert figures["plain"] == pytest.approx(right[seen].mean())
    assert figures["seen"] == pytest.approx(right[seen].mean())
    table = np.array([0.2, 1.0, 3.0])[tag[seen]]
    assert figures["rare"] == pytest.approx(np.average(right[seen], weights=table))
    best = np.argsort(-scores, 2)[:, :, :2]
    hits = (best == tag[:, :, None]).any(2)[seen]
    assert figures["top"] == pytest.approx(np.average(hits, weights=table))
    squares = (scores[:, :, 0] - tag)[seen] ** 2
    assert figures["error"] == pytest.approx(squares.mean(), rel=1e-5)
