"""The words of the classes that an output of a trained net has scores for, in the order of their
codes, as far as the data of the train tells them."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.compression.attach import find_calls, find_net
from compiler.ir.graph import Graph, Value
from compiler.ops.class_losses import ClassLoss
from compiler.ops.softmax import AxisShares
from compiler.program.train import Train
from compiler.rows.class_words import ClassWords, find_target_words
from compiler.training.weighting import LabelComparison


def find_class_words(train: Train, net: str, output: str) -> ClassWords | None:
    """The words of the column that a loss or a metric holds an output of a net against, class by
    class. None where that is no column of words, or is computed of one."""
    graph = find_net(train, net).net.graph
    calls = find_calls(train.graph, find_net(train, net))
    made = next((o.value for o in graph.outputs if o.name == output), None)
    if not calls or made is None:
        return None
    # The train may read the logits, and leave out what the net computes of them.
    read = calls[0].values.get(_find_scores(graph, made).name)
    if read is None:
        return None
    scores = _find_scores(train.graph, read)
    for compared, target in _find_pairs(train):
        if _find_scores(train.graph, compared).name == scores.name:
            found = find_target_words(train, target)
            if found is not None:
                return found
    return None


def _find_pairs(train: Train) -> Iterator[tuple[Value, Value]]:
    """Scores and the classes that they are held against, of losses and metrics."""
    for node in train.graph.nodes:
        scores, target = (*node.inputs, None, None)[:2]
        if isinstance(node.op, ClassLoss) and scores is not None and target is not None:
            yield scores, target
    outputs = {o.name: o.value for o in train.graph.outputs}
    for use in train.metrics:
        if isinstance(use.metric, LabelComparison):
            scores, target = (outputs[name] for name in use.reads[:2])
            yield scores, target


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
