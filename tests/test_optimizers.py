"""Optimizers: their classes in PyTorch, and steps of each against the formula of its page."""

from __future__ import annotations

import copy
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch

from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.driver import check
from compiler.report.diagnostics import Sink
from compiler.report.messages.training import parameters_of_other_rank
from compiler.training.adagrad import Adadelta, Adagrad, RmsProp
from compiler.training.adam import Adam, Adamax, AdamW, NAdam, RAdam
from compiler.training.base import OPTIMIZERS, Optimizer
from compiler.training.lamb import Lamb
from compiler.training.lbfgs import Lbfgs
from compiler.training.least_squares import LeastSquares
from compiler.training.lion import Lion
from compiler.training.lookahead import Lookahead
from compiler.training.muon import Muon
from compiler.training.registry import load_training
from compiler.training.sgd import Sgd
from compiler.vocabulary.signature import write_call
from tests.faults import fault_of
from tests.formulas.optimizers import FORMULAS, Numbers
from tests.train_scripts import PLAIN, open_train, save_data

load_training()
STEPS = 10


RATES = [1.0, 1.0, 0.5, 0.5, 0.5, 0.1, 0.1, 1.0, 0.2, 0.2]
"""What a schedule multiplies the learning rate by."""

CASES: list[Optimizer] = [
    Sgd(),
    Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2),
    Sgd(lr=0.1, momentum=0.9, dampening=0.1),
    Sgd(lr=0.1, velocity="steps"),
    Sgd(lr=0.1, momentum=0.9, weight_decay=1e-2, velocity="steps"),
    Sgd(lr=0.1, momentum=0.9, nesterov=True, velocity="steps"),
    Adagrad(),
    Adagrad(0.1, 0.1, 1e-2, 0.5, 1e-3),
    RmsProp(),
    RmsProp(0.02, 0.9, 1e-4, 1e-2, 0.9, True),
    Adadelta(),
    Adadelta(0.5, 0.8, 1e-3, 1e-2),
    Adam(),
    Adam(lr=2e-2, betas=(0.5, 0.9), eps=1e-6, weight_decay=0.1, amsgrad=True),
    AdamW(),
    AdamW(lr=3e-2, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.3, amsgrad=True),
    NAdam(),
    NAdam(2e-2, (0.8, 0.99), 1e-6, 0.1, 0.1, True),
    RAdam(),
    RAdam(2e-2, (0.8, 0.9), 1e-6, 0.1),
    RAdam(2e-2, (0.8, 0.9), 1e-6, 0.1, True),
    Adamax(),
    Adamax(2e-2, (0.8, 0.9), 1e-4, 0.1),
    Lamb(),
    Lamb(2e-2, (0.8, 0.9), 1e-4, 0.1),
    Lion(),
    Lion(2e-2, (0.5, 0.9), 0.3),
    Muon(lr=0.02),
    Muon(0.02, 0.0, 0.5, False, 1.0, 3, "match_rms_adamw"),
    Lookahead(Sgd(lr=0.1, momentum=0.9)),
    Lookahead(Adam(2e-2, (0.5, 0.9), 1e-6), k=3, alpha=0.2),
    Lookahead(Lion(2e-2, (0.5, 0.9)), k=1, alpha=1.0),
]


def draw_steps(seed: int) -> tuple[Numbers, Numbers]:
    """Where a parameter starts, and its gradients, some of which are 0, in all steps."""
    generator = np.random.default_rng(seed)
    start = generator.normal(size=(5, 3))
    gradients = generator.normal(size=(STEPS, 5, 3)) * np.geomspace(0.01, 10, STEPS)[:, None, None]
    gradients[:, 0, 0] = 0
    return start, gradients


