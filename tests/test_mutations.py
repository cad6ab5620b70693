"""A sample of the mutants in `mutations.py`: each is found, at the line of its op."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.mutations import hunt, list_ops

SLOW = ("scaled_dot_product_attention", "einsum", "resize")
"""Ops with so many mutants that a few show little; they are hunted by hand."""


@pytest.mark.parametrize("name", [name for name in list_ops() if name not in SLOW])
def test_some_mutants_are_found(name: str) -> None:
    verdicts = list(hunt(name, 1, most=3))
    assert [v for v in verdicts if v.outcome in ("missed", "misplaced")] == []


def test_mutants_are_there_to_be_found() -> None:
    """The hunt itself works: what is found, and what a spelling by default does not change."""
    found = Counter(verdict.outcome for verdict in hunt("gelu", 2))
    assert found["found"] >= 4
    assert found["same"] >= 1
