"""Diagnostics as people and programs see them."""

from __future__ import annotations

import json

import pytest

from compiler.report.diagnostics import Label, MessageKind, Severity, Text
from compiler.report.render import is_harmless, render, render_json
from compiler.report.source import Source, Span

NET = Source(
    "net.weft",
    "model Net {\n\n\n\n\n\n    x = image -> conv(16, kernel=3)\n\n"
    "    y = x -> conv(32, kernel=3, groups=3)\n}\n",
)


def write(
    span: Span | None,
    title: str = "something is wrong",
    label: str = "",
    labels: tuple[Label, ...] = (),
    help: str | None = None,
) -> Text:
    """A message made of what it is given."""
    return Text(title, label, labels, help)


# Not by `@message`: they are not in the registry.
sample = MessageKind("W0000", write, Severity.ERROR, "", "")
warned = MessageKind("W0000", write, Severity.WARNING, "", "")


def find(source: Source, text: str, after: str = "") -> Span:
    start = source.text.index(text, source.text.index(after))
    return Span(source, start, start + len(text))


def test_layout_of_the_design() -> None:
    message = sample(
        find(NET, "conv", after="y ="),
        "channels do not match",
        "`groups=3` must divide the input channels",
        (Label(find(NET, "conv"), "which are 16 here: f32[batch, 16, 26, 26]"),),
        "16 is divisible by 1, 2, 4, 8 and 16",
    )
    assert render([message]) == (
        "error[W0000]: channels do not match\n"
        "  --> net.weft:9:14\n"
        "   9 |     y = x -> conv(32, kernel=3, groups=3)\n"
        "     |              ^^^^ `groups=3` must divide the input channels\n"
        "   7 |     x = image -> conv(16, kernel=3)\n"
        "     |                  ---- which are 16 here: f32[batch, 16, 26, 26]\n"
        "   = help: 16 is divisible by 1, 2, 4, 8 and 16\n"
        "\n"
        "1 error"
    )


def test_nothing_to_say() -> None:
    assert render([]) == ""


def test_summary_counts_by_severity() -> None:
    span = find(NET, "conv")
    text = render([sample(span), sample(span), warned(span)])
    assert text.endswith("\n\n2 errors, 1 warning")
    assert "warning[W0000]" in text
    assert render([warned(span), warned(span)]).endswith("\n\n2 warnings")


def test_a_fault_in_no_file() -> None:
    text = render([sample(None, "no such option", "`--lr`", (), "one\ntwo")])
    assert text == (
        "error[W0000]: no such option\n   = `--lr`\n   = help: one\n           two\n\n1 error"
    )


def test_several_lines() -> None:
    source = Source("a.weft", "let a = [\n    1,\n\n    22\n]  # end\n")
    text = render([sample(Span(source, 8, source.text.index("]") + 1), "a list", "here")])
    assert text.splitlines()[2:-2] == [
        "   1 | let a = [",
        "     |         ^",
        "   2 |     1,",
        "     |     ^^",
        "   3 |",
        "     | ^",
        "   4 |     22",
        "     |     ^^",
        "   5 | ]  # end",
        "     | ^ here",
    ]


def test_many_lines_are_cut() -> None:
    source = Source("a.weft", "x\n" * 100)
    lines = render([sample(Span(source, 0, 199), "long", "end")]).splitlines()
    assert "     | …" in lines
    assert lines[-3] == "     | ^ end"
    assert lines[-4] == " 100 | x"
    assert len(lines) < 20


def test_the_end_of_a_line() -> None:
    source = Source("a.weft", "let a = f(1\nlet b = 2\n")
    text = render([sample(Span(source, 11, 11), "open", "here")])
    assert "   1 | let a = f(1\n     |            ^ here" in text


def test_the_end_of_the_file() -> None:
    source = Source("a.weft", "let a =")
    assert "   1 | let a =\n     |        ^" in render([sample(Span(source, 7, 7))])
    empty = Source("a.weft", "")
    assert "   1 |\n     | ^" in render([sample(Span(empty, 0, 0))])


def test_tabs_and_wide_characters() -> None:
    source = Source("a.weft", "\tlet 幅 = é̀ + x\n")
    text = render([sample(find(source, "x"))])
    line, marks = text.splitlines()[2:4]
    assert line == "   1 |     let 幅 = é̀ + x"
    assert marks == "     |                  ^"
    wide = render([sample(find(source, "幅"))]).splitlines()[3]
    assert wide == "     |         ^^"


