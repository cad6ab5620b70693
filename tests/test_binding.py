"""How calls are read where arguments are missing."""

from __future__ import annotations

import pytest

from tests.elaborating import elaborate


@pytest.mark.parametrize(
    ("call", "needed"),
    [("gather(x, i)", "axis"), ("conv(x, 3)", "kernel"), ("reshape(x)", "shape")],
)
def test_a_call_with_all_its_tensors_does_not_wait(call: str, needed: str) -> None:
    """No option is a tensor: what is missing is told where it is missing, also of what nothing
    reads."""
    inputs = "input x: f32[batch, 4, 9]\n    input i: i64[batch]"
    text = f"model M {{\n    {inputs}\n    _ = {call}\n    output y = x\n}}\n"
    _, messages = elaborate(text)
    assert [m.code for m in messages if m.code != "W1003"][:1] == ["W0223"]
    assert f"needs `{needed}`" in messages[0].text.title
