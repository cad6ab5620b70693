"""Conditions in expressions and comprehensions that read sizes: a class offers no argument that
would change how they came out."""

from __future__ import annotations

import pytest

from tests.pytorch_compare import assert_arguments_mean_the_same, offered

MODEL = """
{block}
model M(width: int = 8, n: int = 2) {{
    input x: f32[batch, 6]
    h = x -> dense(width) as stem
    a = h -> dense(width + n) as p
    {rest}
}}
"""
CALLED = "output o = g(h, [h, a, x]) as c"


def block(body: str) -> str:
    head = "block g(x: f32[b, k], l: list)"
    return MODEL.format(block=f"{head} {{ {body} }}", rest=CALLED)


@pytest.mark.parametrize(
    "spec",
    [
        block("y = l[0] + 0\n return if k > 8 then (x + y) -> dense(k) as q else x"),
        block("return if l[1].shape[1] > 12 then x -> dense(k) as q else x * 2"),
        block("z = [t -> dense(3) as e[i] for i, t in enumerate(l) if t.shape[1] > 8]\n"
              "return concat([x, concat(z, axis=1)], axis=1)"),
        block("s = max([t.shape[1] for t in l])\n"
              "for i, t in enumerate(l) { if t.shape[1] == s { x = x + (t -> dense(k) as e[i]) }}\n"
              "return x"),
        MODEL.format(block="", rest="z = if n > 3 then a -> relu else a\n"
                     "output o = if z.shape[1] > 12 then z * 2 else z"),
    ],
)  # fmt: skip
def test_what_sizes_decide_is_followed_or_not_offered(spec: str) -> None:
    there = offered(spec)
    for values in ({"width": "16"}, {"width": "3"}, {"n": "9"}, {"width": "9", "n": "4"}):
        kept = {name: value for name, value in values.items() if name in there}
        if kept:
            assert_arguments_mean_the_same(spec, "M", kept, {"batch": 2})


def test_a_condition_that_differs_between_calls_is_a_branch_of_the_class() -> None:
    spec = """
    block g(x: f32[b, k], deep: bool) { return if deep then x -> dense(k) as q else x * 2 }
    model M(width: int = 8) {
        input x: f32[batch, 6]
        output o = x -> dense(width) as stem -> g(true) as a -> g(false) as c
    }
    """
    assert offered(spec) == {"width"}
    assert_arguments_mean_the_same(spec, "M", {"width": "5"}, {"batch": 2})
