"""The classes that an output of a trained net has scores for, as far as the train tells them: along
which axis they are, whether these are logits, and the words of their codes."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.compression.attach import find_calls, find_net
from compiler.ir.graph import Graph, Value
from compiler.ops.class_losses import ClassLoss
from compiler.ops.softmax import AxisShares
from compiler.program.train import Train
from compiler.records import dataclass
from compiler.rows.class_words import ClassWords, find_target_words
from compiler.training.weighting import LabelComparison, ScoreComparison


@dataclass(frozen=True)
class Classes:
    """The axis of an output along which its classes are, whether its scores are the logits of a
    softmax, and the words of the classes where the data has some."""

    axis: int
    logits: bool
    words: ClassWords | None


def find_classes(train: Train, net: str, output: str) -> Classes | None:
    """What a loss or a metric that holds an output of a net against classes tells of these; None
    where there is none."""
    graph = find_net(train, net).net.graph
    calls = find_calls(train.graph, find_net(train, net))
    made = next((o.value for o in graph.outputs if o.name == output), None)
    if not calls or made is None:
        return None
    # The train may read the logits, and leave out what the net computes of them.
    plain = _find_scores(graph, made)
    read = calls[0].values.get(plain.name)
    if read is None:
        return None
    scores = _find_scores(train.graph, read)
    pairs = [
        p for p in _find_pairs(train) if _find_scores(train.graph, p.scores).name == scores.name
    ]
    if not pairs:
        return None
    logits = made is plain and any(p.logits and p.scores is read for p in pairs)
    words = (find_target_words(train, pair.target) for pair in pairs)
    return Classes(pairs[0].axis, logits, next((w for w in words if w is not None), None))


@dataclass(frozen=True)
class _Pair:
    """Scores and the classes that a loss or a metric holds them against, along which axis, and
    whether it takes the softmax of the scores."""

    scores: Value
    target: Value
    axis: int
    logits: bool


def _find_pairs(train: Train) -> Iterator[_Pair]:
    for node in train.graph.nodes:
        scores, target = (*node.inputs, None, None)[:2]
        if isinstance(node.op, ClassLoss) and scores is not None and target is not None:
            logits = "softmax" in node.op.applies
            yield _Pair(scores, target, node.op.axis, logits)
    outputs = {o.name: o.value for o in train.graph.outputs}
    for use in train.metrics:
        if isinstance(use.metric, LabelComparison):
            scores, target = (outputs[name] for name in use.reads[:2])
            axis = scores.type.rank - 1
            if isinstance(use.metric, ScoreComparison):
                axis = use.metric.find_axis([scores.type, target.type])
            yield _Pair(scores, target, axis, logits=False)


def _find_scores(graph: Graph, value: Value) -> Value:
    """The value that these are scores of, entry by entry: logits of probabilities, numbers of
    those that are scaled."""
    while (maker := graph.producers.get(value.name)) is not None:
        alike = [v for v in maker.inputs if v is not None and v.type.shape == value.type.shape]
        keeps = maker.op.broadcasts or maker.op.noisy or isinstance(maker.op, AxisShares)
        if len(alike) != 1 or not keeps:
            break
        value = alike[0]
    return value
