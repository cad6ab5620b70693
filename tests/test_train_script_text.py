"""The text of training scripts: trees of statements, whose lines break where ruff breaks them."""
# ruff: noqa: E501
# Lines under test are too long on purpose.

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from backends.pytorch import functions
from backends.pytorch.train.code import Function, suite, write_function
from backends.pytorch.train.inlining import inline
from backends.pytorch.train.layout import break_line, join_lines, split_items
from backends.pytorch.train.matching import spell_match
from backends.pytorch.train.measuring import rename
from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.writing.imports import write_imports
from compiler.writing.names import class_name, name_all, safe_name
from compiler.writing.python import write_literal
from tests.train_scripts import DIGITS, NETS, PLAIN, open_train

LONG = [
    "value = function(first_argument_of_it, second_argument_of_it, third_argument_of_it_too)",
    "value = function(first_argument_of_it, second_argument_of_it, third_argument_of_it, fourth_of_it)",
    "values = {name: compute_something_long(value) for name, value in long_mapping_of_names.items()}",
    "values = [compute_something_long(value) for name, value in items_of_it() if name in the_wanted_names]",
    "names = ['best.safetensors', 'last.safetensors', 'metrics.jsonl', 'results.json', 'train.log']",
    "image = np.concatenate([read('train-images-idx3-ubyte', 16), read('t10k', 16)]).reshape(-1, 28, 28)",
    "def function_with_a_name(first: torch.Tensor, second: torch.Tensor) -> tuple[Tensor, Tensor, Tensor]:\n    pass",
    "call(outer(inner_one(alpha, beta), inner_two(gamma, delta)), other(epsilon, zeta), option=of_it)",
    "sums = call([one_of_the_sums_1, one_of_the_sums_2, one_of_the_sums_3, one_of_the_sums_44, xxxxx], dtype=of_it)",
    "return {'real': (2 * hits_of_real / (real_predicted_ones + actual) if predicted else 0.0) if not undefined else math.nan}",
    "return {'real': (2 * hits_of_real / (real_predicted_ones + actual_ones) if real_predicted + actual else 0.0) if not undefined else math.nan, 'b': 2}",
    "short = call(a, b)",
    "text = call('a string, with a comma (and a bracket', another_argument, a_third_argument_here)",
]


@pytest.mark.parametrize("line", LONG)
def test_breaks_lines_as_ruff_does(line: str, tmp_path: Path) -> None:
    head, *rest = line.replace("'", '"').split("\n")
    text = "\n".join([*break_line(head), *rest]) + "\n"
    path = tmp_path / "line.py"
    path.write_text(text)
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--diff", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("spec", [DIGITS, PLAIN.replace("OPTIMIZER", "sgd(lr=0.1)"), NETS])
def test_no_graph_is_folded_twice_for_one_script(spec: str, tmp_path: Path) -> None:
    train = open_train(spec, tmp_path)
    with patch.object(functions, "fold_graphs", wraps=functions.fold_graphs) as fold:
        emit_script(ScriptSpec(train))
    folded = [
        (graph.name, *(output.name for output in graph.outputs))
        for call in fold.call_args_list
        for graph in call.args[0]
    ]
    assert folded
    assert len(set(folded)) == len(folded)


def test_lines_inside_a_block_keep_their_indentation() -> None:
    assert break_line("    f(" + "a" * 50 + ", " + "b" * 40 + ")") == [
        "    f(",
        "        " + "a" * 50 + ",",
        "        " + "b" * 40 + ",",
        "    )",
    ]


def test_items_are_split_outside_brackets_and_strings() -> None:
    assert split_items('a, f(b, c), "d, e", [g, h]') == ["a", "f(b, c)", '"d, e"', "[g, h]"]


@pytest.mark.parametrize("line", LONG)
def test_broken_lines_are_joined_again(line: str) -> None:
    whole = line.partition("\n")[0].replace("'", '"')
    assert join_lines(break_line(whole)) == whole


def test_a_function_is_a_tree_of_statements() -> None:
    body = ("a = 1", suite("if a:", ["b = 2", suite("for c in b:", ["pass"])]), "", "return a")
    made = Function("f", ("x: int",), "int", body, ("What it does.", "", "And how."), ("@once",))
    assert "\n".join(write_function(made)) == (
        "@once\n"
        "def f(x: int) -> int:\n"
        '    """What it does.\n\n    And how.\n    """\n'
        "    a = 1\n    if a:\n        b = 2\n        for c in b:\n            pass\n\n    return a"
    )


