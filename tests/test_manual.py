"""The manual that is derived from the vocabulary: complete, with examples that run, and
`docs/ops.md` up to date."""

from __future__ import annotations

import ast
import io
import re
import sqlite3
import tarfile
from contextlib import closing
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.io import wavfile

from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.driver import check_source
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Op
from compiler.ir.weights import draw_weights
from compiler.manual.pages import BLOCK, CLAUSE, Page, find_pages, write_page
from compiler.manual.reference import op_reference
from compiler.manual.signatures import write_signature, write_type
from compiler.ops.registry import OPS, load_ops
from compiler.program.program import Program
from compiler.report.diagnostics import MESSAGES, Sink
from compiler.report.messages import load_messages
from compiler.report.render import render
from compiler.report.source import Source
from compiler.types.dims import Dim
from compiler.vocabulary.manual_text import read_manual
from compiler.vocabulary.signature import write_value
from tests.conftest import Golden

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = list(find_pages())
SHOWN = [page for page in PAGES if page.kind != CLAUSE]
SIZES = {"n": 3, "t": 5, "s": 4, "m": 6, "h": 4, "w": 4, "batch": 3}
"""Sizes that examples leave open."""


def name(page: Page) -> str:
    return f"{page.kind} {page.name}"


def test_reference_is_up_to_date(golden: Golden) -> None:
    golden.check(DOCS / "ops.md", op_reference())


load_ops()


@pytest.mark.parametrize("cls", OPS.classes(), ids=lambda c: c.name)
def test_entries_say_what_a_reader_needs(cls: type[Op]) -> None:
    manual = cls.manual()
    assert manual.split("\n\n")[0].rstrip().endswith((".", ":")), "begins with a sentence"
    assert len(max(manual.split("\n"), key=len)) <= 100
    if cls.multiply_adds is not Op.multiply_adds:
        assert "\nCost: " in manual, "says how its multiply-adds are counted"


def test_every_word_has_an_example_and_a_source() -> None:
    missing = [name(page) for page in SHOWN if not page.example]
    assert not missing, "`Example:` in the docstring, or in the `##` lines of a block"
    unknown = [name(page) for page in SHOWN if "https://" not in page.text.parts.get("Source", "")]
    assert not unknown, "`Source: Author et al. 2015, https://…`"


def test_pages_of_pytorch_are_about_what_pytorch_has() -> None:
    for page in SHOWN:
        for path in re.findall(
            r"/stable/generated/torch\.([\w.]*)\.html", page.text.parts["Source"]
        ):
            found = reduce(getattr, path.split("."), torch)
            assert found is not None, name(page)


def test_pages_name_messages_that_exist() -> None:
    load_messages()
    for page in PAGES:
        assert set(re.findall(r"\bW\d{4}\b", write_page(page))) <= set(MESSAGES), name(page)


# --- examples ---


def check_example(page: Page) -> Program:
    sink = Sink()
    program = check_source(Source("example.weft", page.example), sink=sink)
    assert program is not None, f"{name(page)}\n{page.example}{render(sink.messages)}"
    assert not sink.messages, f"{name(page)}\n{page.example}{render(sink.messages)}"
    return program