def build(optimizer: Optimizer, parameters: Iterable[torch.Tensor]) -> torch.optim.Optimizer:
    """The optimizer as a script makes it."""
    scope: dict[str, Any] = {"torch": torch, "nn": torch.nn, "Tensor": torch.Tensor, "sys": sys}
    scope |= {"Iterable": Iterable, "Callable": Callable}
    exec(optimizer.definition, scope | {"Any": Any}, scope)
    for part in optimizer.constructor.split("."):
        scope["made"] = scope[part] if part in scope else getattr(scope["made"], part)
    inner = optimizer.base
    given = parameters if inner is optimizer else build(inner, parameters)
    return scope["made"](given, **dict(optimizer.arguments))  # type: ignore[no-any-return]


def test_there_is_a_case_for_each() -> None:
    stepped = {cls for cls in OPTIMIZERS.classes() if not cls.evaluates}
    assert {type(optimizer) for optimizer in CASES} == stepped


@pytest.mark.parametrize("optimizer", CASES, ids=write_call)
def test_ten_steps_follow_the_formula(optimizer: Optimizer) -> None:
    start, gradients = draw_steps(1)
    rates = [optimizer.lr * rate for rate in RATES]
    follow = FORMULAS.functions[optimizer.name]
    wanted = list(follow(optimizer, gradients, start, rates))
    parameter = torch.nn.Parameter(torch.tensor(start))
    made = build(optimizer, [parameter])
    place = start
    slack = 1e-6 if isinstance(optimizer, NAdam) else 1e-9  # which keeps a product in float32
    for rate, gradient, expected in zip(rates, gradients, wanted, strict=True):
        made.param_groups[0]["lr"] = rate
        parameter.grad = torch.tensor(gradient)
        made.step()
        longest = np.abs(expected - place).max()
        place = parameter.detach().numpy().copy()
        np.testing.assert_allclose(place, expected, rtol=0, atol=slack * longest)
    held = made.state[parameter].values()
    assert all(isinstance(value, torch.Tensor) for value in held), "checkpoints hold tensors"


AROUND = [one for one in CASES if one.base is one]


@pytest.mark.parametrize("inner", AROUND, ids=write_call)
@pytest.mark.parametrize(("k", "alpha"), [(4, 0.3), (1, 0.5), (7, 1.0)])
def test_lookahead_around_any_optimizer(inner: Optimizer, k: int, alpha: float) -> None:
    """Against the same optimizer, whose weights are put back by hand; stopped and resumed between
    two times that they are."""
    start, gradients = draw_steps(3)
    mine, theirs = (torch.nn.Parameter(torch.tensor(start)) for _ in range(2))
    around = Lookahead(inner, k, alpha)
    made, plain, slow = build(around, [mine]), build(inner, [theirs]), start
    slack = 1e-6 if isinstance(inner, NAdam) else 1e-12  # which keeps a product in float32
    for step, gradient in enumerate(gradients, 1):
        if step == STEPS // 2:
            state = made.state_dict()
            mine = torch.nn.Parameter(mine.detach().clone())
            made = build(around, [mine])
            made.load_state_dict(copy.deepcopy(state))
        for parameter, optimizer in ((mine, made), (theirs, plain)):
            optimizer.param_groups[0]["lr"] = around.lr * RATES[step - 1]
            parameter.grad = torch.tensor(gradient)
            optimizer.step()
        if step % k == 0:
            slow = slow + alpha * (theirs.detach().numpy() - slow)
            theirs.data = torch.tensor(slow)
        found, wanted = mine.detach().numpy(), theirs.detach().numpy()
        np.testing.assert_allclose(found, wanted, rtol=slack, atol=slack)


def test_lookahead_around_groups(tmp_path: Any) -> None:
    """Groups with the same settings of `lookahead` are groups of one; with others they are two."""
    one = "lookahead(adamw(lr=1e-3), k=6)"
    for other, count in ((one.replace("1e-3", "1e-2"), 1), (one.replace("6", "5"), 2)):
        text = PLAIN.replace("OPTIMIZER", f'{one} over "hidden" with {other}')
        script = emit_script(ScriptSpec(open_train(text, tmp_path)))
        assert script.count("class Lookahead(torch.optim.Optimizer)") == 1
        assert len(re.findall(r" = Lookahead\(", script)) == count


