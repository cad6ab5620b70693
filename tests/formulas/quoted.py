"""Formulas written down a second time: the lines of a page, and a function that computes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Computed = Callable[..., Any]


class Formulas:
    """Functions for the words of one kind. Each stands under the formulas of its word's page, as
    `website.formulas.find_formulas` gives them; a page that changes asks for its function anew."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.functions: dict[str, Computed] = {}
        self.texts: dict[str, tuple[str, ...]] = {}

    def of(self, name: str, *texts: str) -> Callable[[Computed], Computed]:
        """Registers a function under the name of a word and the formulas of its page."""

        def register(function: Computed) -> Computed:
            assert name not in self.functions, name
            self.functions[name] = function
            self.texts[name] = texts
            return function

        return register
