"""The grammar, the tables made from it, and the trees that texts become."""

from __future__ import annotations

import io
import json
import logging
import time
from pathlib import Path

import pytest
from lark import Lark
from lark import logger as lark_logger

from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from compiler.text.parse import MAX_MISTAKES, parse, parse_expression
from compiler.text.tree import syntax
from compiler.text.tree.parse_tree import TreeBuilder
from compiler.text.tree.syntax import File
from grammar.generate import STARTS, generate, write_tables
from grammar.sources import GRAMMAR, TABLES
from grammar.table import decode, load_table

PROGRAMS = sorted((Path(__file__).parent / "good" / "programs").glob("*.weft"))


def parse_text(text: str) -> tuple[File, list[str]]:
    sink = Sink()
    file = parse(Source("test.weft", text), sink)
    return file, [message.code for message in sink.messages]


def parse_good(text: str) -> File:
    file, codes = parse_text(text)
    assert codes == []
    return file


def parse_value(text: str) -> syntax.Expr:
    sink = Sink()
    value = parse_expression(Source("test.weft", text), sink)
    assert sink.messages == []
    assert value is not None
    return value


# --- the grammar ---------------------------------------------------------------------------------


def test_grammar_has_no_conflict() -> None:
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    level = lark_logger.level
    lark_logger.addHandler(handler)
    lark_logger.setLevel(logging.DEBUG)
    try:
        text = GRAMMAR.read_text(encoding="utf-8")
        Lark(text, parser="lalr", lexer="basic", start=STARTS, debug=True)
    finally:
        lark_logger.removeHandler(handler)
        lark_logger.setLevel(level)
    assert "conflict" not in log.getvalue().lower()


def test_a_conflict_would_be_seen() -> None:
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    level = lark_logger.level
    lark_logger.addHandler(handler)
    lark_logger.setLevel(logging.DEBUG)
    try:
        Lark(
            'start: a\na: "x" | "if" a | "if" a "else" a', parser="lalr", lexer="basic", debug=True
        )
    finally:
        lark_logger.removeHandler(handler)
        lark_logger.setLevel(level)
    assert "conflict" in log.getvalue().lower()


def test_grammar_names_no_layer_and_no_clause() -> None:
    reserved = "and or not in if then else for as with over return true false none"
    contextual = "use let block model data train variant deploy sweep of on scan"
    assert set(load_table().words) == {*reserved.split(), *contextual.split()}


def test_tables_are_up_to_date() -> None:
    written = TABLES.read_text(encoding="utf-8")
    assert written == write_tables(generate()), "run `python -m grammar`"


def test_tables_are_made_anew_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grammar.table.digest_sources", lambda: "another grammar")
    load_table.cache_clear()
    try:
        table = load_table()
    finally:
        load_table.cache_clear()
    assert table.rows == decode(json.loads(TABLES.read_text(encoding="utf-8"))).rows


def test_every_production_has_a_builder() -> None:
    actions = {rule.action for rule in load_table().rules if rule.action}
    assert [action for action in sorted(actions) if not hasattr(TreeBuilder, action)] == []


# --- trees ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_program_parses(path: Path) -> None:
    assert parse_good(path.read_text(encoding="utf-8")).items


def test_items() -> None:
    file = parse_good(
        'use std.vision as v\nuse "parts.weft"\nlet n = 3\nnet r = f() -> load("r.safetensors")\n'
        "train t(lr: float = 1e-3) of Net(width=8) on digits, extra { batch 8 }\n"
        "deploy t.G as onnx\n"
    )
    use, use_file, let, net, train, deploy = file.items
    assert isinstance(use, syntax.Use)
    assert [name.text for name in use.path] == ["std", "vision"]
    assert use.alias is not None
    assert isinstance(use_file, syntax.Use)
    assert use_file.file is not None
    assert use_file.file.parts == ("parts.weft",)
    assert isinstance(let, syntax.Let)
    assert isinstance(net, syntax.Clause)
    assert isinstance(train, syntax.Train)
    assert train.of is not None
    assert train.of.arguments is not None
    assert [reference.arguments for reference in train.on] == [None, None]
    assert isinstance(deploy, syntax.Deploy)
    assert [name.text for name in deploy.subject.path] == ["t", "G"]
    assert deploy.body == ()


