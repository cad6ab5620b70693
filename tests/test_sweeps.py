"""Sweeps as they are checked: spaces, conditions, goals, and what a sweep stands for."""

from __future__ import annotations

import pytest

from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.settings import read_settings
from compiler.describe import describe_program
from compiler.driver import check_source
from compiler.program.program import Program
from compiler.program.sweep import list_combinations
from compiler.report.diagnostics import Sink
from compiler.report.messages.sweeps import sweep_spec
from compiler.report.render import render
from compiler.report.source import Source
from compiler.sweeping.base import Written, label

SPEC = """
model Net(width: int = 16, act: layer = relu, norm: bool = false, slope: float = 0.1) {
    input image: f32[batch, 8, 8]
    h = image -> flatten -> dense(width) as hidden
    if norm { h = h -> batch_norm }
    output logits = (slope * h) -> act -> dense(10) as head
}
data digits(noise: float = 0.0) {
    source sklearn("digits")
    image = image / 16 + noise
    split random(seed=0), train=80%, val=10%, test=10%
}
train fit(
    lr: float = 3e-3, width: int = 16, act: layer = relu, norm: bool = false, noise: float = 0.0,
    slope: float = 0.1
) of Net(width=width, act=act, norm=norm, slope=slope) on digits(noise=noise) {
    minimize cross_entropy(logits, label) with adamw(lr=lr)
    metric accuracy = accuracy(logits, label)
    batch 64  epochs 2
}
variant tiny(cut: float = 50%) of fit { apply prune(channels=cut) }
"""


def check(
    text: str, chosen: dict | None = None, overrides: dict[str, str] | None = None
) -> Program:
    sink = Sink()
    program = check_source(
        Source("spec.weft", SPEC + text), sink=sink, chosen=chosen, overrides=overrides
    )
    assert program is not None, render(sink.messages)
    assert not sink.has_errors, render(sink.messages)
    return program


def find_codes(text: str) -> list[str]:
    sink = Sink()
    check_source(Source("spec.weft", SPEC + text), sink=sink)
    return [message.code for message in sink.messages]


def settings(program: Program, name: str) -> dict[str, str]:
    return dict(read_settings(ScriptSpec(program.trains[name])))


# --- what a sweep stands for ----------------------------------------------------------------------

TUNE = """
sweep tune of fit {
    width in [8, 24]
    lr in log_uniform(1e-4, 1e-1)
    act in [relu, gelu]
    maximize val.accuracy  trials 5
}
"""


def test_a_sweep_stands_for_a_train_with_the_values_of_its_best_trial() -> None:
    program = check(
        TUNE + "deploy tune as onnx", {"tune": {"width": 24, "lr": 0.02, "act": "gelu"}}
    )
    sweep, train = program.sweeps["tune"], program.trains["tune"]
    assert sweep.settled
    assert sweep.values == {"width": 24, "lr": 0.02, "act": Written("gelu")}
    assert train.name == "tune"
    assert train.groups[0].optimizer.lr == 0.02
    by_hand = check("", overrides={"fit.width": "24", "fit.lr": "0.02", "fit.act": "gelu"})
    assert settings(program, "tune") == settings(by_hand, "fit")
    assert program.trains["fit"].groups[0].optimizer.lr == 3e-3, "the train itself is as it was"
    assert program.deploys[0].train == "tune"


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"width": 24, "lr": 0.02},
        {"width": 9, "lr": 0.02, "act": "gelu"},
        {"width": 24.0, "lr": 0.02, "act": "gelu"},
        {"width": 24, "lr": 0.5, "act": "gelu"},
        {"width": 24, "lr": "0.02", "act": "gelu"},
        {"width": 24, "lr": True, "act": "gelu"},
        {"width": 24, "lr": 0.02, "act": "elu"},
        {"width": 24, "lr": 0.02, "act": "gelu", "noise": 0.1},
    ],
)
def test_values_that_a_sweep_would_not_draw_are_none(chosen: dict) -> None:
    sweep = check(TUNE, {"tune": chosen}).sweeps["tune"]
    assert not sweep.settled
    assert {name: label(v) for name, v in sweep.values.items()} == {
        "width": 8,
        "lr": 1e-4,
        "act": "relu",
    }


