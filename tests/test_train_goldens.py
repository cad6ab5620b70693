"""Generated training scripts as a person would have written them: golden texts."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.driver import check
from compiler.program.train import Train
from compiler.report.diagnostics import Sink
from tests.conftest import Golden
from tests.table_train import TABLE, write_table
from tests.train_scripts import (
    ADAPT,
    AUGMENTED,
    DINO,
    GAN,
    MOCO,
    NETS,
    PLAIN,
    VAE,
    assert_scripts_clean,
    open_train,
    share,
)

ROOT = Path(__file__).resolve().parents[1]
GOOD = Path(__file__).parent / "good" / "train"
EXAMPLE = (ROOT / "specs" / "examples" / "digits.weft").read_text(encoding="utf-8")
TWO = 'adamw(lr=0.02) over "hidden.*" with sgd(lr=0.1, momentum=0.9, schedule=cosine)'
ENSEMBLE = (ROOT / "specs" / "examples" / "ensemble.weft").read_text(encoding="utf-8")
FITTED = TABLE.replace("x = concat", "b = b -> standardize\n    x = concat").replace(
    "batch 4", 'batch 4\n    precision f16\n    clip norm=1.0\n    freeze "head.bias"'
)
WARMED = VAE.replace(
    "minimize likelihood + beta", "warmth = min(1, step / 40)\n    minimize likelihood + warmth"
).replace("draw(mu, logvar)", "draw(mu, linear(-4.0, 0.0, over_first=1epoch) + logvar)")

SPECS = {
    "digits": EXAMPLE,
    "digits_shared": share(EXAMPLE),
    "two_optimizers": PLAIN.replace("OPTIMIZER", TWO),
    "plateau": PLAIN.replace("OPTIMIZER", "sgd(lr=0.1, schedule=plateau(val.accuracy))"),
    "lbfgs": PLAIN.replace("OPTIMIZER", "lbfgs"),
    "several_nets": NETS,
    "several_nets_shared": share(NETS),
    "table": FITTED,
    "vae": VAE,
    "vae_shared": share(VAE),
    "vae_warmed": WARMED,
    "vae_parts_shared": share(WARMED.replace("epochs 3", "epochs 3  epoch 30steps  accumulate 4")),
    "gan": GAN,
    "several_data": ADAPT,
    "several_data_shared": share(ADAPT),
    "dino": DINO,
    "dino_shared": share(DINO),
    "moco": MOCO,
    "moco_shared": share(MOCO),
    "gan_shared": share(GAN),
    "judged": ENSEMBLE,
    "augmented": AUGMENTED,
    "kept_shared": share(VAE.replace("epochs 3", "epochs 3  checkpoint every=200steps")),
    "kept_steps": GAN.replace("epochs 2", "epochs 2  checkpoint every=10min"),
}
LONGEST = {"digits": 221, "digits_shared": 268, "several_data": 385, "several_data_shared": 445}
"""Lines that a script may have."""


def find_train(name: str, folder: Path) -> Train:
    if name not in ("table", "judged"):
        return open_train(SPECS[name], folder)
    sink = Sink()
    program = check(write_table(folder, SPECS[name]), sink=sink)
    assert program is not None
    assert not sink.has_errors, [m.text.title for m in sink.messages]
    return program.trains["fit" if name == "table" else "judged"]


@pytest.mark.parametrize("name", SPECS)
def test_the_text_is_the_golden_one(name: str, golden: Golden, tmp_path: Path) -> None:
    text = emit_script(ScriptSpec(find_train(name, tmp_path)))
    golden.check(GOOD / f"{name}.py", text)
    assert len(text.splitlines()) <= LONGEST.get(name, 377)


@pytest.mark.parametrize("name", SPECS)
def test_main_is_read_at_a_glance(name: str) -> None:
    """Where it would be long, processes and options are functions of their own."""
    tree = ast.parse((GOOD / f"{name}.py").read_text(encoding="utf-8"))
    (main,) = (s for s in tree.body if isinstance(s, ast.FunctionDef) and s.name == "main")
    assert main.end_lineno is not None
    assert main.end_lineno - main.lineno < 50


@pytest.mark.parametrize("name", SPECS)
def test_nothing_stands_in_a_script_that_is_not_used(name: str) -> None:
    """Every constant, function and parameter is read."""
    tree = ast.parse((GOOD / f"{name}.py").read_text(encoding="utf-8"))
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            assert {t.id for t in statement.targets if isinstance(t, ast.Name)} <= read
        if isinstance(statement, ast.FunctionDef):
            assert statement.name in read
            inside = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}
            assert {argument.arg for argument in statement.args.args} <= inside


def test_one_process_knows_of_no_others() -> None:
    for name in SPECS:
        text = (GOOD / f"{name}.py").read_text(encoding="utf-8")
        for word in ("RANK", "WORLD", "dist.", "torchrun"):
            assert (word in text) == name.endswith("_shared"), (name, word)


def test_ruff_would_change_nothing_in_the_goldens(tmp_path: Path) -> None:
    names = [f"{name}.py" for name in SPECS]
    for name in names:
        shutil.copy(GOOD / name, tmp_path / name)
    (tmp_path / "model.py").touch()  # which the scripts import
    assert_scripts_clean(tmp_path, *names)


def test_every_golden_is_used() -> None:
    assert {path.name for path in GOOD.glob("*.py")} == {f"{name}.py" for name in SPECS}
