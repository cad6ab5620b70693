"""Formulas and colours of the manual: every word that has a formula shows it, as LaTeX on the site;
specs are coloured by the grammar."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pygments import lex
from pygments.token import Comment, Keyword, Name, Number, Operator, String

from compiler.manual.pages import BLOCK, find_pages
from compiler.ops.registry import OPS
from compiler.training.base import METRICS, OPTIMIZERS, SCHEDULES
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
        "scan",  # as its body says
    },
    "metric": {  # counts and curves
        *("binary_confusion_matrix", "calibration_curve", "confusion_matrix"),
        *("precision_recall_curve", "roc_curve"),
    },
    "block": {
        *("argsort", "class_shares", "diag", "overlap_axes"),
        *("add_learned", "add_sinusoidal", "image_tokens", "self_attention", "mlp"),  # nets
        *("encoder_block", "transformer_decoder_layer", "transformer_encoder_layer"),
        *("basic_block", "bottleneck", "conv_bn", "squeeze_excite"),
    },
}
"""Words whose meaning no formula says better, by kind."""


def test_words_have_their_formula() -> None:
    """A formula that becomes LaTeX, or the operator of the language that it is."""
    kinds = (OPS.kind, OPTIMIZERS.kind, SCHEDULES.kind, METRICS.kind, BLOCK)
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