def test_every_setting_is_tried() -> None:
    """The end of a step that is not the last move is no part of the formula of `lbfgs`."""
    ends = {"tolerance_grad", "tolerance_change", "line_search_fn"}
    for cls in OPTIMIZERS.classes():
        used = [o for o in (*CASES, *MOVES, *SOLVED) if isinstance(o, cls)]
        for option in cls.options():
            tried = {getattr(optimizer, option.field) for optimizer in used}
            fixed = option.field == "schedule" or (cls is Lbfgs and option.field in ends)
            assert fixed or tried - {option.default}, f"{cls.name}: {option.field}"


@pytest.mark.parametrize("at_rest", ["parameter", "gradient"])
def test_lamb_takes_plain_steps_where_a_norm_is_zero(at_rest: str) -> None:
    optimizer = Lamb(lr=0.1, weight_decay=0.0)
    start, gradients = draw_steps(2)
    start = np.zeros_like(start) if at_rest == "parameter" else start
    first = np.zeros_like(start) if at_rest == "gradient" else gradients[0]
    (expected,) = FORMULAS.functions["lamb"](optimizer, [first], start, [0.1])
    parameter = torch.nn.Parameter(torch.tensor(start))
    parameter.grad = torch.tensor(first)
    build(optimizer, [parameter]).step()
    np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-12)


MOVES = [
    Lbfgs(lr=0.5, max_iter=3, max_eval=9, history_size=2, tolerance_grad=0, tolerance_change=0),
    Lbfgs(lr=1.0, max_iter=1, tolerance_grad=0, tolerance_change=0),
    Lbfgs(lr=0.3, max_iter=7, history_size=4, tolerance_grad=0, tolerance_change=0),
]


@pytest.mark.parametrize("optimizer", MOVES, ids=write_call)
def test_moves_of_lbfgs_follow_the_formula(optimizer: Lbfgs) -> None:
    """On a bowl that is no square."""
    generator = np.random.default_rng(3)
    start, width = generator.normal(size=6), np.geomspace(1, 20, 6)

    def slope(place: Numbers) -> Numbers:
        return width * place + np.sinh(place)

    rates = [optimizer.lr * rate for rate in RATES]
    wanted = list(FORMULAS.functions["lbfgs"](optimizer, slope, start, rates))
    parameter = torch.nn.Parameter(torch.tensor(start))
    made = build(optimizer, [parameter])

    def measure() -> torch.Tensor:
        made.zero_grad()
        loss = (torch.tensor(width) * parameter**2 / 2 + parameter.cosh()).sum()
        loss.backward()
        return loss

    for rate, expected in zip(rates, wanted, strict=True):
        made.param_groups[0]["lr"] = rate
        made.step(measure)  # type: ignore[arg-type]
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=0, atol=1e-9)
    assert np.abs(wanted[0]).max() > 0.01, "else nothing is tried"


SOLVED = [LeastSquares(), LeastSquares(lr=0.25, ridge=0.5)]


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("optimizer", SOLVED, ids=write_call)
def test_least_squares_follow_the_formula(optimizer: LeastSquares, mean: bool) -> None:
    """Of two targets; the ridge is a term of the loss, as the script writes it."""
    generator = np.random.default_rng(4)
    x, t = generator.normal(size=(20, 3)), generator.normal(size=(20, 2))
    start = generator.normal(size=(3, 2))
    weight = torch.nn.Parameter(torch.tensor(start))
    bias = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    made = build(optimizer, [weight, bias])

    def measure() -> torch.Tensor:
        made.zero_grad()
        squares = (torch.tensor(x) @ weight + bias - torch.tensor(t)) ** 2
        loss = squares.mean() if mean else squares.sum()
        loss = loss + optimizer.ridge * (weight**2).sum()
        loss.backward()
        return loss

    made.step(measure)  # type: ignore[arg-type]
    ridge = optimizer.ridge * (t.size if mean else 1)
    beside = np.hstack([x, np.ones((20, 1))])
    found = FORMULAS.functions["least_squares"](beside, t, np.array([ridge] * 3 + [0]))
    expected = start + optimizer.lr * (found[:3] - start)
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(bias.detach().numpy(), optimizer.lr * found[3], rtol=1e-9)