SHORT = """def f(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    # x: [batch, 4]
    y = model(
        x,
        1,
    )  # [batch, 2]
    return F.relu(
        y, inplace=True
    ), y
"""


def test_a_short_body_is_written_where_it_is_needed() -> None:
    found = inline(SHORT, ())
    assert found is not None
    assert found.parameters == ("model", "x")
    assert found.lines == ("y = model(x, 1)  # [batch, 2]",)
    assert found.results == ("F.relu(y, inplace=True)", "y")
    assert found.reads("x")
    assert not found.reads("z")


def test_variables_get_names_that_are_free_there() -> None:
    text = SHORT.replace("x", "step").replace("y", "größe").replace("inplace", "step")
    found = inline(text, {"step", "größe", "größe_2"})
    assert found is not None
    assert found.parameters == ("model", "step_2")
    assert found.lines == ("größe_3 = model(step_2, 1)  # [batch, 2]",)
    assert found.results == ("F.relu(größe_3, step=True)", "größe_3")


@pytest.mark.parametrize(
    "text",
    [
        SHORT + "\n\ndef g(x: Tensor) -> Tensor:\n    return x\n",
        SHORT.replace("    y =", "    if x:\n        x = 1\n    y ="),
        SHORT.replace("    y =", "    a = 1\n" * 4 + "    y ="),
    ],
)
def test_other_bodies_stay_functions(text: str) -> None:
    assert inline(text, {"taken"}) is None


def test_imports_are_merged_and_sorted() -> None:
    extra = ["from torch import Tensor", "import gzip", "import pandas as pd"]
    lines = write_imports("x: Tensor = F.relu(math.pi, np.e, nn)  # json.x", extra)
    assert "import math" in lines
    assert "import gzip" in lines
    assert lines.index("import pandas as pd") == lines.index("import numpy as np") + 1
    assert lines.count("from torch import Tensor, nn") == 1
    assert "import json" not in lines
    assert "from fnmatch import fnmatchcase" not in lines


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", "accuracy"),
        ("PT08.S1(CO)", "PT08_S1_CO"),
        ("2nd", "x2nd"),
        ("class", "class_"),
        ("len", "len_"),
        ("match", "match_"),
        ("_", "x"),
        ("__init__", "init"),
        ("ﬁ", "fi"),
        ("x²", "x2"),
        ("§", "x"),
        ("a\n\u202eb", "a_b"),
    ],
)
def test_names_become_python_names(name: str, expected: str) -> None:
    assert safe_name(name) == expected
    assert expected.isidentifier()


def test_names_that_python_would_not_tell_apart_get_numbers() -> None:
    found = name_all(["ﬁ", "fi", "class", "class_", "taken"], {"taken"})
    assert list(found.values()) == ["fi", "fi_2", "class_", "class__2", "taken_2"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("_", "X"), ("history", "History_"), ("path", "Path_"), ("none", "None_"), ("ﬁx", "Fix")],
)
def test_classes_hide_nothing_of_a_script(name: str, expected: str) -> None:
    assert class_name(name) == expected


def test_literals_are_python() -> None:
    for value in (
        'a "b"\n\\',
        "\u202e\u2028\r\0",
        float("inf"),
        (1,),
        (1, 2.5),
        [True, None],
        3e-4,
    ):
        assert eval(write_literal(value)) == value


def test_renaming_touches_whole_words_only() -> None:
    assert rename("rows + x.rows + arrows", {"rows": "size"}) == "size + x.rows + arrows"


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("stem.*",), 'name.startswith("stem.")'),
        (("stem.*", "neck.*"), 'name.startswith(("stem.", "neck."))'),
        (("stem",), 'name.startswith("stem.")'),
        (("head.bias",), 'name == "head.bias"'),
        (("*.bias",), 'fnmatchcase(name, "*.bias")'),
        (("stem.*", "*.bias"), 'name.startswith("stem.") or fnmatchcase(name, "*.bias")'),
    ],
)
def test_patterns_become_readable_conditions(patterns: tuple[str, ...], expected: str) -> None:
    paths = ["stem.0.weight", "stem.0.bias", "neck.weight", "head.weight", "head.bias"]
    assert spell_match(patterns, paths) == expected
