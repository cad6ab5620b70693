"""A graph as an SVG drawing: blocks and ops as boxes in layers, tensors as lines between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from compiler.ir.frame import Frame
from compiler.ir.graph import Graph, Node
from compiler.records import dataclass

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 300, 40, 26, 34, 20
_LANE = 14
"""Width of the way of one line that passes boxes."""
_LETTER = 0.52
"""Width of an average letter in its font size: what is longer than a box is cut."""
_ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7"'
    ' markerHeight="7" orient="auto"><path d="M 0 0 L 8 4 L 0 8 z" fill="#9aa0a6"/></marker></defs>'
)
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
    lanes = _assign_lanes(boxes, ranks)
    gutter = _LANE * (max(lanes.values(), default=-1) + 1)
    places = _place(boxes, ranks, gutter)
    width = max(x for x, _ in places.values()) + _WIDTH + _MARGIN
    height = max(y for _, y in places.values()) + _HEIGHT + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f"<title>{escape(graph.name)}</title>",
        _ARROW,
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for box in boxes.values():
        for key in box.reads:
            lane = lanes.get((key, box.key))
            column = None if lane is None else _MARGIN + gutter - _LANE * (lane + 1)
            lines.append(_draw_line(places[key], places[box.key], column))
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


def _assign_lanes(
    boxes: Mapping[str, _Box], ranks: Mapping[str, int]
) -> dict[tuple[str, str], int]:
    """A lane left of all boxes for each line that passes a row; short ones get the inner lanes, and
    lines in one lane do not touch."""
    passing = [
        (ranks[box.key] - ranks[key], key, box.key)
        for box in boxes.values()
        for key in box.reads
        if ranks[box.key] - ranks[key] > 1
    ]
    lanes: dict[tuple[str, str], int] = {}
    taken: list[list[tuple[int, int]]] = []
    for _, source, target in sorted(passing, key=lambda line: line[0]):
        top, bottom = ranks[source], ranks[target]
        free = (i for i, spans in enumerate(taken) if all(bottom < t or b < top for t, b in spans))
        lane = next(free, len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append((top, bottom))
        lanes[source, target] = lane
    return lanes


def _place(
    boxes: Mapping[str, _Box], ranks: Mapping[str, int], gutter: int
) -> dict[str, tuple[int, int]]:
    """Top left corners: rows by rank, columns in order, each row centred right of the gutter."""
    rows: dict[int, list[str]] = {}
    for key in boxes:
        rows.setdefault(ranks[key], []).append(key)
    widest = max(map(len, rows.values()))
    places = {}
    for order, rank in enumerate(sorted(rows)):
        row = rows[rank]
        start = _MARGIN + gutter + (widest - len(row)) * (_WIDTH + _GAP_X) // 2
        for column, key in enumerate(row):
            x = start + column * (_WIDTH + _GAP_X)
            places[key] = (x, _MARGIN + order * (_HEIGHT + _GAP_Y))
    return places


def _draw_line(source: tuple[int, int], target: tuple[int, int], lane: int | None) -> str:
    """From the bottom of a box to the top of the next, or along a lane from side to side."""
    if lane is None:
        x1, y1 = source[0] + _WIDTH // 2, source[1] + _HEIGHT
        x2, y2 = target[0] + _WIDTH // 2, target[1]
        path = f"M {x1} {y1} C {x1} {y1 + _GAP_Y // 2}, {x2} {y2 - _GAP_Y // 2}, {x2} {y2}"
    else:
        y1, y2, r = source[1] + _HEIGHT // 2, target[1] + _HEIGHT // 2, _LANE // 2
        path = (
            f"M {source[0]} {y1} H {lane + r} Q {lane} {y1} {lane} {y1 + r}"
            f" V {y2 - r} Q {lane} {y2} {lane + r} {y2} H {target[0]}"
        )
    return f'<path d="{path}" fill="none" stroke="#9aa0a6" marker-end="url(#arrow)"/>'


def _draw_box(box: _Box, x: int, y: int) -> Iterator[str]:
    yield (
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" '
        f'fill="{_COLORS[box.kind]}" stroke="#5f6368"/>'
    )
    for offset, size, text in ((17, 12, box.title), (32, 10, box.detail)):
        room = int(_WIDTH / (_LETTER * size))
        short = text if len(text) <= room else text[: room - 1] + "…"
        yield (
            f'<text x="{x + _WIDTH // 2}" y="{y + offset}" font-size="{size}" '
            f'text-anchor="middle">{escape(short)}<title>{escape(text)}</title></text>'
        )
