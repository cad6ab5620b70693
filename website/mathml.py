"""MathML that browsers show alike: bold letters and signs that LaTeX writes in two parts."""

from __future__ import annotations

import html
import re
import unicodedata

_LETTER = re.compile(r'<(m[in]) mathvariant="(bold(?:-italic)?)">([^<]+)</\1>')
_ASSIGNS = re.compile(r"<m[io]>(?::|&#x0003A;)</m[io]><mo>(?:=|&#x0003D;)</mo>")


def spell_letters(mathml: str) -> str:
    """Letters that an attribute makes bold as letters of Unicode that are bold themselves: browsers
    of MathML Core read no such attribute. `:=` becomes one sign."""
    bold = _LETTER.sub(lambda m: f"<{m[1]}>{_embolden(html.unescape(m[3]), m[2])}</{m[1]}>", mathml)
    return _ASSIGNS.sub("<mo>≔</mo>", bold)


def _embolden(text: str, variant: str) -> str:
    """A text in bold letters; what has none stays as it is."""
    style = variant.upper().replace("-", " ")
    return "".join(_find_letter(letter, style) for letter in text)


def _find_letter(letter: str, style: str) -> str:
    name = unicodedata.name(letter, "")
    plain = name.replace("GREEK LUNATE", "").replace("LATIN", "").replace("GREEK", "")
    kind = plain.replace("LETTER", "").split()
    shape = "BOLD" if "DIGIT" in kind else style
    try:
        return unicodedata.lookup(" ".join(["MATHEMATICAL", shape, *kind]))
    except KeyError:
        return letter
