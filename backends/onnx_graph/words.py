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
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType

DOMAIN = "ai.onnx.ml"
GUARD = ": a word that is no category of this column"
"""What the node behind the name of a column is called that stops at such a word."""
UNNAMED = ""
"""The name of a class that has none, which no file gives: each class has one."""


def take_words(build: GraphBuilder, column: RawColumn, type: TensorType, doc: str) -> ir.Value:
    """An input that takes words, and the codes that the net reads; returns the codes.

    A word that is none of the column's has the place behind the last one. A node then looks it up
    in a list that ends before it: ONNX Runtime stops there, and says the name of the node. It is
    of `ai.onnx.ml`, whose operators run on the CPU: a Gather on a GPU answers 0 instead. Where the
    column takes unknown words, they have the place of `""`.
    """
    unknown = column.column.unknown
    given = build.input_text(column.name, type, doc)
    keys = list(column.keys)
    encode = {
        "keys_strings": [word for word, _ in keys],
        "values_int64s": [code for _, code in keys],
        "default_int64": column.words.index("") if unknown else len(column.words),
    }
    build.begin(f"{column.name}{'' if unknown else GUARD}", {})
    codes: ir.Value = build.op("LabelEncoder", [given], encode, domain=DOMAIN)
    if not unknown:
        known = build.constant(np.arange(len(column.words), dtype=np.int64)[None])
        flat = build.reshape(codes, type.shape, [type.size])
        found = build.op("ArrayFeatureExtractor", [known, flat], domain=DOMAIN)
        codes = build.reshape(found, [Dim.of(1), type.size], type.shape)
    build.finish([codes], [f"{column.name}.code"], [type])
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
