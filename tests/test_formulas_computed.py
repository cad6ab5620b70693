"""Every formula of the manual is computed: a word whose page has one has a function in
`tests/formulas` that stands under the very text of the page, and whose numbers are Weft's."""

from __future__ import annotations

import pytest

from compiler.manual.pages import find_pages
from tests.formulas import (
    augmentations,
    blocks_arrays,
    blocks_layers,
    blocks_losses,
    metrics,
    optimizers,
    regularizers,
    schedules,
)
from tests.test_manual_formulas import WITHOUT_FORMULA
from website.formulas import find_formulas

MODULES = (
    *(optimizers, schedules, metrics, regularizers),
    *(blocks_layers, blocks_losses, blocks_arrays, augmentations),
)
KINDS = dict.fromkeys(module.FORMULAS.kind for module in MODULES)


@pytest.mark.parametrize("kind", KINDS)
def test_every_formula_of_a_page_is_written_in_numpy(kind: str) -> None:
    computed = {
        name: texts
        for module in MODULES
        if module.FORMULAS.kind == kind
        for name, texts in module.FORMULAS.texts.items()
    }
    written = {
        page.name: tuple(find_formulas(page.text.about))
        for page in find_pages()
        if page.kind == kind and page.name not in WITHOUT_FORMULA.get(kind, ())
    }
    assert computed == written
