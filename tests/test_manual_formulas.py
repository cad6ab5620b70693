"""Formulas and colours of the manual: every word that has a formula shows it, as LaTeX on the site;
specs are coloured by the grammar."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pygments import lex
from pygments.token import Comment, Keyword, Name, Number, Operator, String

from compiler.ir.graph import Op
from compiler.manual.pages import BLOCK, find_pages
from compiler.ops.registry import OPS, load_ops
from compiler.training.base import METRICS, OPTIMIZERS, REGULARIZERS, SCHEDULES
from compiler.vocabulary.manual_text import read_manual
from tests.test_optimizers import build
from website.formulas import find_formulas, show_formulas, write_latex
from website.lexer import WeftLexer

ROOT = Path(__file__).resolve().parents[1]

WITHOUT_FORMULA = {
    "op": {
        *("constant", "full", "ones", "ones_like", "zeros", "zeros_like", "size"),  # makes numbers
        *("chunk", "concat", "expand", "flatten", "flip", "index", "pad", "permute", "put"),
        *("repeat", "repeat_interleave", "reshape", "split", "squeeze", "stack", "transpose"),
        *("unbind", "unsqueeze"),  # moves them
        *("all", "any", "cast", "isnan", "logical_not", "nms", "round", "sort", "topk"),  # in words
        *("fill", "resize"),  # as its options say
        *("permutation", "randint"),  # all of which are as likely
        "scan",  # as its body says
    },
    "metric": {  # counts and curves
        *("binary_confusion_matrix", "calibration_curve", "confusion_matrix"),
        *("precision_recall_curve", "roc_curve"),
    },
    "block": {
        *("argsort", "class_shares", "diag", "overlap_axes"),
        *("basic_block", "bottleneck", "conv_bn", "image_tokens"),  # nets
        "transformer_decoder_layer",  # as that of the encoder, with attention to `memory` between
        *("affine", "box_grid", "join_grid", "perspective_grid", "rotate", "sample_both"),  # places
        *("cutmix", "elastic"),
        *("center_crop", "random_affine", "random_crop", "random_flip", "random_perspective"),
        *("random_resized_crop", "random_rotation", "adjust_hue", "random_gray"),
        *("blur", "gaussian_band", "gaussian_blur"),
        *("cover", "draw_around", "random_box", "random_span"),  # draws, in words
        *("frequency_mask", "random_erasing", "random_mask", "time_mask"),
        *("day_of_month", "day_of_year", "hour", "march_year", "minute"),  # parts of dates
        *("month", "weekday", "year"),
    },
}
"""Words whose meaning no formula says better, by kind."""


def test_words_have_their_formula() -> None:
    """A formula that becomes LaTeX, or the operator of the language that it is."""
    kinds = {OPS.kind, OPTIMIZERS.kind, SCHEDULES.kind, METRICS.kind, REGULARIZERS.kind, BLOCK}
    missing: dict[str, set[str]] = {}
    for page in find_pages():
        operator = re.search(r"`a \S+ b`", page.text.about)
        if page.kind in kinds and operator is None and not find_formulas(page.text.about):
            missing.setdefault(page.kind, set()).add(page.name)
    assert missing == WITHOUT_FORMULA


def test_formulas_on_lines_of_their_own_become_latex() -> None:
    """An indented line is a formula, or code that is written as such."""
    for page in find_pages():
        shown = show_formulas(page.text.about)
        plain = [
            line for line in re.findall(r"^    (.*)$", shown, re.MULTILINE) if "->" not in line
        ]
        assert not plain, page.name


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("y = 1 / (1 + exp(-x))", r"y = \frac{1}{1 + \exp(-x)}"),
        ("2 TP / (2 TP + FN)", r"\frac{2 \, \text{TP}}{2 \, \text{TP} + \text{FN}}"),
        (
            "p - lr * m̂ / (sqrt(v) + eps)",
            r"p - \text{lr} \cdot \frac{\hat{m}}{\sqrt{v} + \varepsilon}",
        ),
        ("(Σ |x|^p)^(1/p)", r"\left(\sum \lvert x \rvert^{p}\right)^{\frac{1}{p}}"),
        ("-‖q - k‖² / beta2", r"-\frac{\lVert q - k \rVert^{2}}{\beta_{2}}"),
        ("y[i] = Σ_{j <= i} x[j]", r"y[i] = \sum_{j \le i} x[j]"),
        ("x @ Wᵀ", r"x \, W^{\top}"),
        (
            "f(x) = a where x > 0, else b",
            r"f(x) = a\text{ where }x > 0,\;\text{ else }b",
        ),
        ("y = (x", None),
        ("y = a ! b", None),
    ],
)
def test_plain_formulas_become_latex(text: str, latex: str | None) -> None:
    assert write_latex(text) == latex


def test_code_stays_code() -> None:
    for text in ("`x -> conv(64, kernel=3)`", "`f32[n, c * r]`", "`a // b`", "`eps`", '`"mean"`'):
        assert show_formulas(text) == text
    assert show_formulas("Is `y = x²`.") == "Is $y = x^{2}$."
    assert show_formulas("Is `bound +\nslack`.") == "Is $\\text{bound} + \\text{slack}$."
    assert show_formulas("So:\n\n    a = b     c = d\n\nDone.") == (
        "So:\n\n\n$$a = b \\qquad c = d$$\n\n\nDone."
    )


# --- colours ---


def test_colours_are_those_of_the_grammar() -> None:
    text = (
        'model M {  # net\n    input x: f32[n, 3]\n    data = x -> conv(2, kernel="a") or true\n}\n'
    )
    found = [(kind, word) for kind, word in lex(text, WeftLexer()) if word.strip()]
    assert (Keyword.Declaration, "model") in found
    assert (Keyword, "input") in found
    assert (Name, "data") in found, "a name where it is given a value"
    listed = [
        kind for kind, word in lex("block b(\n    target,\n) {}\n", WeftLexer()) if word == "target"
    ]
    assert listed == [Name], "a parameter, no clause"
    for kind, word in (
        (Keyword.Type, "f32"),
        (Operator.Word, "->"),
        (Name.Function, "conv"),
        (Number, "3"),
        (String, '"a"'),
        (Keyword.Reserved, "or"),
        (Keyword.Constant, "true"),
        (Comment.Single, "# net"),
    ):
        assert (kind, word) in found


def test_colours_lose_no_text() -> None:
    for path in (ROOT / "specs").rglob("*.weft"):
        text = path.read_text("utf-8")
        assert "".join(word for _, word in lex(text, WeftLexer())) == text
    assert "".join(word for _, word in lex("a ? \\ b\n", WeftLexer())) == "a ? \\ b\n"


# --- numbers ---

MEANINGS = {
    **{n: getattr(np, n) for n in ("exp", "log", "sqrt", "tanh", "sin", "cos", "floor", "ceil")},
    **{"abs": np.abs, "max": np.maximum, "min": np.minimum, "sign": np.sign, "where": np.where},
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "norm": np.linalg.norm,
    "softplus": lambda x: np.log1p(np.exp(x)),
}
"""What the functions in formulas mean."""

SPELLED = (
    (r"\|([^|]+)\|", r"abs(\1)"),
    (r"‖([^‖]+)‖", r"norm(\1)"),
    (r"√(\w+)", r"sqrt(\1)"),
    ("√", "sqrt"),
    (r"\^", "**"),
    ("([mv])\u0302", r"\1_hat"),
    (r"⌊([^⌋]+)⌋", r"floor(\1)"),
    (r"⌈([^⌉]+)⌉", r"ceil(\1)"),
    ("²", "**2"),
    (r"^(.+) where (.+), else (.+)$", r"where(\2, \1, \3)"),
)
"""Signs in formulas, and how Python writes them."""


def spell_formula(formula: str) -> str:
    text = formula.removeprefix("y = ").split(" = ")[0]
    for pattern, other in SPELLED:
        text = re.sub(pattern, other, text)
    return text


def find_checked(cls: type[Op]) -> list[str]:
    """The formulas of an op that say its whole result in functions and options that are known."""
    given = {operand.name for operand in cls.operands}
    given |= {o.name for o in cls.options() if not o.required and o.default is not None}
    found = []
    for formula in find_formulas(read_manual(cls.manual()).about):
        text = spell_formula(formula)
        try:
            names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        except SyntaxError:
            continue
        whole = f"`{formula}` where " not in cls.manual() and "[" not in formula
        whole = whole and formula.startswith("y = ")
        if whole and names & given and names <= given | MEANINGS.keys():
            found.append(text)
    return found


load_ops()
CHECKED = {cls.name: found for cls in OPS.classes() if (found := find_checked(cls))}


def test_many_formulas_are_computed() -> None:
    assert len(CHECKED) >= 30


@pytest.mark.parametrize("name", CHECKED)
def test_formulas_give_what_the_op_gives(name: str) -> None:
    cls = OPS.get(name)
    assert cls is not None
    options = {option.name: option.default for option in cls.options()}
    generator = np.random.default_rng(0)
    for low in (-3.0, 0.1):  # below 0 some have no value
        operands = [generator.uniform(low, 3.0, 50) for _ in cls.operands]
        with np.errstate(all="ignore"):
            (meant,) = cls(**options).evaluate(*operands)
            named = dict(zip([o.name for o in cls.operands], operands, strict=True))
            for text in CHECKED[name]:
                found = eval(text, {**MEANINGS, **options, **named})
                np.testing.assert_allclose(found, meant, rtol=1e-5, atol=1e-6, err_msg=text)


STEPS: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9, "weight_decay": 0.1},
    "adam": {"betas": (0.8, 0.9), "weight_decay": 0.1},
    "adamw": {"betas": (0.8, 0.9), "weight_decay": 0.1},
    "adamax": {"betas": (0.8, 0.9), "weight_decay": 0.1},
    "radam": {"betas": (0.8, 0.9), "weight_decay": 0.1},
    "lamb": {"betas": (0.8, 0.9), "weight_decay": 0.1},
    "lion": {"betas": (0.8, 0.9), "weight_decay": 0.1},
    "adagrad": {"lr_decay": 0.1, "weight_decay": 0.1},
    "rmsprop": {"alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1},
    "adadelta": {"rho": 0.8, "weight_decay": 0.1},
}
"""Optimizers whose page can be read as a program, and settings with which it is."""


@pytest.mark.parametrize("name", STEPS)
def test_pages_are_programs_that_make_its_steps(name: str) -> None:
    """Ten steps from the lines of formulas, in the order in which they stand there."""
    cls = OPTIMIZERS.get(name)
    assert cls is not None
    options = {option.name: option.default for option in cls.options()} | STEPS[name]
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    weight = start.clone().requires_grad_()
    theirs = build(cls(**STEPS[name]), [weight])
    lines = re.findall(r"^    (.*)$", read_manual(cls.manual()).about, re.MULTILINE)
    lines = [part.rstrip(",") for line in lines for part in re.split(r" {3,}", line)]
    named = MEANINGS | options | {"p": start.numpy().copy(), **dict.fromkeys("mvsu", 0.0)}
    if "betas" in options:
        named |= dict(zip(("beta1", "beta2"), options["betas"], strict=True))
    generator = np.random.default_rng(0)
    for step in range(10):
        gradient = generator.normal(size=3)
        named |= {"g": gradient, "t": step + 1}
        for line in lines:
            target, _, value = line.partition(" = ")
            with np.errstate(invalid="ignore"):  # of the branch that is not taken
                named[spell_formula(target)] = eval(spell_formula(value), named)
        weight.grad = torch.tensor(gradient)
        theirs.step()
        np.testing.assert_allclose(named["p"], weight.detach().numpy(), rtol=1e-6)
