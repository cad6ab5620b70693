"""Stages whose paths reach into each other: refused at both places, and what is near it is not."""

from __future__ import annotations

import random

import pytest

from compiler.elaborate.values.territory import Owner, Territory
from compiler.ir.frame import Frame
from compiler.report.messages.nets import stages_mixed
from compiler.report.source import Source, Span
from tests.elaborating import build, codes, elaborate
from tests.pytorch_compare import assert_means_the_same

BLOCKS = """
block inner(x: f32[n, d]) { return x -> dense(d) as q }
block other(x: f32[n, d]) { return x -> dense(d) as table }
block outer(x: f32[n, d]) { return x -> inner as self }
block either(x: f32[n, d], first: bool = true) {
    if first { return x -> dense(d) as one }
    return x -> dense(d) as two
}
model M() {
    input x: f32[batch, 4]
    BODY
    output y = z
}
"""
MIXED = (
    'z = (x -> outer as block[0]) + (x -> other as "block.0.self")',
    'z = (x -> other as "block.0.self") + (x -> outer as block[0])',
    'z = (x -> outer as part) + (x -> either as "part.self")',
    'z = (x -> either as part) + (x -> either(first=false) as "part.one")',
    'param scale: f32[4] = ones\n    z = (x * scale) -> dense(4) as "scale.inner"',
    "z = x -> dense(4) -> dense(3) as dense[1]",
    "z = x -> dense(4) as dense[1] -> dense(3)",
    'z = x -> dense(4) as "a.weight" -> dense(4) as a',
    'net a = other\n    z = (x -> a) + (x -> dense(4) as "a.extra")',
    'net parts = [inner, inner]\n    z = (x -> parts[0] -> parts[1]) + (x -> other as "parts.0.q")',
    "z = (x -> dense(4) as enc) + (x -> 2 * inner as enc)",
    'z = ((x -> dense(4) -> outer) as enc) + (x -> other as "enc.outer.self")',
)
APART = (
    'z = ((x -> dense(4) -> inner) as enc) + (x -> other as "enc.extra")',
    'net a = outer\n    z = (x -> a -> a) + (x -> other as "b.a")',
    'z = x -> 3 * inner as enc -> dense(4) as "enc.5"',
    'for i in 0..3 {\n x = x -> outer as "s.{i}"\n x = x -> outer as t[i]\n }\n    z = x',
    "net n = inner\n    for i in 0..3 { x = x -> n }\n    z = x",
    "param inner: f32[4] = ones\n    z = (x * inner) -> inner",
)


@pytest.mark.parametrize("body", MIXED)
def test_no_stage_reaches_into_another(body: str) -> None:
    _, messages = elaborate(BLOCKS.replace("BODY", body))
    (message,) = messages
    assert message.kind is stages_mixed
    assert message.span is not None
    (other,) = message.text.labels
    assert other.span != message.span


@pytest.mark.parametrize("body", APART)
def test_stages_apart_are_right(body: str) -> None:
    body = body.replace("x * inner ->", "(x * inner) ->")
    assert_means_the_same(build(BLOCKS.replace("BODY", body)).graph, {"batch": 3})


@pytest.mark.parametrize("op", ["dense(3, bias=b)", "dense(3) -> layer_norm(bias=b)"])
def test_an_option_that_is_called_like_a_weight_is_an_option(op: str) -> None:
    spec = f"model M(b: bool = VALUE) {{ input x: f32[batch, 4]  output y = x -> {op} }}"
    assert not codes(spec.replace("VALUE", "true"))
    graphs = [build(spec.replace("VALUE", v)).graph for v in ("true", "false")]
    assert len(graphs[0].parameters) == len(graphs[1].parameters) + 1


# --- deep calls -------------------------------------------------------------------------------


def settle_plainly(known: Territory, path: str, frame: Frame, stage: str, span: Span) -> bool:
    """Whether a weight overlaps with what is noted: everything around it is looked at anew."""
    around = [f for f in frame.chain if f.path and path.startswith(f"{f.path}.")]
    own: dict[str, Owner] = {f.path: (f, "") for f in around}
    if stage:
        own[f"{frame.path}.{stage}" if frame.path else stage] = (frame, stage)
    folders = [path[:end] for end, sign in enumerate(path) if sign == "."]
    for folder in folders:
        owner = known.owners.get(folder, (None, span))[0]
        if folder in known.weights or (owner is not None and owner != own.get(folder)):
            return True
        if folder in own and folder in known.folders:
            return True
    if path in known.folders or path in known.owners:
        return True
    known.owners.update((p, (o, span)) for p, o in own.items() if p not in known.owners)
    known.folders.update((f, span) for f in folders if f not in own)
    known.weights[path] = span
    return False


@pytest.mark.parametrize("seed", range(200))
def test_what_is_settled_need_not_be_looked_at_again(seed: int) -> None:
    draw = random.Random(seed)
    span = Span(Source("spec.weft", "M"), 0, 1)
    quick, plain = Territory(), Territory()
    frames = [Frame("M", "", 0)]
    for call in range(12):
        parent = draw.choice(frames)
        own = ".".join(draw.choices("abc", k=draw.choice((1, 1, 2))))
        inside = f"{parent.path}.{own}" if parent.path else own
        path = draw.choices((inside, own, parent.path), (8, 1, 1))[0]
        frames.append(Frame("b", path, call, parent, origin=span))
    for _ in range(20):
        frame, stage = draw.choice(frames), draw.choice(("", "", "a", "b", "c.a"))
        parts = (frame.path, stage, draw.choice(("weight", "bias", "a", "b")))
        path = ".".join(part for part in parts if part)
        if path not in plain.weights:
            found = quick.settle(path, frame, stage, span) is not None
            assert found is settle_plainly(plain, path, frame, stage, span)