def test_called_without_arguments_differs_from_not_called() -> None:
    file = parse_good("train a of M() { } train b of M { }")
    called, plain = file.items
    assert isinstance(called, syntax.Train)
    assert isinstance(plain, syntax.Train)
    assert called.of is not None
    assert plain.of is not None
    assert called.of.arguments == ()
    assert plain.of.arguments is None


def test_documentation_goes_to_what_follows() -> None:
    file = parse_good(
        "## A block.\n## Two lines.\nblock f(\n    ## The input.\n    x,\n    n: int = 3,\n) {\n"
        "    ## A binding.\n    y = x  ## behind a line: a plain comment\n"
        "    # no documentation\n    ## A clause.\n    param p: f32[n] = zeros\n    return y\n}\n"
        "## A constant.\nlet c = 3\n"
    )
    block, let = file.items
    assert isinstance(block, syntax.Block)
    assert block.doc == "A block.\nTwo lines."
    assert [parameter.doc for parameter in block.parameters] == ["The input.", ""]
    binding, clause, _ = block.body
    assert isinstance(binding, syntax.Binding)
    assert binding.doc == "A binding."
    assert isinstance(clause, syntax.Clause)
    assert clause.doc == "A clause."
    assert isinstance(let, syntax.Let)
    assert let.binding.doc == "A constant."


def test_spans_cover_what_was_written() -> None:
    file = parse_good("block f(x) {\n    y = x -> conv(64, kernel=3) as c[1]\n    return y\n}\n")
    (block,) = file.items
    assert isinstance(block, syntax.Block)
    binding = block.body[0]
    assert isinstance(binding, syntax.Binding)
    assert binding.span.text == "y = x -> conv(64, kernel=3) as c[1]"
    assert isinstance(binding.value, syntax.Then)
    assert isinstance(binding.value.right, syntax.Named)
    assert binding.value.right.span.text == "conv(64, kernel=3) as c[1]"
    assert binding.value.right.label.span.text == "c[1]"
    assert block.span.location == "test.weft:1:1"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("20_000", 20_000),
        ("0.5", 0.5),
        ("1e-4", 1e-4),
        ("50%", 0.5),
        ("7%", 0.07),
        ("57%", 0.57),
        ("40KiB", 40960),
        ("1.5KiB", 1536),
        ("20MB", 20_000_000),
        ("5ms", 0.005),
        ("2h", 7200.0),
        ("3epochs", 3),
        ("1epoch", 1),
        ("2000steps", 2000),
    ],
)
def test_numbers(text: str, value: float) -> None:
    number = parse_value(text)
    assert isinstance(number, syntax.Number)
    assert number.value == value
    assert type(number.value) is type(value)


def test_percent_is_no_remainder() -> None:
    assert isinstance(parse_value("10%"), syntax.Number)
    assert isinstance(parse_value("10%3"), syntax.Binary)
    assert isinstance(parse_value("10 % 3"), syntax.Binary)


@pytest.mark.parametrize(
    ("text", "grouped"),
    [
        ("-a ** b", "-(a ** b)"),
        ("a ** -b ** c", "a ** (-(b ** c))"),
        ("a + b * c - d", "(a + (b * c)) - d"),
        ("not a == b and c or d", "((not (a == b)) and c) or d"),
        ("a..b + 1", "a..(b + 1)"),
        ("a not in 0..n", "a not in (0..n)"),
        ("if a then b else if c then d else e", "if a then b else (if c then d else e)"),
        ("a / b // c % d @ e", "(((a / b) // c) % d) @ e"),
        ("x -> f as g -> h", "(x -> (f as g)) -> h"),
    ],
)
def test_precedence(text: str, grouped: str) -> None:
    def strip(node: object) -> object:
        if isinstance(node, syntax.Group):
            return strip(node.inner)
        if isinstance(node, syntax.Node):
            fields = {k: v for k, v in vars(node).items() if k not in ("span", "operator_span")}
            return type(node).__name__, {name: strip(value) for name, value in fields.items()}
        return node

    sink = Sink()
    left = parse_expression(Source("a", text), sink)
    right = parse_expression(Source("b", grouped), Sink())
    assert sink.messages == []
    assert strip(left) == strip(right)


