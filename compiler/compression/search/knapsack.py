"""Chooses one offer per site at the least loss within budgets: a multiple-choice knapsack."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compiler.compression.base import Array
from compiler.records import dataclass

STATES = 4000
"""Partial choices that are kept from site to site."""


@dataclass(frozen=True)
class Offer:
    """One setting of one site: the expected rise of the loss, and the expected change of each
    budgeted figure (negative saves)."""

    loss: float
    changes: tuple[float, ...]


def choose_offers(sites: Sequence[Sequence[Offer]], budgets: Sequence[float]) -> list[int] | None:
    """The offer of each site with the least sum of losses so that every sum of changes stays
    within its budget.

    Dynamic programming over the sites with lists of partial choices (Kellerer, Pferschy,
    Pisinger, Knapsack Problems, 2004, section 11.5). Sums are exact, so budgets hold. A partial
    choice from which no completion fits is dropped; where more than `STATES` are left, those that
    save about the same keep the one with the least loss, so that large problems are solved nearly
    to the optimum and small ones exactly.

    Args:
        sites: the offers of each site; none is empty.
        budgets: the largest sum of each change; negative where something must be saved.

    Returns:
        An index per site; None where even the most saving offers do not fit.
    """
    if not sites:
        return [] if all(budget >= 0 for budget in budgets) else None
    changes = [np.array([offer.changes for offer in offers], float) for offers in sites]
    losses = [np.array([offer.loss for offer in offers]) for offers in sites]
    rest = np.cumsum([table.min(axis=0) for table in changes[::-1]], axis=0)[::-1]
    ahead = [*rest[1:], np.zeros(len(budgets))]
    # Sums of floats may miss a budget that they meet on paper.
    limit = np.asarray(budgets, float) + 1e-9 * np.abs(rest[0])
    sums, loss = np.zeros((1, len(budgets))), np.zeros(1)
    steps: list[tuple[Array, Array]] = []  # which state each state came from, by which offer
    for table, price, least in zip(changes, losses, ahead, strict=True):
        wide = (sums[:, None, :] + table[None, :, :]).reshape(-1, len(budgets))
        cost = (loss[:, None] + price[None, :]).ravel()
        kept = np.flatnonzero((wide + least <= limit).all(axis=1))
        if not len(kept):
            return None
        kept = kept[_thin(wide[kept], cost[kept])]
        steps.append(np.divmod(kept, len(price)))
        sums, loss = wide[kept], cost[kept]
    return _trace(int(np.argmin(loss)), steps)


def _thin(sums: Array, loss: Array) -> Array:
    """Indices of at most `STATES` states: of those in one cell of sums, the least loss."""
    order = np.argsort(loss, kind="stable")
    low, high = sums.min(axis=0), sums.max(axis=0)
    cells = STATES ** (1 / sums.shape[1]) if len(order) > STATES else 1e12
    width = np.where(high > low, (high - low) / int(cells), 1.0)
    _, first = np.unique(np.floor((sums[order] - low) / width), axis=0, return_index=True)
    return order[np.sort(first)]


def _trace(state: int, steps: Sequence[tuple[Array, Array]]) -> list[int]:
    """The offers that led to a state."""
    chosen = []
    for sources, offers in reversed(steps):
        chosen.append(int(offers[state]))
        state = int(sources[state])
    return chosen[::-1]
