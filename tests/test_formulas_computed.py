"""Every formula of the manual is computed: a word whose page has one has a function in
`tests/formulas` that stands under the very text of the page, and whose numbers are Weft's."""

from __future__ import annotations

import pytest

from compiler.manual.pages import find_pages
from tests.formulas import metrics, optimizers, schedules
from tests.formulas.quoted import Formulas
from tests.test_manual_formulas import WITHOUT_FORMULA
from website.formulas import find_formulas

KINDS = {module.FORMULAS.kind: module.FORMULAS for module in (optimizers, schedules, metrics)}


@pytest.mark.parametrize("formulas", KINDS.values(), ids=KINDS.keys())
def test_every_formula_of_a_page_is_written_in_numpy(formulas: Formulas) -> None:
    left_out = WITHOUT_FORMULA.get(formulas.kind, set())
    written = {
        page.name: tuple(find_formulas(page.text.about))
        for page in find_pages()
        if page.kind == formulas.kind and page.name not in left_out
    }
    assert formulas.texts == written