def test_a_sweep_of_a_sweep_keeps_what_that_has_chosen() -> None:
    text = TUNE + "sweep fine of tune { noise in uniform(0, 0.2)  minimize val.loss  trials 2 }"
    chosen = {"tune": {"width": 24, "lr": 0.02, "act": "gelu"}, "fine": {"noise": 0.1}}
    program = check(text, chosen)
    assert program.sweeps["fine"].settled
    assert program.trains["fine"].groups[0].optimizer.lr == 0.02
    assert settings(program, "fine") != settings(program, "tune")
    by_hand = {"width": "24", "lr": "0.02", "act": "gelu", "noise": "0.1"}
    other = check("", overrides={f"fit.{name}": value for name, value in by_hand.items()})
    assert settings(program, "fine") == settings(other, "fit")
    assert not check(text, {"fine": {"noise": 0.1}}).sweeps["fine"].settled


def test_arguments_of_the_reference_hold_for_all_trials() -> None:
    given, searched = "lr=0.05, norm=true", "width in [8, 24]  maximize val.accuracy  trials 2"
    text = f"sweep tune of fit({given}) {{ {searched} }}"
    program = check(text, {"tune": {"width": 24}})
    other = check("", overrides={"fit.lr": "0.05", "fit.norm": "true", "fit.width": "24"})
    assert settings(program, "tune") == settings(other, "fit")


def test_a_setting_of_the_command_holds_where_nothing_is_searched() -> None:
    program = check(TUNE, {"tune": {"width": 8, "lr": 0.02, "act": "relu"}}, {"fit.noise": "0.3"})
    other = check("", overrides={"fit.noise": "0.3", "fit.lr": "0.02", "fit.width": "8"})
    assert settings(program, "tune") == settings(other, "fit")


def test_a_sweep_of_a_variant_is_a_variant() -> None:
    text = "sweep front of tiny { cut in [10%, 50%]  maximize val.accuracy  sampler grid }"
    program = check(text + " deploy front as onnx", {"front": {"cut": 0.1}})
    assert program.variants["front"].steps[0].compression.channels == 0.1
    assert program.variants["tiny"].steps[0].compression.channels == 0.5
    assert program.deploys[0].variant == "front"


def test_stages_show_sweeps() -> None:
    shown = describe_program(check(TUNE))
    assert "sweep tune of fit, not chosen yet" in shown
    assert "  width = 8" in shown


# --- spaces and conditions ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "grid"),
    [
        ("width in [8, 24]", [8, 24]),
        ("width in 4..8", [4, 5, 6, 7]),
        ("width in randint(4, 9, step=2)", [4, 6, 8]),
        ("width in randint(4, 10, step=2)", [4, 6, 8]),
        ("noise in uniform(0, 1, step=0.25)", [0, 0.25, 0.5, 0.75, 1]),
        ("norm in [false, true]", [False, True]),
        ("lr in [1%, 10%]", [0.01, 0.1]),
        ("act in [relu, leaky_relu(0.2)]", [Written("relu"), Written("leaky_relu(0.2)")]),
    ],
)
def test_a_grid_has_every_value_once(space: str, grid: list) -> None:
    sweep = check(f"sweep s of fit {{ {space}  maximize val.accuracy  sampler grid }}").sweeps["s"]
    (searched,) = sweep.searched
    assert list(searched.space.grid or ()) == grid
    assert sweep.count == len(grid)


def test_combinations_follow_conditions() -> None:
    text = """
    sweep s of fit {
        width in [8, 24]
        if width > 8 { norm in [false, true] } else { noise in [0.0, 0.1, 0.2] }
        if norm { slope in [1.0, 2.0] }
        maximize val.accuracy  sampler grid
    }
    """
    sweep = check(text).sweeps["s"]
    assert list_combinations(sweep, 100) == [
        {"width": 8, "noise": 0.0},
        {"width": 8, "noise": 0.1},
        {"width": 8, "noise": 0.2},
        {"width": 24, "norm": False},
        {"width": 24, "norm": True, "slope": 1.0},
        {"width": 24, "norm": True, "slope": 2.0},
    ]


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ("act == gelu", [False, True]),
        ("act != gelu", [True, False]),
        ("act in [relu, elu]", [True, False]),
        ("act not in [relu, elu]", [False, True]),
        ("act == relu or act == gelu", [True, True]),
        ("not (act == relu)", [False, True]),
        ("2 > 1", [True, True]),
        ("2 < 1", [False, False]),
    ],
)
def test_conditions_hold_of_what_they_say(condition: str, held: list[bool]) -> None:
    text = f"act in [relu, gelu]  if {condition} {{ slope in [1.0, 2.0] }}"
    sweep = check(f"sweep s of fit {{ {text}  maximize val.accuracy  trials 3 }}").sweeps["s"]
    found = [sweep.searched[1].condition.holds({"act": Written(a)}) for a in ("relu", "gelu")]
    assert found == held