def test_strings() -> None:
    value = parse_value(r'"layer{i + 1}.\"a\"\u00e9{{}}"')
    assert isinstance(value, syntax.String)
    head, expression, tail = value.parts
    assert head == "layer"
    assert isinstance(expression, syntax.Binary)
    assert expression.span.text == "i + 1"
    assert tail == '."a"é{}'
    plain = parse_value('""')
    assert isinstance(plain, syntax.String)
    assert plain.parts == ("",)


def test_a_mistake_in_a_string_points_into_it() -> None:
    sink = Sink()
    parse(Source("test.weft", 'let a = 1\nlet b = "layer{40Kib}"\n'), sink)
    (message,) = sink.messages
    assert message.span is not None
    assert message.span.location == "test.weft:2:18"
    assert message.span.text == "Kib"


def test_backquotes_make_any_text_a_name() -> None:
    name = parse_value("`petal length (cm)`")
    assert isinstance(name, syntax.Name)
    assert name.text == "petal length (cm)"


def test_contextual_words_are_names_elsewhere() -> None:
    file = parse_good(
        "block f(data, model=3) {\n    on = data.train(of=1)\n    scan = on\n    return scan\n}\n"
    )
    assert len(file.items) == 1


def test_remainder_of_a_file_is_kept_after_a_mistake() -> None:
    file, codes = parse_text(
        "model A { input x: f32[n] output y = x -> }\nmodel B { output y = 1 }\n"
    )
    assert codes == ["W0110"]
    assert [type(item).__name__ for item in file.items] == ["Model", "Model"]


# --- size and time -------------------------------------------------------------------------------


def test_a_long_pipe() -> None:
    text = "block f(x) {\n    return x" + " -> relu" * 5000 + "\n}\n"
    (block,) = parse_good(text).items
    assert isinstance(block, syntax.Block)


def test_many_items() -> None:
    assert len(parse_good("let a = 1\n" * 2000).items) == 2000


def test_a_long_list() -> None:
    value = parse_value("[" + "1, " * 20_000 + "]")
    assert isinstance(value, syntax.ListExpr)
    assert len(value.items) == 20_000


@pytest.mark.parametrize(
    "text",
    [
        "let x = " + "(" * 10_000 + "1" + ")" * 10_000,
        "let x = " + "[" * 10_000,
        "let x = " + "-" * 10_000 + "1",
        "let x = " + "not " * 10_000 + "a",
        "let x = " + "a ** " * 10_000 + "a",
        "let x = " + "a + " * 10_000 + "a",
        "let x = a" + ".b" * 10_000,
        "let x = a" + "(1)" * 10_000,
        "let x = " + "if a then b else " * 5_000 + "c",
        "block f(x) { if a { }" + " else if a { }" * 5_000 + " }",
        "block f(x) { " + "if a { " * 10_000,
        "block f(x) { return x" + " -> (x" * 10_000,
    ],
    ids=lambda text: text[8:28],
)
def test_deep_nesting_is_refused(text: str) -> None:
    began = time.process_time()
    _, codes = parse_text(text)
    assert codes == ["W0113"]
    assert time.process_time() - began < 5


@pytest.mark.timed
def test_many_mistakes_end_soon() -> None:
    began = time.process_time()
    _, codes = parse_text("block f(x) {\n" + "    y = )\n" * 5000 + "}\n")
    assert 1 < len(codes) <= MAX_MISTAKES
    assert time.process_time() - began < 5


def test_a_file_that_is_no_spec() -> None:
    _, codes = parse_text("".join(map(chr, range(256))) * 200)
    assert 1 < len(codes) <= MAX_MISTAKES
