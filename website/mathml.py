"""MathML that browsers show alike: bold letters, the space around `ln`, what stands below `max`."""

from __future__ import annotations

import re
import unicodedata
from xml.etree import ElementTree as Tree

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
LIMITS = {"max", "min", "lim", "sup", "inf", "det", "Pr"}
"""Functions that have what is written below them below them, where there is room."""
SCRIPTS = {"msub", "msup", "msubsup", "munder"}
BETWEEN = {"mod"}
"""Words that stand between two numbers, as a sign does."""


def polish(mathml: str) -> str:
    """A formula of latex2mathml as LaTeX would set it."""
    Tree.register_namespace("", NAMESPACE)
    math = Tree.fromstring(mathml)  # noqa: S314 - made here
    for element in list(math.iter()):
        _spell_letters(element)
        _space_functions(element)
    if math.get("display") == "block":
        _lower_limits(math)
    return Tree.tostring(math, encoding="unicode")


def _spell_letters(element: Tree.Element) -> None:
    """Letters that an attribute makes bold, as letters of Unicode that are bold themselves:
    browsers of MathML Core read no such attribute."""
    variant = element.get("mathvariant", "")
    if variant.startswith("bold") and element.text:
        del element.attrib["mathvariant"]
        style = variant.upper().replace("-", " ")
        element.text = "".join(_find_letter(letter, style) for letter in element.text)


def _find_letter(letter: str, style: str) -> str:
    """A letter in a style of mathematics; itself where there is none."""
    name = unicodedata.name(letter, "").replace("GREEK LUNATE", "")
    kind = re.sub("LATIN|GREEK|LETTER", "", name).split()
    shape = "BOLD" if "DIGIT" in kind else style
    try:
        return unicodedata.lookup(" ".join(["MATHEMATICAL", shape, *kind]))
    except KeyError:
        return letter


def _space_functions(row: Tree.Element) -> None:
    """A thin space around names of functions, but none before a bracket: `p ln p`, `2 ln(p)`."""
    if _name(row) in SCRIPTS or _name(row) in {"mfrac", "mover", "munderover"}:
        return  # their parts have fixed places
    parts = list(row)
    for before, part, behind in zip([None, *parts], parts, [*parts[1:], None], strict=False):
        if not _is_function(part):
            continue
        core = _find_core(part)
        core.tag, core.attrib = f"{{{NAMESPACE}}}mi", {}
        at = list(row).index(part)
        if behind is not None and not _is_sign(behind, but="|‖"):
            row.insert(at + 1, _make_space())
        if before is not None and not _is_function(before) and not _is_sign(before, but=")]}"):
            row.insert(at, _make_space())


def _lower_limits(math: Tree.Element) -> None:
    for element in math.iter():
        if _name(element) == "msub" and (element[0].text or "") in LIMITS:
            element.tag = f"{{{NAMESPACE}}}munder"


def _is_function(element: Tree.Element) -> bool:
    core = _find_core(element)
    text = core.text or ""
    named = _name(core) in {"mi", "mo"} and re.fullmatch("[A-Za-z]{2,}", text)
    return bool(named) and text not in BETWEEN


def _is_sign(element: Tree.Element, but: str) -> bool:
    """Whether an element brings its own space, or wants none."""
    core = _find_core(element)
    if _name(core) == "mspace":
        return True
    return _name(core) == "mo" and not _is_function(core) and (core.text or "") not in but


def _find_core(element: Tree.Element) -> Tree.Element:
    """What carries a script; other elements themselves."""
    while _name(element) in SCRIPTS and len(element):
        element = element[0]
    return element


def _make_space() -> Tree.Element:
    return Tree.Element(f"{{{NAMESPACE}}}mspace", {"width": "0.167em"})


def _name(element: Tree.Element) -> str:
    return element.tag.rpartition("}")[2]
