"""The registry of clauses: whatever is derived from it knows every clause."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.settings import read_settings
from compiler.compression.base import COMPRESSION
from compiler.compression.registry import load_compression
from compiler.describe import describe_program
from compiler.driver import check_source
from compiler.elaborate.items.item_elaborator import load_clauses
from compiler.manual.pages import find_clauses
from compiler.program.identity import identify
from compiler.program.train import Train
from compiler.report import habits
from compiler.report.diagnostics import Message, Sink
from compiler.report.messages.items import train_spec
from compiler.report.messages.training_steps import gan_spec
from compiler.report.source import Source
from compiler.text.errors.recover import FILE_WORDS, ITEM_WORDS
from compiler.vocabulary.clauses import TRAIN, ClauseHome, ClauseWord, find_homes, read_clauses
from tests.checking import check_text
from tests.extending import extend

load_clauses()
DOCS = Path(__file__).resolve().parents[1] / "docs"
HOMES = [home for home in ClauseHome.every.values() if home.clauses]
WORDS = [(home, word) for home in HOMES for word in home.clauses.values()]
BODIES = {
    "block": "block b(x: f32[n, 8]) {\n    STATEMENT\n    return x\n}\n"
    "model M {\n    input x: f32[n, 8]\n    output y = x -> b\n}\n",
    "model": "model M {\n    STATEMENT\n    input x: f32[n, 8]\n    output y = x\n}\n",
    "scan": "block b(x: f32[n, t, 8]) {\n    h = zeros([n, 8])\n    scan s in x, axis=1 {\n"
    "        STATEMENT\n        h = h + s\n    }\n    return h\n}\n"
    "model M {\n    input x: f32[n, t, 8]\n    output y = x -> b\n}\n",
    "data": 'data d {\n    STATEMENT\n    source sklearn("digits")\n'
    "    split random(seed=0), train=50%\n}\n",
    "train": train_spec("STATEMENT"),
    "step": gan_spec("step critic { STATEMENT }"),
    "variant": train_spec() + "variant v of fit {\n    STATEMENT\n}\n",
    "deploy": train_spec() + "deploy fit as onnx {\n    STATEMENT\n}\n",
    "sweep": train_spec() + "sweep tune of fit {\n    STATEMENT\n}\n",
}
"""A body of each kind, with a place for a statement."""


def find_messages(text: str) -> list[Message]:
    sink = Sink()
    check_source(Source("spec.weft", text), sink=sink)
    return sink.messages


def misspell(word: str) -> str:
    return word[:-2] + word[-1] + word[-2] if len(word) < 6 else word[:-2] + word[-1]


# --- words that are written wrong -----------------------------------------------------------------


@pytest.mark.parametrize(("home", "word"), WORDS, ids=lambda v: getattr(v, "kind", None) or v.word)
def test_a_misspelt_clause_is_told_by_its_word(home: ClauseHome, word: ClauseWord) -> None:
    wrong = misspell(word.word)
    text = BODIES[home.kind].replace("STATEMENT", word.form.replace(word.word, wrong, 1))
    told = next(m for m in find_messages(text) if m.code == "W0205")
    assert told.text.title == f"`{wrong}` is not a clause of {home.place}"
    assert told.text.label == f"did you mean `{word.word}`?"
    assert told.text.help == f"write `{word.form}`"


@pytest.mark.parametrize(("home", "word"), WORDS, ids=lambda v: getattr(v, "kind", None) or v.word)
def test_a_clause_elsewhere_is_told_by_its_homes(home: ClauseHome, word: ClauseWord) -> None:
    other = next(h for h in HOMES if word.word not in h.clauses)
    told = next(
        m
        for m in find_messages(BODIES[other.kind].replace("STATEMENT", word.form))
        if m.code == "W0205"
    )
    places = [h.place for h in HOMES if word.word in h.clauses]
    assert home.place in places
    assert told.text.label == f"this is a clause of {' and of '.join(places)}"


@pytest.mark.parametrize("word", [word.lower() for word in ITEM_WORDS])
def test_a_misspelt_item_is_told_by_its_word(word: str) -> None:
    heads = {"use": "use std.vision", "let": "let a = 3", "deploy": "deploy fit as onnx {}"}
    plain = heads.get(word, f"{word} thing of fit {{}}")
    told = find_messages(
        train_spec() + plain.replace(word, misspell(word) if word[3:] else word[0])
    )
    assert word in FILE_WORDS
    assert told, "it is refused"
    if word[3:]:
        assert told[0].text.label == f"did you mean `{word}`?"


LATER_CLAUSES = [(h, word) for h in ClauseHome.every.values() for word in h.later_clauses]


@pytest.mark.parametrize(("home", "word"), LATER_CLAUSES, ids=lambda v: getattr(v, "kind", v))
def test_a_later_clause_is_refused(home: ClauseHome, word: str) -> None:
    body = BODIES[home.kind if home.clauses else "train"]
    assert "W0206" in [m.code for m in find_messages(body.replace("STATEMENT", f"{word} 3"))]


@pytest.mark.parametrize(
    ("body", "statement", "said"),
    [
        ("train", "until stalled(val.loss, epoch=8)", "epochs"),
        ("train", 'metric a = accuracy(logits, label), beter="higher"', "better"),
        ("scan", "emit states = h, axs=0", "axis"),
        ("data", "split random(sed=0), train=50%", "seed"),
        ("variant", "target cpu(thread=2)", "threads"),
    ],
)
def test_a_misspelt_option_is_told_by_its_name(body: str, statement: str, said: str) -> None:
    found = [m.text.label for m in find_messages(BODIES[body].replace("STATEMENT", statement))]
    assert f"did you mean `{said}`?" in found


def test_passes_outside_of_apply_are_told_where_they_belong() -> None:
    load_compression()
    for name in COMPRESSION.names():
        found = find_messages(f"model M {{\n    input x: f32[n, 4]\n    output y = {name}(x)\n}}\n")
        assert [m.code for m in found] == ["W0206"], name
        assert "outside of the `apply` of a variant" in str(found[0].text), name


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ('clip "a"', 'a number above 0 belongs here, not the string "a"'),
        ("clip 5ms", "a number above 0 belongs here, not 5ms"),
        ("clip true", "a number above 0 belongs here, not true"),
        ("clip 0", "is 0"),
        ("layout channels_last", 'a choice is written in quotes: "channels_last"'),
        ('layout "x"', '"channels_last" or "contiguous" belongs here, not the string "x"'),
        ("precision f64", "bf16, f16, f32 or tf32 belongs here, not the dtype f64"),
        ("seed 9223372036854775808", "is 9223372036854775808"),
    ],
)
def test_a_value_that_a_clause_cannot_take(statement: str, said: str) -> None:
    assert [m.text.label for m in find_messages(train_spec(statement))] == [said]


def test_a_misspelt_clause_is_not_missed_as_well() -> None:
    text = 'data d {\n    sorce sklearn("digits")\n    splt random(seed=0), train=50%\n}\n'
    assert [m.code for m in find_messages(text)] == ["W0205", "W0205"]


def test_words_of_other_tools_lead_to_clauses() -> None:
    for targets in habits._CLAUSES.values():  # the private table: nothing else lists it whole
        assert all(find_homes(word) for word in targets)


# --- pages ----------------------------------------------------------------------------------------


def test_the_manual_has_every_clause() -> None:
    shown = {(place, word.word) for place, word in find_clauses()}
    for home, word in WORDS:
        places = [place for place, shown_word in shown if shown_word == word.word]
        assert any(home.place in place for place in places)
        assert word.form.startswith(word.word)
        assert not word.doc.endswith(".")


@pytest.mark.parametrize("home", HOMES, ids=lambda home: home.kind)
def test_the_reference_has_the_clauses_of_an_item(home: ClauseHome) -> None:
    heads = tuple(f"| `{home.kind} {name}" for name in ("name", "Name", "x_t in"))
    lines = (DOCS / "language.md").read_text(encoding="utf-8").splitlines()
    (row,) = (line for line in lines if line.startswith(heads))
    assert re.findall(r"`(\w+)`", row.split("|")[2]) == list(home.clauses)


def test_the_reference_says_what_is_refused() -> None:
    page = (DOCS / "language.md").read_text(encoding="utf-8").split("## What is refused")[1]
    for home in ClauseHome.every.values():
        assert {f"`{word}`" for word in home.later_clauses} <= set(re.findall(r"`\w+`", page))


def test_the_page_of_training_shows_clauses_that_exist() -> None:
    page = (DOCS / "training.md").read_text(encoding="utf-8")
    rows = page.split("| clause | effect |\n|---|---|\n")[1].split("\n\n")[0].splitlines()
    for row in rows:
        words = re.findall(r"`(\w+) [^`]*`", row.split("|")[1])
        assert set(words) <= {*TRAIN.clauses, "with"}


# --- what follows from a clause -------------------------------------------------------------------

CHANGES = {
    "step": ("", ""),
    "minimize": ("minimize cross_entropy(logits, label) with sgd(lr=1e-3)", ""),
    "buffer": ("", "buffer c: f32[10] = 2"),
    "update": ("", "buffer c: f32[10] = zeros\n    update c = mean(logits, axis=0)"),
    "metric": ("", "metric m = top_k(logits, label, k=2)"),
    "sample": ("", "sample grid = softmax(logits, axis=-1)"),
    "batch": ("batch 64", "batch 32"),
    "epochs": ("epochs 10", "epochs 11"),
    "seed": ("", "seed 1"),
    "epoch": ("", "epoch 20steps"),
    "accumulate": ("", "accumulate 2"),
    "precision": ("", "precision bf16"),
    "clip": ("", "clip 1.0"),
    "checkpoint": ("", "checkpoint every=5steps"),
    "layout": ("", 'layout "channels_last"'),
    "processes": ("", "processes ddp"),
    "compile": ("", "compile true"),
    "checkpoint_activations": ("", 'checkpoint_activations "*"'),
    "log": ("", "log tensorboard"),
    "until": ("", "until stalled(val.loss, epochs=3)"),
    "regularize": ("", "regularize group_lasso(1e-3)"),
    "freeze": ("", 'freeze "*.bias"'),
    "net": ("", ""),
    "assert": ("", ""),
}
"""A train without a clause and with it, or with another value; a step stands in the place
of `minimize`, and the last two change no program."""


def make_train(*clauses: str, sizes: str = "batch 64  epochs 10", minimize: str = "") -> Train:
    minimize = minimize or "cross_entropy(logits, label) with adamw(lr=1e-3)"
    text = train_spec(*clauses, sizes=sizes, minimize=minimize)
    return check_text(text).trains["fit"]


def test_every_clause_of_a_train_has_a_change() -> None:
    assert list(CHANGES) == list(TRAIN.clauses)


@pytest.mark.parametrize("word", [w for w, c in CHANGES.items() if any(c)])
def test_a_clause_of_a_train_changes_its_key(word: str) -> None:
    plain, (before, after) = make_train(), CHANGES[word]
    if word == "minimize":
        changed = make_train(minimize=before.removeprefix("minimize "))
    elif before:
        changed = make_train(sizes="batch 64  epochs 10".replace(before, after))
    else:
        changed = make_train(after)
    assert identify(plain) != identify(changed)
    assert describe_train(plain) != describe_train(changed)
    if word not in ("metric", "checkpoint_activations", "log"):  # the same figures, bit by bit
        assert read_settings(ScriptSpec(plain)) != read_settings(ScriptSpec(changed))


ITEM_CHANGES = {
    "variant": {
        "apply": ("", "apply quantize(float16)"),
        "target": ("", "target cpu(threads=2)"),
        "require": ("", "require size <= 1MiB"),
    },
    "deploy": {
        "dynamic": ("fix batch=3", "dynamic batch"),
        "fix": ("", "fix batch=3"),
        "opset": ("", "opset 20"),
        "labels": ("", f"labels {json.dumps([*'abcdefghij'])}"),
        "outputs": ("", "outputs logits"),
        "preprocess": ("", "preprocess digits"),
        "verify": ("", "verify off"),
    },
}


@pytest.mark.parametrize(("kind", "word"), [(k, w) for k, c in ITEM_CHANGES.items() for w in c])
def test_a_clause_of_a_variant_or_deployment_changes_its_key(kind: str, word: str) -> None:
    assert list(ITEM_CHANGES[kind]) == list(ClauseHome.every[kind].clauses)
    texts = [BODIES[kind].replace("STATEMENT", clause) for clause in ITEM_CHANGES[kind][word]]
    programs = [check_text(text) for text in texts]
    before, after = ((*p.variants.values(), *p.deploys) for p in programs)
    assert identify(before) != identify(after)
    assert f"\n  {word} " in describe_program(programs[1])


def describe_train(train: Train) -> str:
    program = check_text(train_spec())
    return describe_program(replace(program, trains={"fit": train}))


def test_fields_of_a_train_hold_its_clauses() -> None:
    fields = {word.field for word in read_clauses(Train)}
    assert fields == {word.field for word in TRAIN.clauses.values() if word.field}


# --- adding one -----------------------------------------------------------------------------------

LIMITED = """
import sys
from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.settings import read_settings
from compiler.describe import describe_program
from compiler.driver import check_source
from compiler.manual.pages import find_clauses
from compiler.manual.reference import op_reference
from compiler.program.identity import identify
from compiler.report.diagnostics import Sink
from compiler.report.source import Source

