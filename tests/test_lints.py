"""Lints: what they say of, what they leave alone, and comments that silence them at their line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from compiler.driver import check, check_source
from compiler.ops.registry import OPS, load_ops
from compiler.report.diagnostics import MESSAGES, Message, Severity, Sink
from compiler.report.messages.items import train_spec
from compiler.report.source import Source
from compiler.training.base import OPTIMIZERS
from compiler.training.registry import load_training

ROOT = Path(__file__).resolve().parents[1]
CALM = sorted([*(ROOT / "specs").rglob("*.weft"), *(ROOT / "tests/architectures").glob("*.weft")])


def find_all(text: str) -> list[Message]:
    sink = Sink()
    check_source(Source("spec.weft", text), sink=sink)
    return list(sink.messages)


def find(text: str) -> list[str]:
    return [message.kind.name for message in find_all(text)]


def net(layers: str, shape: str = "batch, 8") -> str:
    return f"model M() {{\n    input x: f32[{shape}]\n    output y = x -> {layers}\n}}\n"


def trained(layers: str, **settings: str) -> str:
    return train_spec(**settings).replace("dense(10)", layers)


@pytest.mark.parametrize("path", CALM, ids=lambda path: path.stem)
def test_specs_of_the_library_have_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    sink = Sink()
    check(Path(path.name), sink=sink)
    assert [m.kind.name for m in sink.messages if m.kind.lint] == []


# --- what each says -------------------------------------------------------------------------------

IMAGE = "batch, 3, 9, 9"


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ("conv(4, kernel=3) -> batch_norm", True),
        ("conv(4, kernel=3) -> relu -> batch_norm", False),
        ("conv(4, kernel=3) -> layer_norm", False),
        ("conv(4, kernel=3, bias=false) -> batch_norm", False),
        ("conv_transpose(4, kernel=3) -> batch_norm", True),
        ("flatten -> dense(4) -> batch_norm", True),
    ],
)
def test_bias_before_norm(layers: str, told: bool) -> None:
    assert find(net(layers, IMAGE)) == ["bias_before_norm"] * told


def test_bias_that_something_else_reads() -> None:
    text = "    h = x -> conv(4, kernel=3)\n    output y = (h -> batch_norm) + h\n"
    assert find(f"model M() {{\n    input x: f32[{IMAGE}]\n{text}}}\n") == []


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ("dense(8) -> sigmoid -> " * 5 + "dense(1)", True),
        ("dense(8) -> sigmoid -> " * 4 + "dense(1)", False),
        ("dense(8) -> hard_sigmoid -> " * 5 + "dense(1)", True),
        ("dense(8) -> tanh -> " * 9 + "dense(1)", False),
        ("dense(8) -> sigmoid -> layer_norm -> " * 5 + "dense(1)", False),
        ("sigmoid -> " * 5 + "dense(1)", False),
    ],
)
def test_sigmoid_depth(layers: str, told: bool) -> None:
    assert find(net(layers)) == ["sigmoid_depth"] * told


def test_shortcuts_are_ways_around_sigmoids() -> None:
    text = "".join("    x = x + (x -> dense(8) -> sigmoid)\n" for _ in range(9))
    assert find(f"model M() {{\n    input x: f32[batch, 8]\n{text}    output y = x\n}}\n") == []


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ("dense(8) -> unit_step -> dense(10)", True),
        ("dense(8) -> sign -> dense(10)", True),
        ("dense(8) -> round -> dense(10)", True),
        ("dense(8) -> floor -> dense(10)", True),
        ("dense(8) -> argmax(axis=-1) -> embedding(8, 10)", True),
        ("dense(8) -> unit_step(straight_through=true) -> dense(10)", False),
        ("sign -> dense(10)", False),
    ],
)
def test_dead_gradient(layers: str, told: bool) -> None:
    assert find(trained(layers)) == ["dead_gradient"] * told


def test_gradients_that_find_another_way() -> None:
    masked = trained("dense(10)").replace(
        "output logits = image -> flatten -> dense(10)",
        "h = image -> flatten -> dense(10)\n    output logits = where(h > 0, h, 0.1 * h)",
    )
    assert find(masked) == []


def test_frozen_weights_need_no_gradient() -> None:
    text = trained("dense(8) as a -> sign -> dense(10) as b")
    assert find(text) == ["dead_gradient"]
    assert find(text.replace("    minimize", '    freeze "a.*"\n    minimize')) == []


HEADS = trained("dense(10)").replace(
    "    output logits = image -> flatten -> dense(10)",
    "    h = image -> flatten -> dense(8) as body -> relu\n"
    "    output logits = h -> dense(10) as head\n"
    "    output side = h -> dense(4) as first -> relu -> dense(1) as second -> squeeze(1)",
)
SECOND = """
train more of Net on digits {
    minimize mse(side, cast(label, f32)) with sgd(lr=0.1)
    batch 8  epochs 1
}
"""


def test_unreached_weights() -> None:
    assert "second" in HEADS
    messages = find_all(HEADS)
    (message,) = messages
    assert message.kind.name == "unreached_weights"
    paths = "`first.weight`, `first.bias`, `second.weight` and `second.bias`"
    assert message.text.label == f"{paths} get no gradient"
    assert [label.span.text for label in message.text.labels] == ["side"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("    minimize", '    freeze "first.*", "second.*"\n    minimize', []),
        ("    minimize", '    freeze "first.*"\n    minimize', ["unreached_weights"]),
        ("label) with", "label) + mse(side, cast(label, f32)) with", []),
        ("label) with", "label) + 0.1 * mean(sign(side)) with", ["dead_gradient"]),
        ("minimize", "metric error = mae(side, cast(label, f32))\n    minimize",
         ["unreached_weights"]),
        ("h -> dense(4) as first -> relu -> dense(1) as second", "h[:, :1]", []),
        ("train fit", "# weft: allow unreached_weights\ntrain fit", []),
    ],
)  # fmt: skip
def test_what_reaches_weights(old: str, new: str, told: list[str]) -> None:
    assert old in HEADS
    assert find(HEADS.replace(old, new, 1)) == told


def test_another_train_of_the_file_reaches_them() -> None:
    assert find(HEADS + SECOND) == []


ZERO = "init=zeros(), bias_init=zeros()"


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        (f"dense(8, {ZERO}) -> relu -> dense(10)", True),
        (f"dense(8, {ZERO}) -> tanh -> dense(10, {ZERO})", True),
        (f"dense(8, {ZERO}) -> gelu -> dense(10)", False),
        (f"dense(8, {ZERO}) -> tanh -> dense(10)", False),
        (f"dense(8) -> relu -> dense(10, {ZERO})", False),
        (f"dense(10, {ZERO})", False),
        ("dense(8, init=zeros()) -> relu -> dense(10)", False),
        (f"dense(8, init=0, bias_init=0) -> relu -> dense(8, {ZERO}) -> relu -> dense(10)", True),
    ],
)
def test_stays_at_zero(layers: str, told: bool) -> None:
    """Held to what PyTorch's gradients are, below."""
    assert find(trained(layers)) == ["stays_at_zero"] * told


