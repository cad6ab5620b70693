"""Words where the graph has codes: inputs that take them, and outputs that give them.

The graph of a net knows categories as places in a list. A file takes the words themselves, a
LabelEncoder of `ai.onnx.ml` finds their places, and one behind the net names the best class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from backends.onnx_graph.builder import GraphBuilder, declare_type
from backends.onnx_graph.dtypes import onnx_shape
from compiler.data.class_names import ClassNames
from compiler.data.raw_columns import RawColumn
from compiler.types.tensor import TensorType

DOMAIN = "ai.onnx.ml"
UNNAMED = ""
"""The name of a class that has none, which no file gives: each class has one."""


def take_words(build: GraphBuilder, column: RawColumn, type: TensorType, doc: str) -> ir.Value:
    """An input that takes words, and the codes that the net reads; returns the codes.

    A word that is none of the column's has the place behind the last one. A Gather then looks it up
    in a list that ends before it: ONNX Runtime stops there, and says the name of the node. Where
    the column takes unknown words, they have the place of `""`.
    """
    unknown = column.column.unknown
    given = build.input_text(column.name, type, doc)
    keys = list(column.keys)
    encode = {
        "keys_strings": [word for word, _ in keys],
        "values_int64s": [code for _, code in keys],
        "default_int64": column.words.index("") if unknown else len(column.words),
    }
    place = build.add_plain("LabelEncoder", [given], encode, f"{column.name}.place", domain=DOMAIN)
    build.learn(place, type)
    if unknown:
        return place
    known = build.constant(np.arange(len(column.words), dtype=np.int64))
    codes = build.add_plain("Gather", [known, place], {"axis": 0}, f"{column.name}.code")
    node = codes.producer()
    assert node is not None, "a node has made it"
    node.name = f"{column.name}: a word that is no category of this column"
    build.learn(codes, type)
    return codes


def name_classes(
    build: GraphBuilder,
    names: ClassNames,
    labels: Sequence[str],
    scores: ir.Value,
    of: TensorType,
    taken: Sequence[ir.Value],
) -> Iterator[ir.Value]:
    """The outputs that say which class is the best, in words, and how probable each is; `of` is
    the type of the scores, `taken` are values that are outputs already."""
    axis = names.axis % of.rank
    build.begin(names.label, {})
    best = build.op("ArgMax", [scores], {"axis": axis, "keepdims": 0})
    encode = {
        "keys_int64s": list(range(len(labels))),
        "values_strings": list(labels),
        "default_string": UNNAMED,
    }
    label: ir.Value = build.op("LabelEncoder", [best], encode, domain=DOMAIN)
    build.finish([label], [names.label], [of])
    label.name = names.label
    label.type = ir.TensorType(ir.DataType.STRING)
    label.shape = onnx_shape(TensorType(of.dtype, (*of.shape[:axis], *of.shape[axis + 1 :])))
    label.doc_string = "The class with the largest score."
    yield label
    if names.probabilities:
        build.begin(names.probabilities, {})
        shares: ir.Value = build.op("Softmax", [scores], {"axis": axis})
        build.finish([shares], [names.probabilities], [of])
        if shares in taken:
            shares = build.add_plain("Identity", [shares], {}, names.probabilities)
        shares.name = names.probabilities
        declare_type(shares, of)
        shares.doc_string = "The probability of each class."
        yield shares
