"""Small mistakes in specs that were right: a name, a number, a line."""

from __future__ import annotations

import re
from random import Random

TOKEN = re.compile(r'"[^"\n]*"|[A-Za-z_]\w*|\d+(?:\.\d+)?(?:e-?\d+)?%?|\s+|.', re.DOTALL)
NUMBERS = ("0", "1", "2", "3", "7", "-1", "0.5", "50%", "100")
WORDS = (
    "f32", "i64", "bool", "batch", "train", "val", "test", "dropout(20%)", "relu",
    "softmax(axis=-1)", "dense(3)", "flatten", "batch_norm", "none", "true", "standardize",
)  # fmt: skip


def slip(rng: Random, text: str) -> str:
    """A text with one or two small mistakes; some are none."""
    for _ in range(rng.choice((1, 1, 2))):
        text = rng.choice((_slip_token, _slip_token, _slip_token, _slip_line))(rng, text)
    return text


def _slip_token(rng: Random, text: str) -> str:
    """Another word or number of the spec in place of one."""
    parts = TOKEN.findall(text)
    places = [i for i, part in enumerate(parts) if re.match(r'["\w]', part)]
    place = rng.choice(places)
    first = parts[place][0]
    alike = [parts[i] for i in places if _kind(parts[i][0]) == _kind(first)]
    alike += {"number": NUMBERS, "word": WORDS, "text": ()}[_kind(first)]
    parts[place] = rng.choice(alike)
    return "".join(parts)


def _kind(first: str) -> str:
    return "text" if first == '"' else "number" if first.isdigit() else "word"


def _slip_line(rng: Random, text: str) -> str:
    """A line less, twice, or elsewhere."""
    lines = text.split("\n")
    place = rng.randrange(len(lines))
    line = lines[place]
    form = rng.randrange(3)
    if form != 1:
        del lines[place]
    if form != 0:
        lines.insert(rng.randrange(len(lines) + 1), line)
    return "\n".join(lines)