@pytest.mark.parametrize(
    ("act", "last", "still"),
    [
        (torch.relu, "random", True),
        (torch.tanh, "zeros", True),
        (torch.nn.functional.gelu, "random", False),
        (torch.tanh, "random", False),
    ],
)
def test_weights_stay_in_pytorch(act: object, last: str, still: bool) -> None:
    torch.manual_seed(0)
    first, second = torch.nn.Linear(4, 8), torch.nn.Linear(8, 3)
    for parameter in (*first.parameters(), *(second.parameters() if last == "zeros" else ())):
        torch.nn.init.zeros_(parameter)
    optimizer = torch.optim.SGD([*first.parameters(), *second.parameters()], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        scores = second(act(first(torch.randn(5, 4))))  # type: ignore[operator]
        torch.nn.functional.cross_entropy(scores, torch.tensor([0, 1, 2, 0, 0])).backward()
        optimizer.step()
    assert bool((first.weight == 0).all()) is still


def test_functions_without_gradient_are_those_of_pytorch() -> None:
    load_ops()
    flat = {name for name in OPS.names() if hasattr(OPS.get(name), "straight_through")}
    assert flat == {"unit_step", "sign"}
    x = torch.randn(20, dtype=torch.float64, requires_grad=True)
    for function in (torch.floor, torch.ceil, torch.round, torch.sign):
        (gradient,) = torch.autograd.grad(function(x).sum(), x)
        assert not np.any(gradient.numpy())


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        ("cross_entropy(x -> dense(10) -> relu, label)", True),
        ("cross_entropy(x -> dense(10) -> sigmoid, label)", True),
        ("cross_entropy(x -> dense(10) -> tanh, label)", False),
        ("nll(x -> dense(10) -> log_softmax(axis=1), label)", False),
        ("nll(x -> dense(10) -> softmax(axis=1), label)", True),
        ("nll(x -> dense(10), label)", True),
        ("bce(x -> dense(1) -> squeeze(1), label)", True),
        ("bce(x -> dense(1) -> sigmoid -> squeeze(1), label)", False),
        ("bce_with_logits(x -> dense(1) -> relu -> squeeze(1), label)", True),
        ("mse(x -> dense(1) -> relu -> squeeze(1), label)", False),
    ],
)
def test_loss_does_not_fit(loss: str, told: bool) -> None:
    text = "model M() {\n    input x: f32[batch, 8]\n    input label: i64[batch]\n"
    assert find(f"{text}    output loss = {loss}\n}}\n") == ["loss_does_not_fit"] * told