@pytest.mark.parametrize(
    ("clauses", "code"),
    [
        ("width in [8, 1.5]  maximize val.accuracy  trials 2", "W1522"),
        ("act in [relu, 3]  maximize val.accuracy  trials 2", "W1522"),
        ("noise in [5ms]  maximize val.accuracy  trials 2", "W1521"),
        ("noise in uniform  maximize val.accuracy  trials 2", "W1521"),
        ("noise in uniform(1, 0)  maximize val.accuracy  trials 2", "W0601"),
        ("width in randint(8, 8)  maximize val.accuracy  trials 2", "W0601"),
        ("width in randint(0, 8, log=true)  maximize val.accuracy  trials 2", "W0601"),
        ("lr in [0.1]  maximize val.accuracy  trials 2  pruner none  pruner none", "W0605"),
        ("lr in [0.1]  maximize val.accuracy  trials 2  sampler nsga2(population=1)", "W0601"),
        ("lr in [0.1]  maximize val.accuracy  trials 2  sampler 3", "W0208"),
        ("lr in [0.1]  maximize val.accuracy  trials 2  choose params", "W1524"),
        ("if width { lr in [0.1] }  width in [8]  maximize val.accuracy  trials 2", "W1537"),
        ("width in [8]  if width + 1 { lr in [0.1] }  maximize val.accuracy  trials 2", "W1537"),
        ("width in [8]  if 8 == width { lr in [0.1] }  maximize val.accuracy  trials 2", "W1537"),
        ("lr in [0.1]  maximise val.accuracy  trials 2", "W0205"),
        ("lr in [0.1]  maximize val.accuracy  trials 2.5", "W0208"),
        ("lr in log_uniform(1e-4, 1e-1)  maximize val.accuracy  trials 2  sampler grid", "W1527"),
        ("maximize val.accuracy  trials 2", "W1523"),
    ],
)
def test_what_is_wrong_is_told(clauses: str, code: str) -> None:
    assert code in find_codes(f"sweep s of fit {{ {clauses} }}")


def test_two_branches_may_search_one_parameter() -> None:
    text = "norm in [false, true]  if norm { lr in [0.1] } else { lr in [0.2, 0.3] }"
    sweep = check(f"sweep s of fit {{ {text}  maximize val.accuracy  sampler grid }}").sweeps["s"]
    assert [c["lr"] for c in list_combinations(sweep, 9)] == [0.2, 0.3, 0.1]


def test_values_keep_what_is_written_of_them() -> None:
    text = "act in [relu, leaky_relu(  # steep\n    0.2\n)]"
    chosen = {"s": {"act": text.partition(", ")[2].removesuffix("]")}}
    program = check(f"sweep s of fit {{ {text}  maximize val.accuracy  sampler grid }}", chosen)
    assert program.sweeps["s"].settled
    other = check("", overrides={"fit.act": "leaky_relu(0.2)"})
    assert settings(program, "s") == settings(other, "fit")


SEVERAL = """
train pair(lr: float = 1e-3) on digits {
    net a = Net(width=8)
    net b = Net(width=4)
    logits = a(image) + b(image)
    minimize cross_entropy(logits, label) with adamw(lr=lr)
    batch 64  epochs 2
}
sweep s of pair { lr in [1e-3, 1e-2]  minimize val.loss  minimize COST  trials 2 }
"""


@pytest.mark.parametrize(("cost", "codes"), [("params", []), ("latency", ["W1524"])])
def test_several_nets_have_parameters_alone(cost: str, codes: list[str]) -> None:
    assert find_codes(SEVERAL.replace("COST", cost)) == codes


def test_what_is_refused_says_which_value() -> None:
    sink = Sink()
    text = "sweep s of fit { width in [8, 0, 4]  maximize val.accuracy  trials 2 }"
    check_source(Source("spec.weft", SPEC + text), sink=sink)
    (told,) = (m for m in sink.messages if m.code == "W1522")
    assert told.text.title == "`fit` refuses `width=0`"


def test_a_fault_of_the_train_is_said_once() -> None:
    spec = sweep_spec("lr in [1e-3]  maximize val.accuracy  trials 2").replace("label)", "labl)")
    sink = Sink()
    check_source(Source("spec.weft", spec), sink=sink)
    assert {message.code for message in sink.messages} == {"W0201"}
