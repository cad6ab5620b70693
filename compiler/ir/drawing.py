"""A graph as an SVG drawing: blocks and ops as boxes in layers, tensors as lines between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from compiler.ir.graph import Frame, Graph, Node
from compiler.records import dataclass

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 240, 40, 26, 34, 20
_COLORS = {"input": "#e8f0fe", "output": "#e6f4ea", "block": "#fef7e0", "op": "#f8f9fa"}


@dataclass(frozen=True)
class _Box:
    """One box: what it is, two lines of text, and the boxes it reads from."""

    key: str
    kind: str
    title: str
    detail: str
    reads: tuple[str, ...]


def draw_graph(graph: Graph, *, depth: int = 1) -> str:
    """The SVG text of a graph. A block's call below `depth` levels is one box."""
    boxes = _merge(graph, depth)
    ranks = _rank(boxes)
    places = _place(boxes, ranks)
    width = max(x for x, _ in places.values()) + _WIDTH + _MARGIN
    height = max(y for _, y in places.values()) + _HEIGHT + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f"<title>{escape(graph.name)}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for box in boxes.values():
        lines += [_draw_line(places[key], places[box.key]) for key in box.reads]
    for box in boxes.values():
        lines += _draw_box(box, *places[box.key])
    return "\n".join([*lines, "</svg>"]) + "\n"


def _merge(graph: Graph, depth: int) -> dict[str, _Box]:
    """Boxes by key, in order: inputs, ops and calls of blocks, outputs."""
    home: dict[str, str] = {}
    boxes: dict[str, _Box] = {}
    for item in graph.inputs:
        key = f"input {item.name}"
        home[item.name] = key
        boxes[key] = _Box(key, "input", item.name, str(item.value.type), ())
    for index, node in enumerate(graph.nodes):
        key, kind, title = _name_box(node, index, depth)
        reads = dict.fromkeys(home[v.name] for v in node.inputs if v is not None and v.name in home)
        old = boxes.get(key)
        merged = (*(old.reads if old else ()), *(r for r in reads if r != key))
        detail = str(node.outputs[0].type)
        boxes[key] = _Box(key, kind, title, detail, tuple(dict.fromkeys(merged)))
        home.update((v.name, key) for v in node.outputs)
    for output in graph.outputs:
        key = f"output {output.name}"
        source = home.get(output.value.name)
        reads_output = (source,) if source else ()
        boxes[key] = _Box(key, "output", output.name, str(output.value.type), reads_output)
    return boxes


def _name_box(node: Node, index: int, depth: int) -> tuple[str, str, str]:
    chain = node.scope.chain
    if len(chain) > depth:
        frame: Frame = chain[depth]
        label = f"{frame.path}: {frame.block}" if frame.path else frame.block
        return f"frame {id(frame)}", "block", label
    name = f"{node.origin.name}: {node.op.name}" if node.origin.name else node.op.name
    return f"node {index}", "op", name


def _rank(boxes: Mapping[str, _Box]) -> dict[str, int]:
    """The layer of each box: one below the lowest that it reads from. A block's box may be read
    before its last node is made, so ranks are raised until none changes."""
    ranks = dict.fromkeys(boxes, 0)
    for _ in range(len(boxes)):
        changed = False
        for box in boxes.values():
            rank = max((ranks[key] + 1 for key in box.reads), default=0)
            if rank > ranks[box.key] and rank <= len(boxes):
                ranks[box.key], changed = rank, True
        if not changed:
            break
    return ranks


def _place(boxes: Mapping[str, _Box], ranks: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Top left corners: rows by rank, columns in order, each row centred."""
    rows: dict[int, list[str]] = {}
    for key in boxes:
        rows.setdefault(ranks[key], []).append(key)
    widest = max(map(len, rows.values()))
    places = {}
    for order, rank in enumerate(sorted(rows)):
        row = rows[rank]
        start = _MARGIN + (widest - len(row)) * (_WIDTH + _GAP_X) // 2
        for column, key in enumerate(row):
            x = start + column * (_WIDTH + _GAP_X)
            places[key] = (x, _MARGIN + order * (_HEIGHT + _GAP_Y))
    return places


def _draw_line(source: tuple[int, int], target: tuple[int, int]) -> str:
    x1, y1 = source[0] + _WIDTH // 2, source[1] + _HEIGHT
    x2, y2 = target[0] + _WIDTH // 2, target[1]
    if y2 - y1 > _GAP_Y:  # a skip connection swings out to the left of the boxes it passes
        bend = min(x1, x2) - _WIDTH // 2 - _GAP_X // 2
        middle = f"C {bend} {y1 + _GAP_Y}, {bend} {y2 - _GAP_Y}, {x2} {y2}"
    else:
        middle = f"C {x1} {y1 + _GAP_Y // 2}, {x2} {y2 - _GAP_Y // 2}, {x2} {y2}"
    return f'<path d="M {x1} {y1} {middle}" fill="none" stroke="#9aa0a6"/>'


def _draw_box(box: _Box, x: int, y: int) -> Iterator[str]:
    yield (
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" '
        f'fill="{_COLORS[box.kind]}" stroke="#5f6368"/>'
    )
    for offset, size, text in ((17, 12, box.title), (32, 10, box.detail)):
        short = text if len(text) <= 42 else text[:41] + "…"
        yield (
            f'<text x="{x + _WIDTH // 2}" y="{y + offset}" font-size="{size}" '
            f'text-anchor="middle">{escape(short)}<title>{escape(text)}</title></text>'
        )