@pytest.mark.parametrize("cls", OPTIMIZERS.classes(), ids=lambda cls: cls.name)
def test_defaults_are_those_of_its_class(cls: type[Optimizer]) -> None:
    if cls is Lookahead:
        assert inspect.signature(type(build(CASES[-1], [torch.zeros(2, 2)]))).parameters.keys() == {
            option.name for option in cls.options()
        }
        return
    optimizer = cls()
    fused = (("fused", True),) if cls.fused else ()
    assert optimizer.arguments == (("lr", optimizer.lr), *fused)
    made = type(build(optimizer, [torch.zeros(2, 2)]))
    parameters = inspect.signature(made).parameters
    options = {o.name: o.default for o in cls.options()}
    left_out = {"schedule", "velocity", "ridge"}
    assert set(options) - left_out <= set(parameters)
    for name in options.keys() - left_out - ({"lr"} if cls is Sgd else set()):
        assert parameters[name].default == options[name], name
    assert set(cls.order()) | {"lr"} | left_out >= options.keys()
    assert ("fused" in parameters) == cls.fused


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sgd(lr=0.0),
        lambda: Sgd(lr=float("nan")),
        lambda: Sgd(momentum=-0.1),
        lambda: Sgd(nesterov=True),
        lambda: Sgd(momentum=0.9, nesterov=True, dampening=0.1),
        lambda: Sgd(momentum=0.9, dampening=0.1, velocity="steps"),
        lambda: Adam(betas=(0.9, 1.0)),
        lambda: AdamW(weight_decay=-1.0),
        lambda: AdamW(eps=-1.0),
        lambda: NAdam(momentum_decay=-1.0),
        lambda: Adagrad(initial_accumulator_value=-1.0),
        lambda: Adagrad(lr_decay=float("inf")),
        lambda: RmsProp(alpha=1.0),
        lambda: RmsProp(momentum=1.0),
        lambda: Adadelta(rho=-0.5),
        lambda: Lion(betas=(1.0, 0.9)),
        lambda: Muon(ns_steps=0),
        lambda: Muon(ns_steps=100),
        lambda: Muon(momentum=0.0),
        lambda: Lookahead(Sgd(), k=0),
        lambda: Lookahead(Sgd(), alpha=0.0),
        lambda: Lookahead(Sgd(), alpha=1.1),
        lambda: Lookahead(Lbfgs()),
        lambda: Lookahead(LeastSquares()),
        lambda: Lookahead(Lookahead(Sgd())),
    ],
)
def test_settings_that_mean_nothing_are_refused(make: Callable[[], object]) -> None:
    assert fault_of(make).text.title


def test_a_class_is_defined_once_and_gives_way_to_a_net(tmp_path: Any) -> None:
    groups = 'lion over "hidden" with lion(lr=0.01)'
    text = PLAIN.replace("OPTIMIZER", groups).replace("Net", "Lion")
    script = emit_script(ScriptSpec(open_train(text, tmp_path)))
    assert script.count("class Lion2(torch.optim.Optimizer)") == 1
    assert script.count(" Lion2(groups, ") == 1
    assert "from model import Lion\n" in script


def test_muon_takes_matrices_only(tmp_path: Any) -> None:
    sink = Sink()
    save_data(tmp_path)
    (tmp_path / "spec.weft").write_text(PLAIN.replace("OPTIMIZER", "muon(lr=0.02)"))
    check(tmp_path / "spec.weft", overrides={}, sink=sink)
    (refused,) = sink.messages
    assert refused.kind is parameters_of_other_rank
    assert refused.text.label == "`hidden.bias` and `head.bias` have others"