def test_characters_a_terminal_would_obey() -> None:
    source = Source("a.weft", "let \x1b[31m = \u202e1\r\n")
    text = render([sample(find(source, "1"), "bad \x1b[0m title")])
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\r" not in text


def test_long_lines_are_cut_around_the_place() -> None:
    source = Source("a.weft", "a + " * 500 + "b" + " + c" * 500)
    lines = render([sample(find(source, "b"), "far", "here")]).splitlines()
    assert max(map(len, lines)) < 200
    column = lines[3].index("^")
    assert lines[2][column] == "b"
    assert lines[2][7] == "…"
    assert lines[2].endswith("…")


def test_labels_on_the_same_line_and_in_another_file() -> None:
    other = Source("lib.weft", "block f(x) { return x }\n")
    message = sample(
        find(NET, "conv", after="y ="),
        labels=(
            Label(find(NET, "groups"), "this"),
            Label(find(other, "f"), "declared here"),
            Label(find(NET, "image"), "from here"),
        ),
    )
    assert render([message]).splitlines()[2:-2] == [
        "   9 |     y = x -> conv(32, kernel=3, groups=3)",
        "     |              ^^^^",
        "     |                                 ------ this",
        "  ::: lib.weft:1:7",
        "   1 | block f(x) { return x }",
        "     |       - declared here",
        "  ::: net.weft:7:9",
        "   7 |     x = image -> conv(16, kernel=3)",
        "     |         ----- from here",
    ]


def test_large_line_numbers_widen_the_frame() -> None:
    source = Source("a.weft", "\n" * 99_999 + "x")
    lines = render([sample(Span(source, 99_999, 100_000), "far")]).splitlines()
    assert lines[2:4] == ["100000 | x", "       | ^"]


def test_color() -> None:
    plain = render([sample(find(NET, "conv"), help="mend it")])
    colored = render([sample(find(NET, "conv"), help="mend it")], color=True)
    assert "\x1b[1;31merror[W0000]\x1b[0m" in colored
    assert "\x1b[1;33m" in render([warned(find(NET, "conv"))], color=True)
    for code in ("\x1b[1;31m", "\x1b[1;33m", "\x1b[34m", "\x1b[1m", "\x1b[0m"):
        colored = colored.replace(code, "")
    assert colored == plain


def test_json() -> None:
    message = sample(
        find(NET, "conv", after="y ="),
        "bad",
        "here",
        (Label(find(NET, "conv"), "made here"),),
        "mend",
    )
    report = json.loads(render_json([message, warned(None)]))
    assert report["errors"] == 1
    assert report["warnings"] == 1
    first, second = report["messages"]
    assert first == {
        "code": "W0000",
        "severity": "error",
        "title": "bad",
        "file": "net.weft",
        "start": {"line": 9, "column": 14},
        "end": {"line": 9, "column": 18},
        "label": "here",
        "labels": [
            {
                "file": "net.weft",
                "start": {"line": 7, "column": 18},
                "end": {"line": 7, "column": 22},
                "text": "made here",
            }
        ],
        "help": "mend",
    }
    assert second["file"] is None
    assert second["help"] is None
    assert json.loads(render_json([])) == {"errors": 0, "warnings": 0, "messages": []}


@pytest.mark.parametrize("text", ["", "\n", "a", "a\nb", "a\n", "\r\n"])
def test_every_place_of_small_texts(text: str) -> None:
    source = Source("a.weft", text)
    for start in range(len(text) + 1):
        for end in range(start, len(text) + 1):
            assert "^" in render([sample(Span(source, start, end))])


def test_json_has_no_character_that_a_terminal_would_obey() -> None:
    strange = "\x9b31m\u202e\u2066\u200b\u2028\ud800\U000e0041\x1b\x7f"
    source = Source(f"a{strange}.weft", "model M() {\n    output y = x\n}")
    message = sample(Span(source, 0, 5), f"b{strange}c", strange, (), strange)
    text = render_json([message], {"columns": [strange]})
    assert all(char == "\n" or is_harmless(char) for char in text)
    found = json.loads(text)
    assert found["columns"] == [strange]
    assert found["messages"][0]["file"] == source.path
