"""Specs with slots: filled with plain texts, and with hostile ones."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.hostile.texts import draw_item, draw_layer, draw_line, draw_name, draw_weight

NAMES = (
    "block", "size", "features", "width", "factor", "inner", "sum", "count", "rate", "rows",
    "image", "hidden", "gate", "logits", "other", "left", "right", "label", "spare",
    "metric", "error", "data", "turn",
)  # fmt: skip
LAYERS = ("dense", "call", "head", "net", "stack", "unit", "spot")
KEYS = ("key",)
WEIGHTS = ("weight", "shift")
ITEMS = ("Model", "fit")
LINES = ("doc", "doc_model", "doc_train", "class_a", "class_b")
FILE = "file"

SPEC = """
## {doc}
## {doc_model}
block {block}(x: f32[{size}, {features}], {width}: int, {factor}: float = 0.5) {{
    {inner} = x -> dense({width}) as {dense} -> relu
    {sum} = {inner} * {factor}
    return {inner} + {sum}
}}

block {unit}(x: f32[{size}, {features}]) {{
    param {weight}: f32[{features}] = ones
    buffer {shift}: f32[{features}] = zeros
    return x * {weight} + {shift}
}}

## {doc_model}
model {Model}({count}: int = 4, {rate}: float = 0.25) {{
    input {image}: f32[{rows}, 2]
    {hidden} = {image} -> {block}({count}) as {call} -> {block}({count}, {factor}={rate}) as {head}
    net {net} = dense({count})
    for {turn} in 0..2 {{
        {hidden} = {hidden} -> {net} -> {unit} -> dense({count}) as {stack}[{turn}]
    }}
    {hidden} = {hidden} -> dense({count}) as {spot}[{key}] -> relu
    {hidden} = {hidden} -> dense({count}) as "held.items" -> dense({count}) as "held.values" -> tanh
    {gate} = {hidden} -> sigmoid
    output {logits}: f32[{rows}, 2] = ({hidden} * {gate}) -> dense(2)
    output {other} = {hidden} + {gate}
}}

## {doc}
data {data} {{
    source csv({file})
    {image} = concat([reshape({left}, [1]), reshape({right}, [1])])
    split in_order, train=60%, val=20%, test=20%
}}

## {doc_train}
## {doc}
train {fit} of {Model} on {data} {{
    minimize cross_entropy({logits}, {label}) with sgd(lr=0.1)
    metric {metric} = accuracy({logits}, {label})
    metric {error} = mae({other}, {other})
    batch 4
    epochs 1
    seed 0
}}

deploy {fit} as onnx {{
    dynamic {rows}
    labels [{class_a}, {class_b}]
}}
"""


@dataclass(frozen=True)
class Spec:
    """A spec in a folder, and the text of each slot."""

    path: Path
    texts: Mapping[str, str]


def write_plain(folder: Path) -> Spec:
    """The spec with the names of its slots."""
    texts = {name: name for name in (*NAMES, *LAYERS, *KEYS, *WEIGHTS, *ITEMS, *LINES)}
    return _write(folder, {**texts, FILE: "table.csv"})


def write_hostile(folder: Path, random: Random) -> Spec:
    """The spec with hostile texts in a part of the slots."""
    share = random.choice((0.1, 0.3, 1.0))
    texts: dict[str, str] = {}
    taken: set[str] = set()

    def fill(slots: tuple[str, ...], draw: Callable[[Random], str]) -> None:
        for slot in slots:
            text = draw(random) if random.random() < share else slot
            while text in taken:
                text = draw(random)
            taken.add(text)
            texts[slot] = text

    fill(ITEMS, draw_item)
    fill(LAYERS, draw_layer)
    fill(KEYS, draw_layer)
    fill(WEIGHTS, draw_weight)
    fill(NAMES, draw_name)
    for slot in LINES:
        texts[slot] = draw_line(random) if random.random() < share else slot
    texts[FILE] = f"{draw_item(random)}.csv" if random.random() < share else "table.csv"
    return _write(folder, texts)


def _write(folder: Path, texts: Mapping[str, str]) -> Spec:
    folder.mkdir(parents=True, exist_ok=True)
    quoted = {slot: f"`{texts[slot]}`" for slot in (*NAMES, *LAYERS, *WEIGHTS, *ITEMS)}
    quoted |= {slot: _quote(texts[slot]) for slot in ("class_a", "class_b", FILE, *KEYS)}
    quoted |= {slot: texts[slot] for slot in ("doc", "doc_model", "doc_train")}
    path = folder / "spec.weft"
    path.write_text(SPEC.format(**quoted), encoding="utf-8", newline="\n")
    with (folder / texts[FILE]).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([texts["left"], texts["right"], texts["spare"], texts["label"]])
        table.writerows([k / 8, k % 3 / 4, k, k % 2] for k in range(20))
    return Spec(path, texts)


def _quote(text: str) -> str:
    """A string of a spec."""
    return json.dumps(text, ensure_ascii=False).replace("{", "{{").replace("}", "}}")
