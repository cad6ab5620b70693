"""What a user calls things never becomes code, a path, Markdown or HTML."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from compiler.driver import check
from compiler.report.diagnostics import Sink
from compiler.writing.files import find_name_fault
from compiler.writing.markup import escape_html, escape_markdown, write_code
from compiler.writing.names import (
    CONTAINER_ATTRIBUTES,
    GLOBAL_RESERVED,
    MODULE_ATTRIBUTES,
    class_name,
    function_name,
    safe_name,
)
from compiler.writing.python import (
    write_comment,
    write_docstring,
    write_formatted,
    write_long_docstring,
    write_string,
)
from tests.hostile.harness import plain_files, try_specs
from tests.hostile.specs import write_hostile
from tests.hostile.texts import CODE, WORDS
from weft.api import load, loads
from weft.errors import WeftError


def test_hostile_specs_give_the_statements_of_plain_ones() -> None:
    tally = try_specs(60, seed=0)
    assert not tally.failures, "\n".join(f"{k}\n  {v}" for k, v in tally.failures.items())
    assert tally.written > 50


def test_a_hostile_spec_trains(tmp_path: Path) -> None:
    spec = write_hostile(tmp_path / "spec", Random(5))
    weft = [sys.executable, "-m", "weft.cli.main", "train", str(spec.path), "-o", "out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(weft, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"out", "spec"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".weft", spec.texts["fit"]}


PLACES = (
    "model M {{ input x: f32[b, 4]\n param {0}: f32[4] = ones\n output y = x * {0} }}",
    "model M {{ input x: f32[b, 4]\n buffer {0}: f32[4] = ones\n output y = x * {0} }}",
    "model M {{ input x: f32[b, 4]\n net {0} = dense(4)\n output y = x -> {0} }}",
    "net {0} = dense(4)\nmodel M {{ input x: f32[b, 4]\n output y = x -> {0} }}",
    "block {0}(x: f32[b, c]) {{ return x -> dense(c) }}\n"
    "model M {{ input x: f32[b, 4]\n output y = x -> {0} }}",
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", ["{open('EXECUTED', 'w')}", "{}", "..", "a b", "a.", "é²-"])
def test_names_that_are_no_paths_are_refused(place: str, text: str) -> None:
    code = "W1290" if place.startswith("net") and find_name_fault(text) else "W0507"
    with pytest.raises(WeftError, match=code):
        loads(place.format(f"`{text}`"))


WORDS_OF_LOOPS = ("lambda", "ﬁ", "__")
TEXTS_OF_LOOPS = ("{open('EXECUTED', 'w')}", "open('EXECUTED', 'w')", "a b", *WORDS_OF_LOOPS)


@pytest.mark.parametrize(
    ("text", "stage"),
    [(text, "l[{0}]") for text in TEXTS_OF_LOOPS]
    + [(text, '"l{{{0} + 1}}"') for text in WORDS_OF_LOOPS],
)
def test_names_of_loops_are_no_code(
    text: str, stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"`{text}`"
    body = f"for {name} in 0..3 {{ x = x -> dense({name} + 3) as {stage.format(name)} }}"
    spec = loads(f"model M {{ input x: f32[b, 4]\n {body}\n output y = x -> dense(4) }}")
    module = spec.model("M").torch()
    assert sum(p.numel() for p in module.parameters()) == 15 + 16 + 25 + 24
    assert not any(tmp_path.iterdir())


BAD = """"Z}}.,open('EXECUTED','w')])],print(# what is long enough for the line to break""" + '.W"'
INDEXES = (
    f'[{BAD}, "x"][1]][i',
    f"len([{BAD}]) + i",
    'if i > 0 then "a" else "b"][i',
    f"if i > 9 then {BAD} else i",
    '["p.q", "r.s", "t.u"][i]',
    "floor(i * 0.5 + 0.5 * i)",
    "max(i, 0)",
    "round(i / 1)",
)


