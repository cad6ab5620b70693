"""Strings as indexes of stages: paths of weights, keys of PyTorch's modules and the text agree."""

from __future__ import annotations

import pytest

from tests.elaborating import build, codes
from tests.pytorch_compare import assert_means_the_same

BLOCKS = """
block unit(x: f32[n, d], s: str) { return x -> dense(d) as l[s] -> dense(d) as "k.{s}" }
block chain(x: f32[n, d], k: int) {
    for i in 0..k { x = x -> dense(d) as "b.{i}.pop" -> layer_norm as "b.{i}.forward" -> relu }
    return x -> dense(d) as "b.last.x"
}
model M(HEAD) {
    input x: f32[batch, 4]
    BODY
    output y = x
}
"""
BODIES = (  # `items`, `pop` and `forward` are methods of containers
    'x = x -> dense(4) as l["a.b"] -> dense(4) as l["c"] -> dense(4) as "l.a.q"',
    "x = x -> dense(4) as m[key] -> dense(4) as l[key][0] -> dense(4) as l[key][1]",
    'x = x -> unit("a.b") as u -> unit("c.d") as v -> unit("e") as w',
    'x = x -> unit("keys") as u -> unit("forward") as v -> unit("update.x") as w',
    "for s in names { x = x -> dense(4) as l[s] -> layer_norm as n[s] -> relu }",
    'for s in ["a", "b", "c"] { x = x -> dense(4) as l[s] -> layer_norm as n[s] -> relu }',
    'for s in ["0", "items", "2"] { x = x -> dense(4) as l[s] -> layer_norm as n[s] -> relu }',
    'for s in ["pop", "forward", "a"] { x = x -> dense(4) as "{s}" -> layer_norm as "b{s}" }',
    'for s in ["keys", "x", "__y"] { x = x -> dense(4) as c["d"][s] -> relu }',
    'for s in ["keys", "x"] { for i in 0..3 { x = x -> dense(4) as e[i][s] -> relu } }',
    'x = x -> chain(3) as "items.update" -> chain(4) as "items.__z.values"',
    'x = x -> dense(4) as "s.append" -> dense(4) as "s.insert" -> dense(4) as "s.t"',
    'net pop = [dense(4), dense(4)]\n    x = x -> pop[0] -> pop[1] -> dense(4) as "t.clear.k"',
)  # fmt: skip

PARAMETERS = {"[key]": 'key: str = "q.r"', "in names": 'names: list = ["a.b", "c", "items"]'}


def write_spec(body: str) -> str:
    """The model with a body, and the parameters that it reads."""
    head = next((text for use, text in PARAMETERS.items() if use in body), "")
    return BLOCKS.replace("BODY", body).replace("HEAD", head)


@pytest.mark.parametrize("body", BODIES)
def test_modules_hold_what_strings_name(body: str) -> None:
    assert_means_the_same(build(write_spec(body)).graph, {"batch": 3})


def test_strings_that_no_attribute_names_still_print_as_a_loop() -> None:
    body = 'for s in ["a", "b", "c", "d"] { x = x -> dense(4) as l[s] -> layer_norm as n[s] }'
    text = assert_means_the_same(build(write_spec(body)).graph, {"batch": 3})
    assert 'for s in ("a", "b", "c", "d"):' in text


@pytest.mark.parametrize("index", ["..x", "", "a b", ".", "a.", "a..b", "é-", "x/../y", "%1"])
def test_strings_that_are_no_path_are_refused(index: str) -> None:
    body = f'x = x -> dense(4) as l["{index}"]'
    assert "W0507" in codes(write_spec(body))