def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is computed, a training is written out; what has neither is checked."""
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    for page in SHOWN:
        program = check_example(page)
        for net in program.models.values():
            check_numbers(page, net.graph)
        for train in program.trains.values():
            ast.parse(emit_script(ScriptSpec(train)))


def test_examples_are_about_their_word() -> None:
    for page in SHOWN:
        if page.kind in ("op", BLOCK):
            continue  # `+` is `add`; the registries below have no other spelling
        assert any(re.search(rf"\b{word}\b", page.example) for word in page.names), name(page)


def check_numbers(page: Page, graph: Graph) -> None:
    """The outputs are those of the declared types, without NaN."""
    generator = np.random.default_rng(0)
    inputs = {item.name: draw(item.name, item.value.type, generator) for item in graph.inputs}
    outputs = evaluate(graph, draw_weights(graph), inputs)
    for output in graph.outputs:
        array = outputs[output.name]
        assert array.dtype == output.value.type.dtype.numpy, name(page)
        assert not np.isnan(np.asarray(array, np.float64)).any(), name(page)


def draw(name: str, type: Any, generator: np.random.Generator) -> NDArray[Any]:
    shape = tuple(size.evaluate(SIZES) if isinstance(size, Dim) else size for size in type.shape)
    if name == "covariance":
        root = generator.normal(size=shape)
        return (root @ root.swapaxes(-1, -2) + np.eye(shape[-1])).astype(np.float32)
    if type.dtype.numpy == np.bool_:
        return generator.random(shape) < 0.5
    if np.issubdtype(type.dtype.numpy, np.integer):
        return generator.integers(1, 3, shape).astype(type.dtype.numpy)
    return generator.normal(size=shape).astype(type.dtype.numpy)


def write_data(folder: Path) -> None:
    """The files that examples of data sources read."""
    write_tables(folder)
    write_shards(folder)
    np.savez(folder / "waves.npz", x=np.ones((20, 8), np.float32))
    (folder / "book.txt").write_text("to be or not to be, that is the question. " * 40)
    for part in ("photos/cat", "photos/dog", "mnist"):
        (folder / part).mkdir(parents=True)
    for number in range(12):
        pixels = np.full((40, 40, 3), number, np.uint8)
        Image.fromarray(pixels).save(folder / f"photos/{('cat', 'dog')[number % 2]}/{number}.png")
    for split, rows in (("train", 20), ("t10k", 10)):
        images, labels = np.zeros((rows, 28, 28), np.uint8), np.arange(rows, dtype=np.uint8) % 10
        for array, kind in ((images, "images-idx3"), (labels, "labels-idx1")):
            header = [0x0800 + array.ndim, *array.shape]
            path = folder / f"mnist/{split}-{kind}-ubyte"
            path.write_bytes(np.array(header, ">i4").tobytes() + array.tobytes())


def write_tables(folder: Path) -> None:
    """A table of houses in every form, and one beside it."""
    table = pd.DataFrame({"area": [40.0, 55.5, 71.0] * 8, "rooms": [1, 2, 3] * 8})
    table.to_csv(folder / "houses.csv", index=False)
    table.to_parquet(folder / "houses.parquet")
    (folder / "houses").mkdir()
    table.to_parquet(folder / "houses" / "train-0.parquet")
    table.to_json(folder / "houses.jsonl", orient="records", lines=True)
    with closing(sqlite3.connect(folder / "houses.db")) as connection:
        table.to_sql("houses", connection, index_label="id")
    (folder / "prices.csv").write_text("rooms,price\n1,20\n2,30\n3,45\n")


def write_shards(folder: Path) -> None:
    """Sounds, and images in shards."""
    for number in range(4):
        path = folder / "words" / ("no", "yes")[number % 2] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        wavfile.write(path, 8000, np.full(400, number, np.int16))
    for number in range(2):
        with tarfile.open(folder / f"shard-{number:03}.tar", "w") as shard:
            for row in range(5):
                file = io.BytesIO()
                Image.fromarray(np.full((8, 8), row, np.uint8)).save(file, "PNG")
                member = tarfile.TarInfo(f"{row}.png")
                member.size = file.tell()
                file.seek(0)
                shard.addfile(member, file)


# --- how entries are read and written ---


def test_signatures_are_written_as_calls() -> None:
    conv, attention = OPS.get("conv"), OPS.get("scaled_dot_product_attention")
    assert conv is not None
    assert attention is not None
    assert write_signature(conv).startswith(
        "conv(x, out: int, kernel: int or list, stride: int or list = 1, "
        'padding: int or list or "same" or "valid" = 0'
    )
    assert "mask?" in write_signature(attention)


def test_types_and_values_are_those_of_the_language() -> None:
    assert write_type(int | Dim | None) == "int or size or none"
    assert write_value((1, 2.5, None, True, "x")) == '[1, 2.5, none, true, "x"]'
    assert write_value(1e-05) == "1e-5"


def test_pages_show_other_names() -> None:
    (silu,) = (page for page in PAGES if "swish" in page.names)
    assert "also called swish" in write_page(silu)


def test_entries_are_read_in_their_parts() -> None:
    text = read_manual(
        "What it does.\n\n- `a`: first,\n  and more.\n\nCost: none\nat all.\nExample:\n\n"
        "    x = y\n\n    z = x\n\nMore.\nSource: here"
    )
    assert text.prose == "What it does.\n\n- `a`: first,\n  and more.\n\n\nMore.".replace(
        "\n\n\n", "\n\n"
    )
    assert text.parts["Cost"] == "none\nat all."
    assert text.example == "x = y\n\nz = x"
    assert text.parts["Source"] == "here"
