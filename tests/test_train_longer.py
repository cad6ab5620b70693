"""`--epochs`: a training that goes on to more epochs ends as one that had them from the start."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backends.pytorch.run.running import read_metrics, refuse_epochs
from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.loading import read_training
from compiler.report.diagnostics import CompileError
from tests.train_scripts import (
    DIGITS,
    GAN,
    PLAIN,
    VAE,
    assert_same,
    load_state,
    open_train,
    run,
    share,
    write,
)
from weft.cli.main import app

PLAINLY = PLAIN.replace("OPTIMIZER", "sgd(lr=0.05, momentum=0.9)")
NOISY = DIGITS.replace("schedule=cosine(warmup=5%)", "schedule=step(3epochs, factor=0.5)")
SPECS = {"plain": PLAINLY, "noisy": NOISY, "vae": VAE, "gan": GAN}


def shorten(spec: str, epochs: int) -> str:
    return re.sub(r"epochs \d+  seed", f"epochs {epochs}  seed", spec)


@pytest.mark.parametrize("name", SPECS)
def test_a_longer_training_is_that_of_its_epochs(name: str, tmp_path: Path) -> None:
    long, short = tmp_path / "long", tmp_path / "short"
    for folder, epochs in ((long, 4), (short, 2)):
        folder.mkdir()
        write(shorten(SPECS[name], epochs), folder)
    assert run(long, "out").returncode == 0
    assert run(short, "out").returncode == 0
    done = run(short, "out", "--resume", "--epochs", "4")
    assert done.returncode == 0, done.stderr
    one, two = (load_state(folder / "out") for folder in (long, short))
    for state in (one, two):
        for record in state["history"]:
            record.pop("seconds")
    assert_same(one, two)
    left, right = (read_training(f / "out" / "best.safetensors") for f in (long, short))
    assert left == right
    assert run(short, "out", "--resume").returncode == 1  # of 2 epochs it is not
    assert run(short, "out", "--resume", "--epochs", "4").returncode == 0
    done = run(short, "out", "--resume", "--epochs", "3")
    assert "has 4 epochs, more than 3" in done.stderr


FOLLOWED = [
    DIGITS,
    PLAIN.replace("OPTIMIZER", "adam(lr=1e-3, schedule=polynomial)"),
    PLAIN.replace("OPTIMIZER", "adamw(lr=1e-3, weight_decay=cosine(0.1, 0.4))"),
    PLAIN.replace("OPTIMIZER", "sgd(lr=0.1, schedule=plateau(val.loss, warmup=5%))"),
    VAE.replace("minimize likelihood", "minimize min(1, step / 9) * likelihood"),
]


@pytest.mark.parametrize("spec", FOLLOWED)
def test_what_follows_the_whole_training_is_refused(spec: str, tmp_path: Path) -> None:
    train = open_train(spec, tmp_path)
    with pytest.raises(CompileError) as caught:
        refuse_epochs(train, 40)
    assert [message.code for message in caught.value.messages] == ["W1565"]
    assert '"--epochs"' not in emit_script(ScriptSpec(train))


@pytest.mark.parametrize("spec", [*SPECS.values(), share(GAN), *FOLLOWED])
def test_scripts_that_take_it_follow_no_number_of_epochs(spec: str, tmp_path: Path) -> None:
    """`EPOCHS` stands in no function but `main`."""
    script = ScriptSpec(open_train(spec, tmp_path))
    tree = ast.parse(emit_script(script))
    functions = [f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name != "main"]
    read = {n.id for f in functions for n in ast.walk(f) if isinstance(n, ast.Name)}
    assert ("EPOCHS" not in read) == script.extends


def test_the_command_goes_on(tmp_path: Path) -> None:
    open_train(shorten(PLAINLY, 2), tmp_path)
    command = ["train", str(tmp_path / "spec.weft"), "-o", str(tmp_path / "out")]
    runner = CliRunner()
    assert runner.invoke(app, command).exit_code == 0
    assert runner.invoke(app, [*command, "--epochs", "5"]).exit_code == 1  # --resume is missing
    done = runner.invoke(app, [*command, "--resume", "--epochs", "5"])
    assert done.exit_code == 0, done.output
    assert len(read_metrics(tmp_path / "out" / "fit" / "metrics.jsonl")) == 5
    (tmp_path / "spec.weft").write_text(shorten(PLAINLY, 5))
    assert runner.invoke(app, [*command, "--resume"]).exit_code == 0
