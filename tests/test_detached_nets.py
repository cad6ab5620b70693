"""Nets under `detach` in training scripts: run without gradients, and nothing else changed."""

from __future__ import annotations

import pytest

from backends.pytorch.train.detaching import free_detached


def make(*statements: str, head: str = "G: nn.Module, x: Tensor") -> str:
    return "\n".join([f"def f({head}) -> Tensor:", *(f"    {s}" for s in statements)])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            ["y = G(x)  # [batch, 3]", "fake = y.detach()", "return fake * 2"],
            [
                "with torch.no_grad():",
                "    fake = G(x)  # [batch, 3]",
                "return fake * 2",
            ],
        ),
        (
            ["fake = G(x).softmax(1).detach()", "return fake"],
            ["with torch.no_grad():", "    fake = G(x).softmax(1)", "return fake"],
        ),
        (
            ["y = G(x)", "z = G(2 * x).detach()", "return y.detach() * z - y.detach()"],
            [
                "with torch.no_grad():",
                "    y = G(x)",
                "    z = G(2 * x)",
                "return y * z - y",
            ],
        ),
        (
            ["y = G(x).detach()", "a = y + x", "z = G(a).detach()", "return z"],
            [
                "with torch.no_grad():",
                "    y = G(x)",
                "a = y + x",
                "with torch.no_grad():",
                "    z = G(a)",
                "return z",
            ],
        ),
    ],
)
def test_detached_nets_keep_nothing(before: list[str], after: list[str]) -> None:
    assert free_detached(make(*before)) == make(*after)


@pytest.mark.parametrize(
    "statements",
    [
        ["y = G(x)", "return y.detach() + y"],
        ["y = G(x)", "y = y + y.detach()", "return y"],
        ["y = (x * 2).detach()", "return G(x) + y"],
        ["y = G(x)", "for i in range(3):", "    y = y.detach()", "return y"],
        ["my_y = G(x)", "return my_y"],
    ],
)
def test_what_is_read_with_gradients_keeps_them(statements: list[str]) -> None:
    assert free_detached(make(*statements)) == make(*statements)


def test_names_that_end_alike_stay() -> None:
    found = free_detached(
        make("y = G(x)", "my_y = x + 1", "return y.detach() + my_y.detach() + x.y.detach()")
    )
    assert found.endswith("return y + my_y.detach() + x.y.detach()")


def test_functions_that_measure_need_no_block() -> None:
    text = make("y = G(x)", "fake = y.detach()", "return fake * 2")
    assert free_detached(text, measures=True) == make("fake = G(x)", "return fake * 2")
    slope = make("y = G(x)", "fake = y.detach()", "return torch.autograd.grad(fake, x)[0]")
    assert "with torch.no_grad():" in free_detached(slope, measures=True)


def test_long_lines_are_broken_as_a_formatter_would() -> None:
    call = "G(torch.randn(batch, 16, generator=draws, device=image.device, dtype=dtype))"
    found = free_detached(make(f"fake = {call}.detach()", "return fake"))
    assert max(map(len, found.splitlines())) <= 88
    assert found.splitlines()[2] == "        fake = G("
