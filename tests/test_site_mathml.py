"""MathML of the site: bold letters, space around functions and limits below them."""

from __future__ import annotations

import pytest

from website.mathml import polish

SPACE = '<mspace width="0.167em" />'
BRACKET = '<mo stretchy="false">(</mo>'


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ('<mi mathvariant="bold-italic">&#x003B8;</mi>', "<mi>𝜽</mi>"),
        ('<mi mathvariant="bold-italic">&#x003F5;</mi>', "<mi>𝝐</mi>"),
        ('<mi mathvariant="bold-italic">&#x003A3;</mi>', "<mi>𝜮</mi>"),
        ('<mi mathvariant="bold">x</mi>', "<mi>𝐱</mi>"),
        ('<mn mathvariant="bold">12</mn>', "<mn>𝟏𝟐</mn>"),
        ('<mn mathvariant="bold">1,5</mn>', "<mn>𝟏,𝟓</mn>"),
        ('<mi mathvariant="normal">x</mi>', '<mi mathvariant="normal">x</mi>'),
        (
            "<mi>p</mi><mi>ln</mi><mi>q</mi>",
            f"<mi>p</mi>{SPACE}<mi>ln</mi>{SPACE}<mi>q</mi>",
        ),
        (
            f"<mo>=</mo><mo>mean</mo>{BRACKET}<mi>x</mi>",
            f"<mo>=</mo><mi>mean</mi>{BRACKET}<mi>x</mi>",
        ),
        (
            "<mo>)</mo><msub><mi>log</mi><mn>2</mn></msub><mi>k</mi>",
            f"<mo>)</mo>{SPACE}<msub><mi>log</mi><mn>2</mn></msub>{SPACE}<mi>k</mi>",
        ),
        ("<mi>a</mi><mo>mod</mo><mi>m</mi>", "<mi>a</mi><mo>mod</mo><mi>m</mi>"),
        (
            "<mo>arg</mo><msub><mo>min</mo><mi>c</mi></msub><mo>|</mo>",
            f"<mi>arg</mi>{SPACE}<munder><mi>min</mi><mi>c</mi></munder>{SPACE}<mo>|</mo>",
        ),
        (
            "<msub><mo>mean</mo><mi>i</mi></msub>" + BRACKET,
            "<msub><mi>mean</mi><mi>i</mi></msub>" + BRACKET,
        ),
        (
            "<mfrac><mi>ln</mi><mi>q</mi></mfrac>",
            "<mfrac><mi>ln</mi><mi>q</mi></mfrac>",
        ),
    ],
)
def test_formulas_look_as_latex_sets_them(written: str, shown: str) -> None:
    start = '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block"><mrow>'
    assert polish(f"{start}{written}</mrow></math>") == f"{start}{shown}</mrow></math>"


def test_limits_stand_aside_within_lines() -> None:
    text = (
        '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow>{}</mrow></math>'
    )
    limit = "<msub><mi>max</mi><mi>j</mi></msub>"
    assert polish(text.format(limit)) == text.format(limit)
