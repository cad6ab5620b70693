"""A text of a user that stands in generated code or a page is no part of its grammar."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from backends.pytorch.terms.document import write_test
from backends.pytorch.train.folder import write_training
from backends.pytorch.train.layout import break_line
from compiler.driver import check
from compiler.report.diagnostics import Sink
from compiler.writing.markup import escape_markdown
from compiler.writing.python import WIDTH
from tests.test_commands import weft
from weft.api import loads


def test_a_line_is_not_broken_in_its_comment() -> None:
    line = (
        'MONITOR = "val.acc"  # (open("x")) and a long name of a metric, as people have them, of it'
    )
    assert len(line) > WIDTH
    assert break_line(line) == [line]


def test_a_test_is_broken_outside_strings() -> None:
    text = f'mode == "{"a or b and " * 6}" or width > 3'
    lines = write_test(text, 0)
    assert lines == ["if (", f'    mode == "{"a or b and " * 6}"', "    or width > 3", "):"]


def test_a_test_is_broken_outside_brackets() -> None:
    text = f"({'a' * 30} or {'b' * 30}) and {'c' * 30}"
    ast.parse("\n".join([*write_test(text, 0), "    pass"]))
    assert write_test(text, 0)[1:3] == [f"    ({'a' * 30} or {'b' * 30})", f"    and {'c' * 30}"]


def test_a_long_test_on_a_text_is_code_that_means_it() -> None:
    spoken = " or long text that goes on and on or even longer until it is over 88 columns"
    spec = loads(f'''
        block B(x: f32[n, c], mode: str, width: int) {{
            if mode == "{spoken}" or width > 3 {{ x = x -> dense(c) as extra }}
            return x -> dense(width) as d
        }}
        model M {{
            input x: f32[b, 4]
            output y = x -> B("p", 3) -> B("q", 4) -> B("{spoken}", 3)
        }}''')
    paths = set(spec.model("M").torch().state_dict())
    assert {path.rpartition(".")[0].rpartition(".")[2] for path in paths} == {"extra", "d"}


TRAIN = """
model M { input a: f32[n, 2]
    output z = a -> dense(2) }
data `D%(prog)99s %(x)s` { source csv("t.csv")
    a = stack([p, q], axis=0)
    `model training` = l
    split in_order, train=50%, val=25%, test=25% }
train fit of M on `D%(prog)99s %(x)s` {
    c = z -> dropout(10%)
    minimize cross_entropy(c, `model training`) with sgd(lr=0.1)
    metric acc = accuracy(z, `model training`)
    batch 4
    epochs 1
    seed 0 }
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    rows = "".join(f"{k % 2}.5,{k % 3}.5,{k % 2}\n" for k in range(16))
    (tmp_path / "t.csv").write_text(f"p,q,l\n{rows}")
    (tmp_path / "s.weft").write_text(TRAIN)
    sink = Sink()
    program = check(tmp_path / "s.weft", sink=sink)
    assert program is not None, sink.messages
    write_training(program.trains["fit"], tmp_path / "out")
    return (tmp_path / "out" / "train.py").read_text()


def test_a_column_does_not_take_the_place_of_the_mode(script: str) -> None:
    assert "F.dropout(z, p=0.1, training=model.training)" in script
    assert "F.cross_entropy(c, model_training, " in script


def test_the_description_of_a_script_is_no_format(script: str) -> None:
    assert '"Trains M on the data D%%(prog)99s %%(x)s."' in script


@pytest.mark.parametrize("size", ["a.shape[z]", "0.shape[1]", "0 shape 1"])
def test_a_size_is_told_from_one_of_a_tensor(size: str) -> None:
    spec = loads(f"""
        block B(x: f32[n, `{size}`]) {{ return x -> dense(2 * `{size}`) }}
        model M {{ input x: f32[b, 4]
            output y = x -> B -> B -> dense(4) }}""")
    shapes = [tuple(p.shape) for p in spec.model("M").torch().parameters() if p.ndim == 2]
    assert shapes == [(8, 4), (16, 8), (4, 16)]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("https://evil.example/x", "https&#58;//evil.example/x"),
        ("www.evil.example", "www&#46;evil.example"),
        ("WWW.evil.example", "WWW&#46;evil.example"),
        ("a@b.c", "a&#64;b.c"),
        ("10: 2.5", "10: 2.5"),
    ],
)
def test_no_reader_of_markdown_finds_an_address(text: str, written: str) -> None:
    assert escape_markdown(text) == written


@pytest.mark.parametrize("name", ['a"b {1+1}', "back\\slash", "tab\there", "plain", "{{twice}}"])
def test_a_new_spec_reads_itself_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    assert weft("new", name, "--template", "text", cwd=tmp_path).returncode == 0
    done = weft("check", "--data", f"{name}.weft", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "letters:" in done.stdout
