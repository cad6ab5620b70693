"""A text of a user is shown on a terminal, which never obeys it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.system.files import write_text
from tests.test_commands import ROOT, weft
from weft.api import Spec, load, loads

STRANGE = "\x1b[31m\x9d\u202e"
"""An escape sequence, a control character of C1, and one that turns the direction round."""

SPEC = """\
## about ~
model `M` (`wid~`: int = 2) {
    ## about ~
    input `a~`: f32[`n~`, 2]
    output `z~`: f32[`n~`, 2] = `a~` -> dense(`wid~` * 2) as hidden -> relu -> dense(2)
}
## about ~
data `D` {
    source csv("t.csv")
    `a~` = stack([`p~`, `q~`], axis=0)
    split in_order, train=50%, val=25%, test=25%
}
## about ~
train `fit` (`lr~`: float = 0.1) of `M` on `D` {
    minimize cross_entropy(`z~`, `l~`) with sgd(lr=`lr~`)
    metric `acc~` = accuracy(`z~`, `l~`)
    batch 4
    epochs 1
    seed 0
}
variant tiny of `fit` {
    apply prune(channels=50%)
    require test.`acc~` >= 1%
}
deploy tiny as onnx { dynamic `n~` }
deploy `fit` as onnx { dynamic `n~` labels ["~", "b"] }
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The spec, its data and a build of it beside it."""
    folder = tmp_path_factory.mktemp("strange")
    rows = "".join(f"{k % 2}.5,{k % 3}.5,{k % 2}\n" for k in range(16))
    write_text(folder / "t.csv", f"p~,q~,l~\n{rows}".replace("~", STRANGE))
    write_text(folder / "s.weft", SPEC.replace("~", STRANGE))
    weft("build", "s.weft", "-o", "built", cwd=folder)
    return folder / "s.weft"


def assert_shown(*texts: str) -> None:
    for text in texts:
        assert all(char.isprintable() or char == "\n" for char in text), repr(text)


WEIGHTS = ("--item", "fit", "--weights", "built/fit/best.safetensors")
COMMANDS = {
    "show": (("show", "s.weft"), r"n\x1b[31m"),
    "show json": (("show", "s.weft", "--format", "json"), "{"),
    "check": (("check", "s.weft", "--data"), r"p\x1b[31m"),
    "stages": (("check", "s.weft", "--print-after", "program"), r"z\x1b[31m"),
    "train": (("train", "s.weft", "-o", "trained"), r"acc\x1b[31m"),
    "build": (("build", "s.weft", "-o", "made", "--explain"), r"acc\x1b[31m"),
    "compile": (("compile", "s.weft", *WEIGHTS, "-o", "compiled"), "verified"),
    "verify": (("verify", "s.weft", *WEIGHTS), "verified"),
    "eval": (("eval", "s.weft", "fit", "--onnx", "built/fit.onnx"), r"acc\x1b[31m"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_prints_a_control_character(name: str, spec: Path) -> None:
    arguments, shown = COMMANDS[name]
    done = weft(*arguments, cwd=spec.parent)
    assert_shown(done.stdout, done.stderr)
    assert shown in done.stdout, done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("option", [("--help",), ("--out", "run")])
def test_a_script_prints_no_control_character(option: tuple[str, ...], spec: Path) -> None:
    """It runs without Weft, from the folder that `weft train` wrote."""
    weft("train", "s.weft", "-o", "script", cwd=spec.parent)
    place = spec.parent / "script" / "fit"
    line = [sys.executable, "train.py", "--data", str(spec.parent), *option]
    done = subprocess.run(line, cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_shown(done.stdout, done.stderr)


def test_objects_of_the_interface_are_shown(spec: Path) -> None:
    loaded: Spec = load(spec)
    model = loaded.model("M")
    assert_shown(repr(loaded), repr(model))
    assert r"a\x1b[31m" in repr(model)
    trained = loaded.train("fit", spec.parent / "interface")
    assert r"acc\x1b[31m" in repr(trained)
    assert_shown(repr(trained))


def test_errors_of_generated_modules_are_shown() -> None:
    import torch

    text = """
    model M {
        input x: f32[b, 1, `h~`, 8]
        output y = x -> conv(4, 3)
    }"""
    module = loads(text.replace("~", STRANGE)).model("M").torch()
    with pytest.raises(ValueError, match="must be at least 3") as caught:
        module(torch.zeros(2, 1, 2, 8))
    assert_shown(str(caught.value))
    assert r"h\x1b[31m" in str(caught.value)


def test_commands_print_in_one_way() -> None:
    """Only these print: `say` and `print_page`, and what says before the imports that it ends."""
    allowed = {"printing.py": {"say", "print_page"}, "interrupt.py": {"say_interrupted"}}
    for path in (ROOT / "weft" / "cli").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                prints = any(
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id == "print"
                    for node in ast.walk(function)
                )
                assert not prints or function.name in allowed.get(path.name, set()), path