@pytest.mark.parametrize(
    ("optimizer", "told"),
    [
        ("adamw(lr=1)", True),
        ("adamw(lr=0.1)", False),
        ("adam(lr=1e-9)", True),
        ("sgd(lr=1)", False),
        ("sgd(lr=1e-8)", True),
        ("lion(lr=0.1)", True),
        ("lookahead(lion(lr=0.1))", True),
        ("lookahead(lion(lr=1e-4))", False),
        ("muon(lr=0.02)", False),
        ("adadelta(lr=1)", False),
        ("adamw(lr=1, schedule=inverse_square_root(warmup=4000steps))", True),
        ("adam(lr=1e-3, schedule=exponential(1e30))", True),  # beyond all numbers
    ],
)
def test_unusual_rate(optimizer: str, told: bool) -> None:
    text = train_spec(minimize=f"cross_entropy(logits, label) with {optimizer}")
    if optimizer.startswith("muon"):
        text = text.replace("dense(10)", "dense(10, bias=false)")
    assert find(text) == ["unusual_rate"] * told


def test_every_optimizer_knows_its_usual_rates() -> None:
    load_training()
    for cls in OPTIMIZERS.classes():
        if "lr" not in {option.name for option in cls.options()}:
            continue  # it is around another
        assert cls.usual is not None, cls.name
        low, high = cls.usual
        default = next(o.default for o in cls.options() if o.name == "lr")
        assert 0 < low <= default <= high, cls.name  # type: ignore[operator]


def test_norm_of_one_row() -> None:
    norm = train_spec(sizes="batch 1  epochs 1").replace("flatten ->", "NORM -> flatten ->")
    assert find(norm.replace("NORM", "batch_norm")) == ["norm_of_one_row"]
    assert find(norm.replace("NORM", "layer_norm")) == []


def test_spare_classes() -> None:
    assert find(trained("dense(11)")) == ["spare_classes"]
    assert find(trained("dense(10)")) == []


# --- comments -------------------------------------------------------------------------------------

UNUSED = "model M() {\n    input x: f32[batch, 8]\n    BEFORE\n    h = x -> dense(8)BEHIND\n"
UNUSED += "    output y = x -> relu\n}\n"


def unused(before: str = "", behind: str = "") -> list[str]:
    return find(UNUSED.replace("BEFORE", before).replace("BEHIND", behind))


