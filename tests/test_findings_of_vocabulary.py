"""Words of the field that have other names here, and what the library says of wrong ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.driver import check_source
from compiler.program.program import Program
from compiler.report.diagnostics import Sink
from compiler.report.habits import translate
from compiler.report.source import Source
from compiler.training.base import METRICS, OPTIMIZERS, SCHEDULES
from compiler.training.registry import load_training
from tests.elaborating import elaborate
from tests.train_scripts import PLAIN, open_train

STD = Path(__file__).resolve().parents[1] / "specs" / "std"


def list_words_of_pytorch() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """What docstrings call "PyTorch's WORD" of a field: the word, the field, and all fields."""
    load_training()
    for registry in (OPTIMIZERS, SCHEDULES, METRICS):
        for cls in registry.classes():
            fields = tuple(option.name for option in cls.options())
            lines = re.findall(r"- `(\w+)`:[^-]*?PyTorch's (\w+)", cls.__doc__ or "")
            yield from ((word, field, fields) for field, word in lines)


def test_words_of_pytorch_lead_to_the_field_that_says_them() -> None:
    found = list(list_words_of_pytorch())
    assert ("pct_start", "peak") in [(word, field) for word, field, _ in found]
    wrong = [(word, field) for word, field, fields in found if translate(word, fields) != field]
    assert not wrong


@pytest.mark.parametrize(
    ("word", "meant"),
    [("Dropout2d", "channel_dropout"), ("dropout3d", "channel_dropout"), ("Dropout", "dropout")],
)
def test_dimensions_count_where_they_say_another_layer(word: str, meant: str) -> None:
    assert translate(word, ("dropout", "channel_dropout")) in (meant, None)
    (message,) = elaborate(f"model M {{ input x: f32[n, 3]\n output y = x -> {word}(0.5) }}")[1]
    assert message.text.label == f"did you mean `{meant}`?"


TRAIN = """
use std.losses as l
use std.attention
model M {
    input x: f32[batch, 4]
    output y: f32[batch, 3] = x -> dense(3)
}
data d {
    source sklearn("iris")
    x = features
    split random(seed=0), train=80%, val=20%
}
train fit of M on d {
    minimize LOSS with adam(lr=1e-3, schedule=SCHEDULE)
    METRIC
    batch 4  epochs 3
}
"""


def check_train(**given: str) -> tuple[Program | None, list[str]]:
    """The program with a train, and what is said of it: title, label and advice on a line."""
    parts = {"LOSS": "cross_entropy(y, label)", "SCHEDULE": "constant", "METRIC": "", **given}
    text = TRAIN
    for name, value in parts.items():
        text = text.replace(name, value)
    sink = Sink()
    program = check_source(Source("spec.weft", text), sink=sink)
    return program, [f"{m.text.title} | {m.text.label} | {m.text.help}" for m in sink.messages]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"SCHEDULE": "multi_step(at=[3, 5])"}, ["stretches such as", "`3epochs` or `3steps`"]),
        ({"SCHEDULE": "step(every=30)"}, ["`30epochs` or `30steps`"]),
        ({"SCHEDULE": "cosine(warmup=2)"}, ["`2epochs` or `2steps`"]),
        ({"SCHEDULE": "one_cycle(pct_start=0.3)"}, ["did you mean `peak`?"]),
        ({"METRIC": "metric p = psnr(y, y)"}, ["`psnr` needs `data_range`"]),
        ({"METRIC": "metric p = psnr()"}, ["`prediction` and `target` and `data_range`"]),
        ({"METRIC": "metric p = fbeta(y, label)"}, ["more; `weft ops` lists all"]),
        ({"METRIC": "metric p = acuracy(y, label)"}, ["did you mean `accuracy`? | None"]),
        (
            {"LOSS": 'l.gan_generator(y, form="x")'},
            ["saturating, non_saturating, least_squares, hinge or wasserstein"],
        ),
        ({"LOSS": "l.soft_dice(y, one_hot(label, 3), eps=-1)"}, ["eps must not be below 0"]),
        ({"LOSS": "l.quantile_loss(y, y, quantile=1.5)"}, ["quantile must lie between 0 and 1"]),
    ],
)
def test_what_is_wrong_is_said_with_what_is_meant(given: dict[str, str], words: list[str]) -> None:
    _, found = check_train(**given)
    assert len(found) == 1
    assert all(word in found[0] for word in words), found


def test_a_fault_in_the_library_is_said_of_every_call_of_a_file() -> None:
    calls = ('l.gan_generator(y, form="a")', 'l.gan_generator(y, form="b")')
    metrics = "\n    ".join(f"metric m{i} = {call}" for i, call in enumerate(calls))
    assert len(check_train(METRIC=metrics)[1]) == 2
    spec = """
