"""`freeze "stem.*", until=3epochs`: frozen at first, trained from a later epoch on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from compiler.describe import describe_program
from compiler.driver import check
from compiler.report.diagnostics import Message, Sink
from tests.train_scripts import (
    PLAIN,
    assert_two_processes_agree,
    check_equal,
    kill_after,
    lint,
    load_state,
    run,
    save_data,
    share,
    write,
)

ADAM = PLAIN.replace("OPTIMIZER", "adamw(lr=0.02, weight_decay=0.3)")

UNTIL = '    freeze "hidden", until=2epochs\n    batch 24  epochs 4'
FOREVER = '    freeze "hidden"\n    batch 24  epochs 2'
GIVEN = "    batch 24  epochs 6"
TWO = """
model Net(width: int = 6) {
    input features: f32[batch, 4]
    output logits: f32[batch, 3] = features -> dense(width) as hidden -> batch_norm as norm
        -> tanh -> dense(3) as head
}
data iris {
    source npz("iris.npz")
    split random(seed=0), train=96, val=27, test=27
}
train fit on iris {
    net left = Net()
    net right = Net(width=5)
    freeze left, "right.head", until=1epoch
    minimize cross_entropy(left(features) + right(features), label) with sgd(lr=0.1, momentum=0.9)
    batch 24  epochs 3  seed 3
}
"""


def write_both(folder: Path) -> tuple[Path, Path]:
    """A training whose first layer rests at first, and one of half its length where it always
    does."""
    late, never = folder / "late", folder / "never"
    for place, clauses in ((late, UNTIL), (never, FOREVER)):
        place.mkdir()
        write(ADAM.replace(GIVEN, clauses), place)
    return late, never


def test_weights_rest_and_are_trained_after(tmp_path: Path) -> None:
    late, never = write_both(tmp_path)
    lint(late)
    for folder in (late, never):
        done = run(folder, "out")
        assert done.returncode == 0, done.stderr
    first, second = (load_state(folder / "out") for folder in (never, late))
    assert not torch.equal(second["model"]["hidden.weight"], first["model"]["hidden.weight"])
    steps = {int(state["step"]) for state in second["optimizer"]["state"].values()}
    assert len(steps) == 2, "what rested has taken half of the steps"


def test_until_then_it_is_the_training_that_never_thaws(tmp_path: Path) -> None:
    """Stopped behind the second epoch, and gone on with as if nothing had been."""
    late, never = write_both(tmp_path)
    assert run(never, "out").returncode == 0
    text = (late / "train.py").read_text()
    saved = "save(out, parts, history)\n"
    stop = '        if epoch == 2 and not Path("go").exists():\n            sys.exit("stop")\n'
    (late / "train.py").write_text(text.replace(f"        {saved}", f"        {saved}{stop}"))
    assert "stop" in run(late, "out").stderr
    first, second = (load_state(folder / "out") for folder in (never, late))
    assert second["optimizer"]["state"].keys() == first["optimizer"]["state"].keys()
    torch.testing.assert_close(dict(second["model"]), dict(first["model"]))
    assert torch.equal(second["model"]["hidden.weight"], first["model"]["hidden.weight"])
    (late / "go").touch()
    assert run(late, "out", "--resume").returncode == 0
    assert run(late, "whole").returncode == 0
    check_equal(late / "out", late / "whole")


def test_a_killed_training_goes_on(tmp_path: Path) -> None:
    folder = write(ADAM.replace(GIVEN, UNTIL.replace("epochs 4", "epochs 40")), tmp_path)
    kill_after(folder, "out", 1, signal.SIGKILL)
    assert run(folder, "out", "--resume").returncode == 0
    assert run(folder, "whole").returncode == 0
    check_equal(folder / "out", folder / "whole")


def test_nets_that_rest_whole_keep_their_statistics(tmp_path: Path) -> None:
    folder = write(TWO, tmp_path)
    lint(folder)
    text = (folder / "train.py").read_text()
    assert 'if epoch <= 1:\n        model["left"].eval()' in text
    assert 'model["right"].eval()' not in text
    assert run(folder, "out").returncode == 0
    counted = load_file(folder / "out" / "best.safetensors")
    assert torch.isfinite(counted["left.norm.running_mean"]).all()


def test_processes_share_what_is_trained_so_far(tmp_path: Path) -> None:
    folder = write(share(ADAM.replace(GIVEN, UNTIL)), tmp_path)
    lint(folder)
    assert_two_processes_agree(folder, "val.loss")


def test_groups_and_scaled_losses(tmp_path: Path) -> None:
    groups = 'sgd(lr=0.1) over "hidden" with adamw(lr=0.01)'
    clauses = UNTIL + "  clip norm=0.5"
    folder = write(PLAIN.replace("OPTIMIZER", groups).replace(GIVEN, clauses), tmp_path)
    lint(folder)
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr


def elaborate(text: str, folder: Path) -> list[Message]:
    save_data(folder)
    (folder / "spec.weft").write_text(text)
    sink = Sink()
    check(folder / "spec.weft", sink=sink)
    return sink.messages


@pytest.mark.parametrize(
    ("clauses", "code"),
    [
        ('freeze "hidden", until=6epochs', "W1546"),
        ('freeze "hidden", until=900epochs', "W1546"),
        ('freeze "hidden", until=2epochs  freeze "hidden.bias"', "W1545"),
        ('freeze "hidden", until=2epochs  freeze "*.bias", until=3epochs', "W1545"),
        ('freeze "*", until=2epochs', "W0615"),
        ('freeze "hiden", until=2epochs', "W0616"),
        ('freeze "hidden", until=2', "W0208"),
        ('freeze "hidden", until=2steps', "W0208"),
        ('freeze "hidden", until=0epochs', "W0601"),
        ('freeze "hidden", until=1.5epochs', "W0208"),
        ('freeze "hidden", until="2"', "W0208"),
        ('freeze "hidden", untill=2epochs', "W0208"),
        ('freeze "hidden", until=2epochs  regularize group_lasso(1e-3)', "W1547"),
    ],
)
def test_what_cannot_be_is_told(clauses: str, code: str, tmp_path: Path) -> None:
    messages = elaborate(ADAM.replace(GIVEN, f"    {clauses}\n{GIVEN}"), tmp_path)
    assert code in [m.code for m in messages if m.severity.name == "ERROR"]


def test_an_optimizer_of_all_weights_cannot_wait(tmp_path: Path) -> None:
    text = PLAIN.replace("OPTIMIZER", "lbfgs").replace(GIVEN, UNTIL)
    assert "W1547" in [m.code for m in elaborate(text, tmp_path)]


def test_a_penalty_on_what_rests_is_fine(tmp_path: Path) -> None:
    text = ADAM.replace(GIVEN, UNTIL + "  regularize l2(1e-3)")
    assert elaborate(text, tmp_path) == []
    program = check(tmp_path / "spec.weft", sink=Sink())
    assert program is not None
    assert "freeze hidden until epoch 2" in describe_program(program)
