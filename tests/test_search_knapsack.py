"""The knapsack of the search: as good as trying everything, within its budgets."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.compression.search.knapsack import Offer, choose_offers

NUMBERS = st.integers(-20, 5)
LOSSES = st.integers(0, 50)


def offers(budgets: int) -> st.SearchStrategy[list[list[Offer]]]:
    """Up to four sites of up to four offers; whole numbers, so that cells are exact."""
    offer = st.builds(
        lambda loss, changes: Offer(float(loss), tuple(map(float, changes))),
        LOSSES,
        st.lists(NUMBERS, min_size=budgets, max_size=budgets),
    )
    return st.lists(st.lists(offer, min_size=1, max_size=4), min_size=1, max_size=4)


def try_everything(sites: list[list[Offer]], budgets: list[float]) -> float | None:
    """The least loss of all combinations that fit."""
    fitting = [
        sum(offer.loss for offer in choice)
        for choice in product(*sites)
        if all(
            sum(offer.changes[i] for offer in choice) <= budget for i, budget in enumerate(budgets)
        )
    ]
    return min(fitting, default=None)


@pytest.mark.parametrize("count", [1, 2, 3])
@given(data=st.data())
def test_budgets_hold_at_the_least_loss(count: int, data: st.DataObject) -> None:
    sites = data.draw(offers(count))
    room = [float(data.draw(st.integers(-60, 10))) for _ in range(count)]
    best = try_everything(sites, room)
    picks = choose_offers(sites, room)
    assert (picks is None) == (best is None)
    if picks is not None:
        chosen = [site[i] for site, i in zip(sites, picks, strict=True)]
        assert sum(offer.loss for offer in chosen) == best
        for i, budget in enumerate(room):
            assert sum(offer.changes[i] for offer in chosen) <= budget


def test_a_budget_that_nothing_fits_has_no_choice() -> None:
    sites = [[Offer(0.0, (0.0,)), Offer(1.0, (-2.0,))]]
    assert choose_offers(sites, [-3.0]) is None
    assert choose_offers(sites, [-2.0]) == [1]
    assert choose_offers(sites, [0.0]) == [0]
    assert choose_offers([], [-1.0]) is None
    assert choose_offers([], [0.0]) == []


@pytest.mark.parametrize("count", [1, 2])
def test_a_large_problem_is_solved_near_its_optimum(count: int) -> None:
    # Rising prices: the optimum takes the cheapest steps first, which a sorted list gives.
    sites = [
        [Offer((1 + n % 3) * step**2 / 2, (-float(step),) * count) for step in range(6)]
        for n in range(40)
    ]
    prices = sorted(b.loss - a.loss for site in sites for a, b in pairwise(site))
    picks = choose_offers(sites, [-60.0] * count)
    assert picks is not None
    chosen = [site[i] for site, i in zip(sites, picks, strict=True)]
    assert sum(offer.changes[0] for offer in chosen) <= -60.0
    assert sum(offer.loss for offer in chosen) <= 1.02 * sum(prices[:60])
