"""Every message has a page: a docstring, a bad spec that gives its code and a good one, or else a
console session, which `tests/test_message_sessions.py` runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from compiler.driver import check_source
from compiler.explain import explain
from compiler.report.diagnostics import MESSAGES, MessageKind, Sink
from compiler.report.messages import load_messages
from compiler.report.source import Source
from tests.extending import extend

TESTS = Path(__file__).parent
WITHOUT_EXAMPLE = {
    "W0803": "a guard for ops to come: none has an attribute that depends on an open size",
    "W0804": "a guard of the backend: `deploy` refuses such names first",
    "W0806": "a guard of the backend: inputs that do not show a size are refused first",
    "W0807": "a guard of the backend: files of weights are compared with the net first",
    "W0811": "takes a fault in a pass of the compiler",
    "W0812": "takes a fault in ONNX Runtime's optimizer",
    "W0840": "a guard of the backend: such paths are refused where they are made",
    "W0860": "takes a file that goes away between two looks at it",
    "W0862": "takes a GPU that is too small",
    "W0864": "takes a process that somebody ends",
    "W1102": "takes a pass that is run without the build around it",
    "W1140": "a guard of the pass: a build has refused nets without sizes before it",
    "W1142": "takes an ONNX Runtime that does not fuse what it should",
    "W1252": "takes rows that verification meets and training does not",
    "W1323": "takes a fault in Weft",
    "W1324": "takes a machine that has no memory left",
    "W1530": "takes a Python without Optuna",
    "W1576": "takes a machine without a C++ compiler",
    "W1579": "takes a Python without a tracker of experiments",
    "W1722": "takes a file that is damaged between two looks at it",
    "W1723": "takes a process that somebody ends",
    "W1724": "takes a full disk",
    "W1725": "takes data that does not fit into memory, or files beside the spec",
    "W1749": "takes a Python without the package `tokenizers`",
}
"""Why no page can show what causes these; other tests meet them."""

load_messages()
ALL = sorted(MESSAGES.items())
SHOWN = [(code, kind) for code, kind in ALL if kind.bad]
NOT_SHOWN = [(code, kind) for code, kind in ALL if not (kind.bad or kind.console)]


def codes_of(text: str) -> list[str]:
    sink = Sink()
    check_source(Source("example.weft", text), sink=sink)
    return [message.code for message in sink.messages]


@cache
def find_met() -> frozenset[str]:
    """Codes that the goldens of bad specs show, and codes and names that tests assert: those in
    assertions, in arguments of `raises` and in tables. Comments and texts of specs meet nothing."""
    found: set[str] = set()
    for path in TESTS.rglob("*.err"):
        found |= set(re.findall(r"^(?:error|warning)\[(W\d{4})\]", path.read_text("utf-8"), re.M))
    for path in TESTS.rglob("test_*.py"):
        if path != Path(__file__):
            for checked in find_checks(ast.parse(path.read_text("utf-8"))):
                found |= {name for node in ast.walk(checked) for name in names_in(node)}
    return frozenset(found)


def find_checks(tree: ast.AST) -> Iterator[ast.AST]:
    """What a test holds against what it finds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert | ast.Call):
            yield node
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            yield node.value


def names_in(node: ast.AST) -> tuple[str, ...]:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return (name,)
        case ast.Constant(value=str(text)):
            return tuple(re.findall(r"\bW\d{4}\b", text))
        case _:
            return ()


@pytest.mark.parametrize(("code", "kind"), ALL, ids=[code for code, _ in ALL])
def test_message_has_a_page(code: str, kind: MessageKind[...]) -> None:
    assert kind.page.strip(), f"{kind.name} has no docstring"
    page = explain(code)
    assert page is not None
    assert page.startswith(f"{kind.severity}[{code}]")
    assert page.count(f"{kind.severity}[{code}]") == (2 if kind.bad or kind.console else 1), (
        "the message is shown"
    )
    assert not (kind.bad and kind.console)
    assert kind.console or not kind.mended


@pytest.mark.parametrize(("code", "kind"), SHOWN, ids=[code for code, _ in SHOWN])
def test_examples(code: str, kind: MessageKind[...]) -> None:
    assert codes_of(kind.bad) == [code]
    assert kind.good
    assert codes_of(kind.good) == []


def test_every_other_message_has_an_example() -> None:
    assert {code for code, _ in NOT_SHOWN} == set(WITHOUT_EXAMPLE)


@pytest.mark.parametrize(("code", "kind"), NOT_SHOWN, ids=[code for code, _ in NOT_SHOWN])
def test_others_are_met_elsewhere(code: str, kind: MessageKind[...]) -> None:
    assert codes_of(kind.good) == []
    assert {code, kind.name} & find_met(), "no test meets it"


def test_pages_show_what_is_printed() -> None:
    page = explain("W0102")
    assert page is not None
    assert "error[W0102]: `(` is never closed" in page
    assert "\x1b[" not in page
    assert "\x1b[" in (explain("W0102", color=True) or "")


def test_unknown_code_has_no_page() -> None:
    assert explain("W9999") is None


def test_there_are_enough_messages() -> None:
    assert len(SHOWN) >= 190


# --- adding one -----------------------------------------------------------------------------------

ODD = """
from compiler.explain import explain
from compiler.report.diagnostics import Severity
from compiler.report.messages.sizes import odd_size
from compiler.report.render import render

made = odd_size(None, "height", 7)
assert made.kind is odd_size and made.severity is Severity.ERROR
assert made == odd_size(None, "height", 7) != odd_size(None, "height", 9)
assert "odd size" in explain("W1999") and "even ones only" in explain("W1999")
print(render([made]))
"""


def test_a_message_takes_one_file(tmp_path: Path) -> None:
    extended = extend("A message", tmp_path)
    assert extended.touched == {"compiler/report/messages/sizes.py"}
    done = extended.run(ODD)
    assert done.stdout == (
        "error[W1999]: `height` is odd\n   = is 7\n   = help: write `fix height=8`\n\n1 error\n"
    ), done.stderr
