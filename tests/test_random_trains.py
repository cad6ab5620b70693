"""What `weft check` passes, `weft build` does: random specs with their data."""

from __future__ import annotations

from tests.random_trains.harness import try_specs

COUNT = 28
"""Specs that are built in the suite; `python -m tests.random_trains` builds more."""


def test_random_specs_are_built_or_refused_and_figures_are_right() -> None:
    tally = try_specs(COUNT, seed=0)
    assert not tally.failures, "\n\n".join(f"{k}\n{v}" for k, v in tally.failures.items())
    assert tally.built > COUNT / 2
    assert tally.compared > 60
