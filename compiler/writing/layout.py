"""Where a line of Python can be split: what of it is code, not a string or a comment."""

from __future__ import annotations


def code_places(text: str) -> list[int]:
    """Positions outside string literals and before a comment."""
    places, quote, place = [], "", 0
    while place < len(text):
        char = text[place]
        if quote:
            if char == "\\":
                place += 1
            elif char == quote:
                quote = ""
        elif char == "#":
            break
        elif char in "\"'":
            quote = char
        else:
            places.append(place)
        place += 1
    return places


def nesting(char: str) -> int:
    """How a character of code changes the depth of brackets."""
    return (char in "([{") - (char in ")]}")


def split_words(text: str, words: tuple[str, ...]) -> list[str]:
    """The parts before these words outside brackets, strings and comments."""
    parts, depth, begin = [], 0, 0
    for place in code_places(text):
        depth += nesting(text[place])
        if depth == 0 and text.startswith(words, place):
            parts.append(text[begin:place].strip())
            begin = place
    return [*parts, text[begin:].strip()]
