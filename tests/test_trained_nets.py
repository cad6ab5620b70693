"""`net teacher = fit`: trains whose nets start from what other trains of the file learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.pytorch.run.running import run_training
from backends.pytorch.train.folder import write_training
from compiler.driver import check
from compiler.ir.weights import read_weights
from compiler.program.program import Program
from compiler.report.diagnostics import CompileError, Message, Sink
from tests.train_scripts import lint
from weft.building.plan import order_trains, plan_build

HEAD = """
model Net(width: int = 8) {
    input features: f32[b, 4]
    output logits: f32[b, 3] = features -> dense(width) as hidden -> tanh -> dense(3) as head
}
data iris {
    source npz("iris.npz")
    split random(seed=0), train=80%, val=20%
}
"""
STUDENT = """
train student on iris {
    net teacher = fit
    net small = Net()
    freeze teacher
    soft = softmax(teacher(features) / 4, axis=-1)
    logits = small(features)
    minimize 0.5 * 16 * cross_entropy(logits / 4, soft) + 0.5 * cross_entropy(logits, label)
        over small with adam(lr=1e-2)
    metric accuracy = accuracy(logits, label)
    batch 20  epochs 2
}
"""
FIT = """
train fit(width: int = 20) of Net(width=width) on iris {
    minimize cross_entropy(logits, label) with adam(lr=1e-2)
    metric accuracy = accuracy(logits, label)
    batch 20  epochs 2
}
"""
TWO = """
train pair on iris {
    net left = Net(width=5)
    net right = Net(width=6)
    minimize cross_entropy(left(features) + right(features), label) with adam(lr=1e-2)
    batch 20  epochs 1
}
"""
DIRECT = """
train direct on iris {
    net m = Net()
    freeze fit
    minimize mse(m(features), fit(features)) with adam(lr=1e-2)
    batch 20  epochs 1
}
"""


def elaborate(text: str, folder: Path) -> tuple[Program, list[Message]]:
    rows = np.random.default_rng(0)
    np.savez(
        folder / "iris.npz",
        features=rows.normal(size=(60, 4)).astype(np.float32),
        label=rows.integers(0, 3, 60),
    )
    path = folder / "spec.weft"
    path.write_text(HEAD + text)
    sink = Sink()
    program = check(path, sink=sink)
    assert program is not None
    return program, sink.messages


def open_program(text: str, folder: Path) -> Program:
    program, messages = elaborate(text, folder)
    assert not messages, [m.text.title for m in messages]
    return program


@pytest.mark.parametrize("text", [STUDENT + FIT, FIT + STUDENT], ids=["before", "after"])
def test_a_student_starts_with_the_teachers_weights(text: str, tmp_path: Path) -> None:
    program = open_program(text, tmp_path)
    student = program.trains["student"]
    assert [n.name for n in student.nets] == ["teacher", "small"]
    assert student.nets[0].net.graph.parameter["hidden.weight"].value.type.known_shape == (20, 4)
    assert [t.name for t in plan_build(program).trains] == ["fit", "student"]
    with pytest.raises(CompileError) as caught:
        write_training(student, tmp_path / "student")
    assert [m.code for m in caught.value.messages] == ["W1103"]
    assert "the train `fit` has not run" in caught.value.messages[0].text.title
    for train in plan_build(program).trains:
        write_training(train, tmp_path / train.name)
        run_training(tmp_path / train.name, data_root=tmp_path, device="cpu")
    lint(tmp_path / "student")
    learned = read_weights(tmp_path / "fit" / "best.safetensors")
    start = read_weights(tmp_path / "student" / "start.safetensors")
    end = read_weights(tmp_path / "student" / "best.safetensors")
    assert set(start) == {f"teacher.{path}" for path in learned}
    for path, array in learned.items():
        assert np.array_equal(start[f"teacher.{path}"], array)
        assert np.array_equal(end[f"teacher.{path}"], array), "it is frozen"


def test_a_net_of_several_is_taken_by_name(tmp_path: Path) -> None:
    text = TWO + DIRECT.replace("fit", "pair.right")
    program = open_program(text, tmp_path)
    net = next(n for n in program.trains["direct"].nets if n.name == "right")
    (load,) = net.net.loads
    assert (load.train, load.source) == ("pair", "right.")
    assert net.net.graph.parameter["hidden.weight"].value.type.known_shape == (6, 4)
    assert [t.name for t in order_trains(program, ["direct"])] == ["pair", "direct"]


def test_a_train_may_be_applied_as_it_is(tmp_path: Path) -> None:
    program = open_program(FIT + DIRECT, tmp_path)
    assert {n.name for n in program.trains["direct"].nets} == {"m", "fit"}
    assert program.trains["direct"].freeze == ("fit.*",)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (DIRECT.replace("fit", "direct"), "W0214"),
        (DIRECT.replace("fit", "student") + STUDENT.replace("= fit", "= direct"), "W0214"),
        (TWO + DIRECT.replace("fit", "pair.middle"), "W0203"),
        (TWO + STUDENT.replace("= fit", "= pair"), "W0644"),
        ("let a = fit\n" + FIT.replace("Net(width=width)", "Net(width=a.width)"), "W0214"),
    ],
    ids=["itself", "in a circle", "no such net", "several", "itself by a let"],
)
def test_what_cannot_be_is_refused(text: str, code: str, tmp_path: Path) -> None:
    _, messages = elaborate(text, tmp_path)
    assert code in [m.code for m in messages]