def test_silenced_by_name_at_its_line() -> None:
    assert unused() == ["unused_binding"]
    assert unused(behind="  # weft: allow unused_binding") == []
    assert unused("# weft: allow unused_binding") == []
    assert unused("# weft: allow unused_binding\n    # why it is so\n\n") == []
    assert unused(behind=" -> dense(8)  # weft: allow unused_binding") == []


def test_a_comment_above_is_for_the_whole_statement() -> None:
    layers = "conv(4, kernel=3)\n        -> relu\n        -> conv(4, kernel=3) -> batch_norm"
    text = net(layers, IMAGE)
    assert find(text) == ["bias_before_norm"]
    above = text.replace("    output", "    # weft: allow bias_before_norm\n    output")
    assert find(above) == []
    first = text.replace("kernel=3)\n", "kernel=3)  # weft: allow bias_before_norm\n", 1)
    assert sorted(find(first)) == ["allows_nothing", "bias_before_norm"]


def test_a_place_that_the_lint_shows_will_do() -> None:
    text = net("conv(4, kernel=3)\n        -> batch_norm  # weft: allow bias_before_norm", IMAGE)
    assert find(text) == []


def test_other_lines_and_other_lints_are_still_told() -> None:
    assert unused(behind="\n    # weft: allow unused_binding") == [
        "unused_binding",
        "allows_nothing",
    ]
    assert unused(behind="  # weft: allow never_reached") == ["unused_binding", "allows_nothing"]


def test_names_that_no_lint_has() -> None:
    for name in ("unused_bindings", "W1002", "unknown_name"):
        assert unused(behind=f"  # weft: allow {name}") == ["unknown_lint", "unused_binding"]
    for comment in ("# weft: alow unused_binding", "# weft: allow", "# weft: allow a b", "# weft:"):
        assert "malformed_allowance" in unused(behind=f"  {comment}")


def test_a_code_is_told_the_name() -> None:
    sink = Sink()
    check_source(Source("spec.weft", net("relu  # weft: allow W1002")), sink=sink)
    assert sink.messages[0].text.label == "did you mean `unused_binding`?"


def test_texts_and_documentation_are_no_comments() -> None:
    assert find('let a = "# weft: nonsense"\n') == []
    assert find("## weft: a word\n" + net("relu")) == []


def test_branches_that_are_not_taken_are_left_alone() -> None:
    text = (
        "model M(norm: bool = false) {\n    input x: f32[batch, 8]\n    if norm {\n"
        "        x = x -> dense(8) -> batch_norm  # weft: allow bias_before_norm\n    }\n"
        "    output y = x -> relu\n}\n"
    )
    assert find(text) == []
    assert find(text.replace("= false", "= true")) == []
    assert find(text.replace("= false", "= true").replace("dense(8)", "relu")) == ["allows_nothing"]


def test_lints_are_warnings() -> None:
    assert all(k.severity is Severity.WARNING for k in MESSAGES.values() if k.lint)


# --- what nothing uses ----------------------------------------------------------------------------


def body(*lines: str) -> list[str]:
    """What is told of a model of these statements."""
    inside = "".join(f"    {line}\n" for line in ("input x: f32[batch, 8]", *lines))
    return find(f"model M(n: int = 2) {{\n{inside}}}\n")


def test_values_that_are_replaced_before_they_are_read() -> None:
    last = "output y = h + n"
    assert body("h = x -> dense(8)", "h = x -> relu", last) == ["unused_binding"]
    assert body("h = x -> dense(8)", "h = h -> relu", last) == []
    assert body("h = x -> relu", "if n > 1 { h = x -> tanh }", last) == []
    assert body("a, b = (x, x)", "a = x -> relu", "output y = a + b + n") == []
    assert body("a, b = (x, x)", "a = x -> relu", "b = x", "output y = a + b + n") == [
        "unused_binding",
        "unused_binding",
    ]


def test_conditions_that_read_nothing() -> None:
    assert body("if true { x = x -> relu }", "output y = x + n") == ["constant_condition"]
    assert body("if n > 1 { x = x -> relu }", "output y = x") == []
    assert body("output y = x + (if 1 > 2 then n else 3)") == ["constant_condition"]