use std.losses
model M {
    input x: f32[batch, 4]
    output y = sum([gan_generator(x, form="a") for _ in 0..9])
}
"""
    assert len(elaborate(spec)[1]) == 1


@pytest.mark.parametrize(
    "loss",
    ["l.focal(y, label)", "l.nt_xent(y, y)", "l.hinge(y, y)", "y -> l.focal(label)",
     "(l.gan_generator(y))", 'l.hinge(y, y, reduction="none") -> mean', "l.soft_dice(y, label)"],
)  # fmt: skip
def test_less_of_a_loss_of_the_library_is_better(loss: str) -> None:
    program, found = check_train(METRIC=f"metric m = {loss}")
    assert not found
    assert program is not None
    expected = None if loss.endswith("mean") else "lower"
    assert [metric.better for metric in program.trains["fit"].metrics] == [expected]


def test_of_what_is_no_loss_no_direction_is_known() -> None:
    program, found = check_train(METRIC="metric m = mean(y)")
    assert not found
    assert program is not None
    assert [metric.better for metric in program.trains["fit"].metrics] == [None]


def list_choices() -> Iterator[tuple[str, str, set[str]]]:
    """Blocks of the library with a text that chooses: the block, the parameter, the words."""
    for path in STD.glob("*.weft"):
        for block in re.split(r"^(?=block )", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
            name = block[6 : block.index("(")]
            for parameter in re.findall(r"(\w+): str\b", block):
                words = set(re.findall(rf'\b{parameter} == "(\w+)"', block))
                if words:
                    yield name, parameter, words


@pytest.mark.parametrize(("name", "parameter", "words"), [*list_choices()])
def test_blocks_that_choose_by_a_word_name_all_words(
    name: str, parameter: str, words: set[str]
) -> None:
    (home,) = (path for path in STD.glob("*.weft") if f"block {name}(" in path.read_text())
    block = re.split(rf"^block {name}\(", home.read_text(encoding="utf-8"), flags=re.M)[1]
    assert f"assert {parameter} in " in block, f"{name} takes any {parameter}"
    said = block.partition(f"assert {parameter} in ")[2][:200]
    assert all(word in said for word in words)


GROUPS = 'adamw(lr=0.01, weight_decay=0) over "*.bias" with adamw(lr=0.02)'


@pytest.mark.parametrize(("groups", "count"), [("adamw(lr=0.02)", 1), (GROUPS, 2)])
def test_every_group_of_parameters_has_its_rate_in_the_record(
    groups: str, count: int, tmp_path: Path
) -> None:
    text = emit_script(ScriptSpec(open_train(PLAIN.replace("OPTIMIZER", groups), tmp_path)))
    kept = [f'record["lr{number}"]' for number in ("", ".1", ".2")]
    assert [name in text for name in kept] == [number < count for number in range(3)]
    assert "None or None" not in text
    assert "is None or None" not in text


def test_functions_are_called_functions_where_a_tensor_is_needed() -> None:
    (message,) = elaborate("model M { input x: f32[n, 3]\n output len = len }")[1]
    assert message.text.title == "a function is given where a tensor is needed"
    assert "no tensor is called `len`" in str(message.text.help)