@pytest.mark.parametrize("index", INDEXES)
def test_what_an_index_of_a_stage_holds_is_no_code(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    body = f"for i in 0..3 {{ x = x -> dense(i + 3) as l[{index}] }}"
    spec = loads(f"model M {{ input x: f32[b, 4]\n {body}\n output y = x -> dense(4) }}")
    module = spec.model("M").torch()
    assert sum(p.numel() for p in module.parameters()) == 15 + 16 + 25 + 24
    assert not any(tmp_path.iterdir())


def test_a_net_of_a_train_has_no_dot_in_its_name(tmp_path: Path) -> None:
    table = "a,b,c\n" + "0.5,1.5,2.5\n" * 8
    (tmp_path / "t.csv").write_text(table, encoding="utf-8")
    source = """
model M { input x: f32[n, 2]
    output y = x -> dense(1) }
data D { source csv("t.csv")
    x = stack([a, b], axis=0)
    t = reshape(c, [1])
    split in_order, train=4, val=4 }
train fit on D { net NAME = M
    net other = M
    minimize mse(NAME(x), other(x) + t) with sgd
    batch 4
    epochs 1
    seed 0 }
"""
    path = tmp_path / "net.weft"
    for name, codes in (("`x.y`", ["W0507"]), ("`xy`", [])):
        path.write_text(source.replace("NAME", name), encoding="utf-8")
        sink = Sink()
        check(path, sink=sink)
        assert [message.code for message in sink.messages] == codes


def test_names_of_loops_that_are_one_in_python_stay_apart() -> None:
    body = "for `a b` in 0..2 { for a_b in 0..3 { x = x -> dense(4) as l[`a b`][a_b] } }"
    spec = loads(f"model M {{ input x: f32[b, 4]\n {body}\n output y = x }}")
    module = spec.model("M").torch()
    paths = {f"l.{i}.{j}.{w}" for i in range(2) for j in range(3) for w in ("weight", "bias")}
    assert set(module.state_dict()) == paths


@pytest.mark.parametrize("text", CODE)
def test_texts_are_literals_docstrings_and_comments(text: str) -> None:
    assert ast.literal_eval(write_string(text)) == text
    shown = 7
    made = eval(f'f"{write_formatted(text)}{{shown}}"', {"shown": shown})
    assert made.replace("\n", " ") == f"{text.replace(chr(10), ' ')}7"
    for lines in (write_docstring(text, 0), write_long_docstring(text, ["end"])):
        (statement,) = ast.parse("\n".join(lines)).body
        assert isinstance(statement, ast.Expr)
        value = ast.literal_eval(statement.value)
        assert "".join(text.split()) in "".join(value.split())
    assert not ast.parse(write_comment(text)).body
    assert len(write_comment(text).splitlines()) == 1


@pytest.mark.parametrize("make", [safe_name, function_name, class_name])
def test_every_text_has_an_identifier(make: object) -> None:
    assert callable(make)
    for text in (*CODE, *WORDS):
        name = make(text)
        assert name.isidentifier()
        assert not ast.parse(f"{name} = 1").body[1:]
        assert not name.startswith("__")


def test_markup_holds_no_element_of_a_text() -> None:
    for text in CODE:
        assert "<" not in escape_html(text)
        assert '"' not in escape_html(text)
        for made in (escape_markdown(text), write_code(text)):
            assert len(made.splitlines()) == 1
        assert "<" not in escape_markdown(text).replace("\\<", "")
        assert "|" not in escape_markdown(text).replace("\\\\", "").replace("\\|", "")


def test_names_of_a_script_are_reserved() -> None:
    """What train.py defines and imports is no name of a class or function of a spec."""
    tree = ast.parse(plain_files()["train.py"])
    own = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    own |= {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) and ast.unparse(node)[:10] != "from model":
            own |= {a.asname or a.name.partition(".")[0] for a in node.names}
    assert own - GLOBAL_RESERVED <= {"pd"}


def test_attributes_of_modules_are_known() -> None:
    from torch import nn

    attributes = find_attributes(nn.Module())
    assert attributes <= MODULE_ATTRIBUTES
    containers = (find_attributes(kind()) for kind in (nn.ModuleDict, nn.Sequential))
    assert {name for found in containers for name in found} - attributes == CONTAINER_ATTRIBUTES


def find_attributes(module: object) -> set[str]:
    """Its attributes but for those that a library, which other tests import, has added."""
    return {
        name
        for name in dir(module)
        if not name.startswith("__")
        and not str(getattr(getattr(module, name), "__module__", "")).startswith("transformers")
    }


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", "a\\b", ".", "..", "a.b", "-o", "nul", "COM1", "a\x00b", "é" * 51, " a", "a ",
     "a:b", "report", "Report", "torch", "json", "\u202ea", "a\u00a0b", "", "50%"],
)  # fmt: skip
def test_names_that_are_no_file_names_are_refused(name: str) -> None:
    assert find_name_fault(name) is not None


@pytest.mark.parametrize("name", ["fit", "Net_2", "名前", "a b", "a-b", "é" * 50, "reporter", "_"])
def test_other_names_are_not(name: str) -> None:
    assert find_name_fault(name) is None


def test_a_layer_that_pytorch_would_overwrite_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.weft"
    text = "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(2) as training\n}\n"
    path.write_text(text)
    with pytest.raises(WeftError, match=r"W1293(.|\n)*net.weft:3:"):
        load(path).model("M").torch()
    path.write_text(text.replace("training", "_modules"))
    module = load(path).model("M").torch()
    assert set(module.state_dict()) == {"_modules.weight", "_modules.bias"}


def test_items_that_one_file_would_have_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.weft"
    item = "net {} = M()\n"
    model = "model M() {\n    input x: f32[batch, 8]\n    output y = x\n}\n"
    for names, codes in (
        (("small", "Small"), ["W1291"]),
        (("ﬁt", "fit"), ["W1291"]),
        (("`../x`", "`a.b`"), ["W1290", "W1290"]),
        (("m", "fit"), []),  # `M` is a model, and never compiled beside them
    ):
        path.write_text(model + "".join(map(item.format, names)))
        sink = Sink()
        check(path, sink=sink)
        assert [message.code for message in sink.messages] == codes


def test_reports_hold_no_element_or_cell_of_a_text() -> None:
    from weft.building.page import write_page
    from weft.building.report import Report, Section

    rows = tuple((text, text) for text in CODE)
    report = Report("<script>.weft", (Section("train <script> | `x`", rows),))
    page = write_page(report)
    assert "<script" not in page
    assert "<img" not in page
    for line in report.markdown().splitlines():
        plain = line.replace("\\\\", "").replace("\\|", "").replace("\\<", "")
        assert "<" not in plain
        assert not line.startswith("|") or plain.count("|") == 3