def check(clause):
    sink = Sink()
    program = check_source(Source("s.weft", sys.argv[1].replace("CLAUSE", clause)), sink=sink)
    return program, [(m.text.title, m.text.label, m.text.help) for m in sink.messages]

plain, limited = check("")[0], check("limit 100")[0]
train = limited.trains["fit"]
assert train.limit == 100
assert identify(train) != identify(plain.trains["fit"])
assert read_settings(ScriptSpec(train))["limit"] == "100"
assert "limit" not in read_settings(ScriptSpec(plain.trains["fit"]))
assert "LIMIT" not in emit_script(ScriptSpec(plain.trains["fit"]))
script = emit_script(ScriptSpec(train))
assert 'LIMIT = 100' in script and '{LIMIT=}' in script and "min(steps, LIMIT)" in script
assert "  limit 100" in describe_program(limited)
assert any(word.word == "limit" for _, word in find_clauses())
assert "`limit 100`" in op_reference()
assert check("limt 100")[1] == [
    ("`limt` is not a clause of a train", "did you mean `limit`?", "write `limit 100`")
]
assert check("limit 0")[1] == [("`limit` must be 1 or above", "is 0", None)]
assert check("limit 1  limit 2")[1][0][0] == "`limit` is given twice"
elsewhere = check_source(Source("s.weft", "model M {\\n    limit 3\\n}\\n"), sink=(sink := Sink()))
assert sink.messages[0].text.label == "this is a clause of a train"
print("known everywhere")
"""


def test_a_clause_of_a_train_takes_two_files(tmp_path: Path) -> None:
    extended = extend("A clause", tmp_path)
    assert len(extended.touched) <= 2
    done = extended.run(LIMITED, train_spec("CLAUSE"))
    assert done.stdout.strip() == "known everywhere", done.stderr
