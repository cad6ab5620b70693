"""Optimizers: their classes in PyTorch, and ten steps of each against its formula in NumPy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.driver import check
from compiler.report.diagnostics import Sink
from compiler.report.messages.training import parameters_of_other_rank
from compiler.training.adagrad import Adadelta, Adagrad, RmsProp
from compiler.training.adam import Adam, Adamax, AdamW, NAdam, RAdam
from compiler.training.base import OPTIMIZERS, Optimizer
from compiler.training.lamb import Lamb
from compiler.training.lion import Lion
from compiler.training.muon import Muon
from compiler.training.registry import load_training
from compiler.training.sgd import Sgd
from compiler.vocabulary.signature import write_call
from tests.faults import fault_of
from tests.train_scripts import PLAIN, open_train, save_data

load_training()
Numbers = NDArray[np.float64]
STEPS = 10


def sgd(o: Sgd, g: Iterator[Numbers], p: Numbers) -> Iterator[Numbers]:
    v: Any = None
    for rate in RATES:
        d = next(g) + o.weight_decay * p
        if o.velocity == "steps":
            v = (0 if v is None else o.momentum * v) - o.lr * rate * d
            p = p + (o.momentum * v - o.lr * rate * d if o.nesterov else v)
            yield p
            continue
        v = d if v is None else o.momentum * v + (1 - o.dampening) * d
        p = p - o.lr * rate * ((d + o.momentum * v) if o.nesterov else v if o.momentum else d)
        yield p


def adagrad(o: Adagrad, g: Iterator[Numbers], p: Numbers) -> Iterator[Numbers]:
    s = np.full_like(p, o.initial_accumulator_value)
    for step, rate in enumerate(RATES):
        d = next(g) + o.weight_decay * p
        s = s + d**2
        p = p - o.lr * rate / (1 + step * o.lr_decay) * d / (np.sqrt(s) + o.eps)
        yield p


def rmsprop(o: RmsProp, g: Iterator[Numbers], p: Numbers) -> Iterator[Numbers]:
    s, m, v = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    for rate in RATES:
        d = next(g) + o.weight_decay * p
        s = o.alpha * s + (1 - o.alpha) * d**2
        m = o.alpha * m + (1 - o.alpha) * d
        v = o.momentum * v + d / (np.sqrt(s - m**2 if o.centered else s) + o.eps)
        p = p - o.lr * rate * v
        yield p


def adadelta(o: Adadelta, g: Iterator[Numbers], p: Numbers) -> Iterator[Numbers]:
    s, u = np.zeros_like(p), np.zeros_like(p)
    for rate in RATES:
        d = next(g) + o.weight_decay * p
        s = o.rho * s + (1 - o.rho) * d**2
        d = np.sqrt(u + o.eps) / np.sqrt(s + o.eps) * d
        u = o.rho * u + (1 - o.rho) * d**2
        p = p - o.lr * rate * d
        yield p


def adam(o: Any, g: Iterator[Numbers], p: Numbers) -> Iterator[Numbers]:
    (b1, b2), m, v = o.betas, np.zeros_like(p), np.zeros_like(p)
    decoupled = isinstance(o, AdamW) or getattr(o, "decoupled_weight_decay", False)
    largest, product = np.zeros_like(p), 1.0
    for step, rate in enumerate(RATES, start=1):
        d, lr = next(g), o.lr * rate
        if decoupled:
            p = p * (1 - lr * o.weight_decay)
        elif not isinstance(o, Lamb):
            d = d + o.weight_decay * p
        m = b1 * m + (1 - b1) * d
        if isinstance(o, Adamax):
            v = np.maximum(b2 * v, np.abs(d) + o.eps)
            p = p - lr / (1 - b1**step) * m / v
            yield p
            continue
        v = b2 * v + (1 - b2) * d**2
        mean, square = m / (1 - b1**step), v / (1 - b2**step)
        match o:
            case NAdam():
                now = b1 * (1 - 0.5 * 0.96 ** (step * o.momentum_decay))
                later = b1 * (1 - 0.5 * 0.96 ** ((step + 1) * o.momentum_decay))
                product *= now
                mean = later * m / (1 - product * later) + (1 - now) * d / (1 - product)
                p = p - lr * mean / (np.sqrt(square) + o.eps)
            case RAdam():
                top = 2 / (1 - b2) - 1
                rho = top - 2 * step * b2**step / (1 - b2**step)
                trust = (rho - 4) * (rho - 2) * top / ((top - 4) * (top - 2) * rho)
                root = np.sqrt(1 - b2**step) / (np.sqrt(v) + o.eps)
                p = p - lr * mean * (np.sqrt(trust) * root if rho > 5 else 1)
            case Lamb():
                update = mean / (np.sqrt(square) + o.eps) + o.weight_decay * p
                p = p - lr * np.linalg.norm(p) / np.linalg.norm(update) * update
            case _:
                largest = np.maximum(largest, v)
                square = largest / (1 - b2**step) if o.amsgrad else square
                p = p - lr * mean / (np.sqrt(square) + o.eps)
        yield p


def lion(o: Lion, g: Iterator[Numbers], p: Numbers) -> Iterator[Numbers]:
    m = np.zeros_like(p)
    for rate in RATES:
        d = next(g)
        direction = np.sign(o.betas[0] * m + (1 - o.betas[0]) * d)
        p = p - o.lr * rate * (direction + o.weight_decay * p)
        m = o.betas[1] * m + (1 - o.betas[1]) * d
        yield p


def muon(o: Muon, g: Iterator[Numbers], p: Numbers) -> Iterator[Numbers]:
    """The matrix is nearly orthogonal, as the iteration in bfloat16 leaves it."""
    m = np.zeros_like(p)
    rows, columns = p.shape
    scale = {
        "original": np.sqrt(max(1, rows / columns)),
        "match_rms_adamw": 0.2 * np.sqrt(max(rows, columns)),
    }[o.adjust_lr_fn or "original"]
    for rate in RATES:
        d = next(g)
        m = o.momentum * m + (1 - o.momentum) * d
        x = (1 - o.momentum) * d + o.momentum * m if o.nesterov else m
        x = x.T if rows > columns else x
        x = x / max(np.linalg.norm(x), o.eps)
        for _ in range(o.ns_steps):
            s = x @ x.T
            x = 3.4445 * x + (-4.775 * s + 2.0315 * s @ s) @ x
        x = x.T if rows > columns else x
        p = p * (1 - o.lr * rate * o.weight_decay) - o.lr * rate * scale * x
        yield p


RATES = [1.0, 1.0, 0.5, 0.5, 0.5, 0.1, 0.1, 1.0, 0.2, 0.2]
"""What a schedule multiplies the learning rate by."""

Formula = Callable[[Any, Iterator[Numbers], Numbers], Iterable[Numbers]]
CASES: list[tuple[Optimizer, Formula]] = [
    (Sgd(), sgd),
    (Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2), sgd),
    (Sgd(lr=0.1, momentum=0.9, dampening=0.1), sgd),
    (Sgd(lr=0.1, velocity="steps"), sgd),
    (Sgd(lr=0.1, momentum=0.9, weight_decay=1e-2, velocity="steps"), sgd),
    (Sgd(lr=0.1, momentum=0.9, nesterov=True, velocity="steps"), sgd),
    (Adagrad(), adagrad),
    (Adagrad(0.1, 0.1, 1e-2, 0.5, 1e-3), adagrad),
    (RmsProp(), rmsprop),
    (RmsProp(0.01, 0.9, 1e-4, 1e-2, 0.9, True), rmsprop),
    (Adadelta(), adadelta),
    (Adadelta(0.5, 0.8, 1e-3, 1e-2), adadelta),
    (Adam(), adam),
    (Adam(lr=2e-2, betas=(0.5, 0.9), eps=1e-6, weight_decay=0.1, amsgrad=True), adam),
    (AdamW(), adam),
    (AdamW(lr=3e-2, betas=(0.9, 0.95), weight_decay=0.3), adam),
    (NAdam(), adam),
    (NAdam(2e-2, (0.8, 0.99), 1e-6, 0.1, 0.1, True), adam),
    (RAdam(), adam),
    (RAdam(2e-2, (0.8, 0.9), 1e-6, 0.1), adam),
    (RAdam(2e-2, (0.8, 0.9), 1e-6, 0.1, True), adam),
    (Adamax(), adam),
    (Adamax(2e-2, (0.8, 0.9), 1e-4, 0.1), adam),
    (Lamb(), adam),
    (Lamb(2e-2, (0.8, 0.9), 1e-4, 0.1), adam),
    (Lion(), lion),
    (Lion(2e-2, (0.5, 0.9), 0.3), lion),
    (Muon(lr=0.02), muon),
    (Muon(0.02, 0.0, 0.5, False, 1e-7, 3, "match_rms_adamw"), muon),
]


def build(optimizer: Optimizer, parameters: Iterable[torch.Tensor]) -> torch.optim.Optimizer:
    """The optimizer as a script makes it."""
    scope: dict[str, Any] = {"torch": torch, "Tensor": torch.Tensor, "Iterable": Iterable}
    exec(optimizer.definition, scope | {"Any": Any}, scope)
    for part in optimizer.constructor.split("."):
        scope["made"] = scope[part] if part in scope else getattr(scope["made"], part)
    return scope["made"](parameters, **dict(optimizer.arguments))  # type: ignore[no-any-return]


def test_there_is_a_case_for_each() -> None:
    stepped = {cls for cls in OPTIMIZERS.classes() if not cls.evaluates}
    assert {type(optimizer) for optimizer, _ in CASES} == stepped


@pytest.mark.parametrize(
    ("optimizer", "formula"), CASES, ids=[write_call(optimizer) for optimizer, _ in CASES]
)
def test_ten_steps_follow_the_formula(optimizer: Optimizer, formula: Formula) -> None:
    generator = np.random.default_rng(1)
    start = generator.normal(size=(5, 3))
    gradients = generator.normal(size=(STEPS, 5, 3)) * np.geomspace(0.01, 10, STEPS)[:, None, None]
    parameter = torch.nn.Parameter(torch.tensor(start))
    made = build(optimizer, [parameter])
    tolerance = 0.02 if isinstance(optimizer, Muon) else 1e-6
    for rate, gradient, expected in zip(
        RATES, gradients, formula(optimizer, iter(gradients), start), strict=True
    ):
        made.param_groups[0]["lr"] = optimizer.lr * rate
        parameter.grad = torch.tensor(gradient)
        made.step()
        np.testing.assert_allclose(parameter.detach(), expected, atol=tolerance, rtol=1e-6)
    held = made.state[parameter].values()
    assert all(isinstance(value, torch.Tensor) for value in held), "checkpoints hold tensors"


@pytest.mark.parametrize("cls", OPTIMIZERS.classes(), ids=lambda cls: cls.name)
def test_defaults_are_those_of_its_class(cls: type[Optimizer]) -> None:
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
