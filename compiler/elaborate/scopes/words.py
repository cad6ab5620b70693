"""Every clause word by the item that it belongs to: what it is for, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.elaborate.scopes.context import ClauseHandler, ClauseTable
from compiler.records import dataclass


@dataclass(frozen=True)
class ClauseWord:
    """One clause: its word, an example of it, and what it says, for the manual and the editor."""

    word: str
    form: str
    doc: str
    required: bool = False


_WEIGHTS = (
    ClauseWord("param", "param name: f32[d] = zeros", "a weight of the block itself"),
    ClauseWord("buffer", "buffer name: f32[d] = zeros", "numbers that no optimizer touches"),
    ClauseWord("net", "net name = layer", "one set of weights for every use"),
    ClauseWord("assert", 'assert condition, "text"', "a condition that is checked when compiling"),
)
MODEL = (
    ClauseWord("input", "input name: f32[batch, 3]", "a tensor that comes in"),
    ClauseWord("output", "output name = value", "a tensor that goes out"),
    *_WEIGHTS,
)
SCAN = (
    ClauseWord("emit", "emit name = value", "a result of each step, stacked along an axis"),
    ClauseWord("until", "until all(done)", "ends the loop after the step in which it is true"),
    *_WEIGHTS,
)
DATA = (
    ClauseWord("source", 'source csv("table.csv")', "where the rows come from", required=True),
    ClauseWord(
        "split",
        "split random(seed=0), train=80%, val=10%, test=10%",
        "how the rows are divided: random, in_order, or as given by the source",
        required=True,
    ),
)
TRAIN = (
    ClauseWord(
        "minimize",
        "minimize cross_entropy(logits, label) with adamw(lr=1e-3)",
        "the objective, and the optimizers of groups of parameters",
        required=True,
    ),
    ClauseWord("metric", "metric accuracy = accuracy(logits, label)", "a figure of every split"),
    ClauseWord("batch", "batch 64", "rows per step", required=True),
    ClauseWord("epochs", "epochs 30", "how often every training row is seen", required=True),
    ClauseWord("seed", "seed 0", "what all random numbers follow from"),
    ClauseWord("precision", "precision bf16", "mixed precision: bf16 or f16"),
    ClauseWord("clip", "clip 1.0", "the longest gradient, as the norm over all parameters"),
    ClauseWord(
        "layout", 'layout "channels_last"', "how images lie in memory; faster for some networks"
    ),
    ClauseWord(
        "until", "until stalled(val.loss, epochs=8)", "stops early, and keeps the best weights"
    ),
    ClauseWord(
        "regularize",
        'regularize group_lasso(1e-3) over "hidden"',
        "drives whole neurons to zero, to be removed by `prune(zeros=true)`",
    ),
    ClauseWord("freeze", 'freeze "stem.*"', "parameters or nets that stay as they are"),
    ClauseWord("net", "net m = Model()", "a net with its own weights"),
    ClauseWord("assert", 'assert condition, "text"', "a condition that is checked when compiling"),
)
DEPLOY = (
    ClauseWord("dynamic", "dynamic batch", "sizes that stay open; all of them without this clause"),
    ClauseWord("fix", "fix h=224, w=224", "sizes that get a number"),
    ClauseWord("opset", "opset 21", "version of the ONNX operator set"),
    ClauseWord("labels", 'labels ["no", "yes"]', "names of the classes, stored in the file"),
    ClauseWord("outputs", "outputs logits", "the outputs that are kept, in this order"),
    ClauseWord("preprocess", "preprocess digits", "puts the columns of a data item before the net"),
    ClauseWord(
        "verify", "verify off", "keeps the file although nobody holds it against its meaning"
    ),
)
VARIANT = (
    ClauseWord(
        "apply",
        "apply prune(channels=50%) -> finetune(epochs=8) -> quantize(int8)",
        "the compression passes, in order",
    ),
    ClauseWord(
        "target", "target cpu(threads=2), batch=1", "where latency is measured, at which sizes"
    ),
    ClauseWord(
        "require",
        "require test.accuracy >= fit.test.accuracy - 0.5% and size <= 24KiB",
        "what the result must hold; a build in which it does not fails",
    ),
)
CLAUSES: Mapping[str, tuple[ClauseWord, ...]] = {
    "block": _WEIGHTS,
    "model": MODEL,
    "scan": SCAN,
    "data": DATA,
    "train": TRAIN,
    "variant": VARIANT,
    "deploy": DEPLOY,
}
"""Every clause word by the kind of item or body."""

PLACES = {
    "block": "a block",
    "model": "a model",
    "scan": "a scan",
    "data": "a data item",
    "train": "a train",
    "variant": "a variant",
    "deploy": "a deployment",
}
"""What a kind of item is called in messages."""


def make_table(kind: str, handlers: Mapping[str, ClauseHandler]) -> ClauseTable:
    """The table of an item's clauses; every word of the registry needs a handler."""
    words = CLAUSES[kind]
    assert {w.word for w in words} == set(handlers), f"handlers of {kind} items"
    ordered = {w.word: handlers[w.word] for w in words}
    return ClauseTable(PLACES[kind], ordered, {w.word: w.form for w in words})


def find_word(kind: str, word: str) -> ClauseWord:
    """The entry of a clause word of an item."""
    return next(w for w in CLAUSES[kind] if w.word == word)


def find_homes(word: str) -> tuple[str, ...]:
    """The kinds of items and bodies in which a word is a clause ("a train")."""
    return tuple(
        PLACES[kind] for kind, words in CLAUSES.items() if any(w.word == word for w in words)
    )
