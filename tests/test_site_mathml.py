"""MathML of the site: letters that every browser shows bold."""

from __future__ import annotations

import pytest

from website.mathml import spell_letters


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ('<mi mathvariant="bold-italic">&#x003B8;</mi>', "<mi>𝜽</mi>"),
        ('<mi mathvariant="bold-italic">&#x003F5;</mi>', "<mi>𝝐</mi>"),
        ('<mi mathvariant="bold-italic">&#x003A3;</mi>', "<mi>𝜮</mi>"),
        ('<mi mathvariant="bold">x</mi>', "<mi>𝐱</mi>"),
        ('<mn mathvariant="bold">12</mn>', "<mn>𝟏𝟐</mn>"),
        ('<mn mathvariant="bold">1,5</mn>', "<mn>𝟏,𝟓</mn>"),
        ("<mi>w</mi><mi>:</mi><mo>&#x0003D;</mo>", "<mi>w</mi><mo>≔</mo>"),
        (
            "<mi>:</mi><msub><mi>c</mi><mi>j</mi></msub>",
            "<mi>:</mi><msub><mi>c</mi><mi>j</mi></msub>",
        ),
        ('<mi mathvariant="normal">x</mi>', '<mi mathvariant="normal">x</mi>'),
    ],
)
def test_letters_are_spelled_in_unicode(written: str, shown: str) -> None:
    assert spell_letters(written) == shown
