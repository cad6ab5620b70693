"""Every word of every registry is known wherever words are: where it is written, to advice about
misspelt ones, to the manual and to `docs/ops.md`; and nothing else is."""

from __future__ import annotations

import re

from compiler.compression.registry import load_compression
from compiler.data.registry import load_sources
from compiler.driver import check_source
from compiler.elaborate.items.item_elaborator import load_clauses
from compiler.elaborate.scopes.library import find_blocks
from compiler.elaborate.values.functions import FUNCTIONS
from compiler.manual.pages import CLAUSE, TITLES, find_clauses, find_pages
from compiler.manual.reference import op_reference
from compiler.ops.registry import OPS, load_ops
from compiler.report import habits
from compiler.report.diagnostics import Message, Sink
from compiler.report.source import Source
from compiler.text.errors.recover import ITEM_WORDS
from compiler.training.registry import load_training
from compiler.vocabulary.clauses import ClauseHome
from compiler.vocabulary.signature import Registry

load_clauses()
load_ops()
load_training()
load_sources()
load_compression()

NET = """
model Net {
    input x: f32[b, 64]
    LAYER
    output y = x -> dense(10)
}
net tuned = Net() NET
data digits {
    source SOURCE
    x = image -> reshape([64])
    split random(seed=0), train=60%, val=20%, test=20%
}
train fit of Net on digits {
    minimize cross_entropy(y, label) with OPTIMIZER
    metric score = METRIC
    batch 64  epochs 2
    CLAUSE
}
train searched(lr: float = 0.1) of Net on digits {
    minimize cross_entropy(y, label) with sgd(lr=lr)
    metric score = accuracy(y, label)
    batch 64  epochs 2
}
variant small of fit {
    apply APPLY
    target TARGET
    require size <= 9KiB
}
sweep tune of searched {
    lr in SPACE
    maximize val.score
    trials 3
    sampler SAMPLER
    pruner PRUNER
}
"""
PLACES = {
    "op": ("LAYER", "h = x -> WORD", ""),
    "initializer": ("LAYER", "param p: f32[4, 4] = WORD", ""),
    "function on nets": ("NET", "-> WORD()", ""),
    "data source": ("SOURCE", "WORD", 'sklearn("digits")'),
    "optimizer": ("OPTIMIZER", "WORD", "sgd"),
    "schedule": ("OPTIMIZER", "sgd(schedule=WORD)", "sgd"),
    "metric": ("METRIC", "WORD(y, label)", "accuracy(y, label)"),
    "regularizer": ("CLAUSE", "regularize WORD", ""),
    "ramp": ("NET", "-> ema(decay=WORD(0.9, 1.0))", ""),
    "space": ("SPACE", "WORD(0.1, 0.5)", "uniform(0.1, 0.5)"),
    "sampler": ("SAMPLER", "WORD", "random"),
    "pruner": ("PRUNER", "WORD", "none"),
    "compression pass": ("APPLY", "WORD", "prune(channels=50%)"),
    "importance": ("APPLY", "prune(channels=50%, importance=WORD)", "prune(channels=50%)"),
    "quantization scheme": ("APPLY", "quantize(WORD)", "prune(channels=50%)"),
    "target": ("TARGET", "WORD", "cpu"),
}
"""Where a word of each registry is written: the place in the spec, what stands there, and what
stands there otherwise."""


def find_messages(kind: str, word: str) -> list[Message]:
    """What is said of a spec that has a word where one of its kind belongs."""
    place, text, _ = PLACES[kind]
    spec = NET.replace(place, text.replace("WORD", word))
    for other, _, usual in PLACES.values():
        spec = spec.replace(other, usual)
    check_source(Source("spec.weft", spec), sink=(sink := Sink()))
    return sink.messages


WORDS = [(r.kind, name) for r in Registry.every for name in r.names()]


def test_every_registry_has_a_place_and_a_title() -> None:
    kinds = [registry.kind for registry in Registry.every]
    assert sorted(kinds) == sorted(PLACES)
    assert sorted(kinds) == sorted([OPS.kind, *(registry.kind for registry, _ in TITLES)])


def test_a_word_is_read_where_its_kind_belongs() -> None:
    for kind, word in WORDS:
        found = find_messages(kind, word)
        unknown = [m.text.title for m in found if m.code.startswith("W01") or is_advice(m, word)]
        assert not unknown, f"{kind} {word}: {unknown}"


def is_advice(message: Message, word: str) -> bool:
    """Whether a message takes a word for one that nobody knows."""
    return message.text.title.startswith("unknown") and f"`{word}`" in message.text.title


def test_a_misspelt_word_is_told_by_its_own() -> None:
    for kind, word in WORDS:
        wrong = f"{word}{word[-1]}"  # no other word is nearer
        advice = [str(message.text) for message in find_messages(kind, wrong)]
        assert any(f"did you mean `{word}`?" in text for text in advice), f"{kind}: {wrong}"


def test_the_reference_has_these_words_only() -> None:
    reference = op_reference().partition("\n## Clauses\n")[0]
    rows = re.findall(r"^\| `(.*?)` \| (.*) \|$", reference, re.MULTILINE)
    classes = [cls for r in Registry.every for cls in r.classes() if cls.written]
    blocks = [block.name for block in find_blocks()]
    assert sorted(name for name, _ in rows) == sorted([*(cls.name for cls in classes), *blocks])
    told = [re.search(r" Also called (.*)\.$", text) for _, text in rows]
    names = [name for found in told if found is not None for name in found[1].split(", ")]
    assert sorted(names) == sorted(f"`{alias}`" for cls in classes for alias in cls.aliases)


def test_the_manual_has_these_words_only() -> None:
    pages = list(find_pages())
    written = [name for _, name in WORDS]
    blocks = [block.name for block in find_blocks()]
    clauses = [clause.word for _, clause in find_clauses()]
    assert sorted(name for p in pages for name in p.names) == sorted(written + blocks + clauses)
    assert {page.group for page in pages if page.kind == CLAUSE} == {"Clauses"}


def test_items_of_the_grammar_are_those_with_clauses() -> None:
    items = {word.lower() for word in ITEM_WORDS} - {"use", "let"}
    assert items == ClauseHome.every.keys() - {"scan", "step"}, "they stand in items"


def test_words_of_other_tools_lead_to_words_that_there_are() -> None:
    words = {name for _, name in WORDS} | {block.name for block in find_blocks()}
    tables = (habits._LAYERS, habits._LOSSES_AND_METRICS, habits._SCHEDULES)
    for table in tables:
        assert {name for names in table.values() for name in names} <= words | FUNCTIONS.keys()
    classes = [cls for registry in Registry.every for cls in registry.classes()]
    options = {option.name for cls in classes for option in cls.options()}
    options |= {operand.name for cls in classes for operand in cls.operands}
    assert {name for names in habits._ARGUMENTS.values() for name in names} <= options
