"""The site: built without a warning, a page for every word and message, nothing from elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from compiler.manual.pages import BLOCK, CLAUSE, find_pages
from compiler.ops.registry import OPS
from compiler.report.diagnostics import MESSAGES
from compiler.report.messages import load_messages
from compiler.training.base import METRICS, OPTIMIZERS, SCHEDULES

config = pytest.importorskip("mkdocs.config", reason="the extra `docs` is not installed")
from mkdocs.commands.build import build  # noqa: E402
from pygments import lex  # noqa: E402
from pygments.token import Comment, Keyword, Name, Number, Operator, String  # noqa: E402

from website import messages, reference  # noqa: E402
from website.formulas import find_formulas, show_formulas, write_latex  # noqa: E402
from website.lexer import WeftLexer  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, where a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    build(config.load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


def test_every_word_and_message_has_its_page(site: Path) -> None:
    load_messages()
    words = [reference.place(page) for page in find_pages() if page.kind != CLAUSE]
    for place in [*words, *map(messages.place, MESSAGES)]:
        page = (site / place).with_suffix(".html")
        assert page.exists(), place
        text = page.read_text("utf-8")
        assert place in map(messages.place, MESSAGES) or "<strong>Source:</strong>" in text, place
        assert place in map(messages.place, MESSAGES) or 'id="example"' in text, place


def test_every_page_is_found_by_search(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text("utf-8"))
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    written = {str(path.relative_to(site)) for path in site.rglob("*.html")} - {"404.html"}
    assert written == found


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """Links may lead out; scripts, styles, pictures and fonts are in the folder."""
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        loaded = re.findall(r"<(?:script|img)[^>]* src=\"?(https?:[^\" >]*)", text)
        loaded += re.findall(r"<link(?![^>]*canonical)[^>]* href=\"?(https?:[^\" >]*)", text)
        assert not loaded, page.name


def test_formulas_are_shown_without_scripts(site: Path) -> None:
    shown = 0
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert "arithmatex" not in text, page.name
        shown += text.count("<math ")
    assert shown > 500


def test_specs_have_colours(site: Path) -> None:
    text = (site / "index.html").read_text("utf-8")
    assert '<span class="kd">model</span>' in text
    assert '<span class="k">minimize</span>' in text


# --- formulas ---

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
