"""Texts to fuzz with: random ones, mutated specs, and sentences derived from the grammar."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

from lark import Lark
from lark.grammar import Rule, Terminal

from compiler.ops.registry import load_ops
from compiler.report.diagnostics import MESSAGES
from compiler.report.messages import load_messages
from compiler.types.units import UNITS
from grammar.sources import GRAMMAR
from grammar.table import load_table
from tests.fuzz.hostile import make_hostile
from tests.fuzz.programs import make_program

ROOT = Path(__file__).resolve().parents[2]
TOKEN = re.compile(r'\s+|#[^\n]*|"(?:[^"\\\n]|\\.)*"|`[^`\n]*`|\w+|->|\*\*|//|[=!<>]=|\.\.+|.')

WORDS = re.findall(
    r"\w+",
    """
    x y z image label logits batch n c h w conv dense relu dropout flatten max_pool softmax sin
    input output param buffer net metric minimize batch epochs seed until source split emit
    assert apply require target dynamic opset labels f32 i64 bool int float str list layer
    """,
)
NUMBERS = ["0", "1", "2", "3", "64", "0.5", "1e-4", "20_000", "50%", "40KiB", "5ms", "3epochs"]
NUMBERS.append("1e999")
STRINGS = ['"same"', '"layer{i + 1}"', '"a\\n"', '"{{}}"', '""', '"*.bias"', '"é{x}"']
MEANT_STRINGS = ['"mean"', '"table.csv"', '"digits"', '"head"', '"valid"', '"median"', '"long.txt"']
ODDITIES = [*"\t\x00\ufeff'\"`$→é\u202e🙂\\;", "\r\n", "&&", "日本"]


@cache
def corpus() -> tuple[str, ...]:
    """Specs to mutate: those of the library and of the tests, and the examples of messages."""
    load_messages()
    folders = ["specs", "tests/good", "tests/bad"]
    files = sorted(path for folder in folders for path in ROOT.glob(f"{folder}/**/*.weft"))
    texts = [path.read_bytes().decode("utf-8") for path in files]
    pages = [text for _, kind in sorted(MESSAGES.items()) for text in (kind.bad, kind.good)]
    return tuple(text for text in (*texts, *pages) if text)


@cache
def sound_corpus() -> tuple[str, ...]:
    """Those of them that pass."""
    load_messages()
    files = sorted(path for f in ("specs", "tests/good") for path in ROOT.glob(f"{f}/**/*.weft"))
    texts = [path.read_text(encoding="utf-8") for path in files]
    return (*texts, *(kind.good for _, kind in sorted(MESSAGES.items()) if kind.good))


@cache
def vocabulary() -> tuple[str, ...]:
    """Every name that stands in the corpus or that an op has, as often as specs use it."""
    names = [word for text in corpus() for word in re.findall(r"[A-Za-z_]\w*", text)]
    return (*names, *load_ops().names() * 10)


Kind = Callable[[random.Random], str]


def make_text(rng: random.Random, fuzzer: str = "all") -> str:
    """A text of one of the three fuzzers, or of all in turn."""
    name = rng.choice([*FUZZERS, "program"]) if fuzzer == "all" else fuzzer
    kinds = {**FUZZERS, "program": {make_program: 1}}[name]
    (kind,) = rng.choices(list(kinds), weights=list(kinds.values()))
    return kind(rng)


def make_noise(rng: random.Random) -> str:
    """Random characters."""
    alphabet = "abx_ \n\t0123456789.,:;(){}[]<>=+-*/%@!?&|^~#\"'`\\$é→ "
    return "".join(rng.choice(alphabet) for _ in range(rng.randrange(200)))


def make_tokens(rng: random.Random) -> str:
    """Random tokens with random space between them."""
    table = load_table()
    choices = [*table.texts.values(), *WORDS, *NUMBERS, *STRINGS, *ODDITIES, "<=", "//", "@"]
    parts = []
    for _ in range(rng.randrange(80)):
        parts.append(rng.choice(choices))
        parts.append(rng.choice([" ", " ", " ", "", "\n", "  # c\n", "\n## d\n"]))
    return "".join(parts)


# --- mutated specs ------------------------------------------------------------------------------


def mutate_spec(rng: random.Random) -> str:
    """A spec with a few changes of tokens, characters or stretches."""
    text = rng.choice(corpus())
    if len(text) > 1500:
        start = rng.randrange(len(text) - 1000)
        text = text[text.find("\n", start) + 1 : start + rng.randrange(1, 1500)]
    for _ in range(rng.randrange(1, 5)):
        text = rng.choice(MUTATIONS)(rng, text)
    return text


def mutate_meaning(rng: random.Random) -> str:
    """A whole spec in which a few names, numbers, strings or lines are others of their kind."""
    texts = sound_corpus() if rng.random() < 0.7 else corpus()
    text = rng.choice(texts).replace("../../../shared", ".")
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        parts = TOKEN.findall(text)
        at = rng.randrange(len(parts))
        at = next((i for i in range(at, len(parts)) if re.match(r'["\w]', parts[i])), 0)
        found = parts[at]
        if found[0] == '"':
            parts[at] = rng.choice([*STRINGS, *MEANT_STRINGS])
        elif found[0].isdigit():
            parts[at] = rng.choice([*NUMBERS, "-1", "7", "1000000", "n", "0.1"])
        elif rng.random() < 0.8:
            parts[at] = rng.choice(vocabulary())
        else:
            parts[at] = rng.choice(["[1, 2]", "(x, y)", "relu", "conv(3, kernel=3)", "none", "5"])
        text = "".join(parts)
    if rng.random() < 0.3:
        lines = text.split("\n")
        at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[at:at] = [lines[other]] if rng.random() < 0.5 else []
        del lines[other : other + rng.randrange(2)]
        text = "\n".join(lines)
    return text


def mutate_tokens(rng: random.Random, text: str) -> str:
    """Drop, double, swap or replace a token."""
    parts = TOKEN.findall(text)
    if not parts:
        return text
    at = rng.randrange(len(parts))
    other = rng.randrange(len(parts))
    match rng.randrange(5):
        case 0:
            del parts[at]
        case 1:
            parts.insert(at, parts[at])
        case 2:
            parts[at], parts[other] = parts[other], parts[at]
        case 3:
            parts[at] = rng.choice([*WORDS, *NUMBERS, *load_table().texts.values()])
        case _:
            parts.insert(at, rng.choice([*STRINGS, *ODDITIES, *load_table().texts.values()]))
    return "".join(parts)


def mutate_characters(rng: random.Random, text: str) -> str:
    """Drop, insert or replace a character."""
    at = rng.randrange(len(text) + 1)
    put = rng.choice(["", *ODDITIES, *'(){}[]"`\n .,=-'])
    return text[:at] + put + text[at + rng.randrange(2) :]


def mutate_stretch(rng: random.Random, text: str) -> str:
    """Cut the text off, drop a stretch, or put in one of another spec."""
    first, last = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
    match rng.randrange(3):
        case 0:
            return text[:first]
        case 1:
            return text[:first] + text[last:]
        case _:
            other = rng.choice(corpus())
            start = rng.randrange(len(other) + 1)
            return text[:first] + other[start : start + rng.randrange(100)] + text[first:]


MUTATIONS = [mutate_tokens, mutate_tokens, mutate_characters, mutate_stretch]


# --- sentences of the grammar -------------------------------------------------------------------


@cache
def productions() -> dict[str, tuple[Rule, ...]]:
    """The rules of the grammar by the symbol they make."""
    lark = Lark(GRAMMAR.read_text(encoding="utf-8"), parser="lalr", start="start")
    found: dict[str, list[Rule]] = defaultdict(list)
    for rule in lark.rules:
        found[str(rule.origin.name)].append(rule)
    return {name: tuple(rules) for name, rules in found.items()}


@cache
def heights() -> dict[str, int]:
    """How deep the smallest derivation of each symbol is."""
    found: dict[str, int] = {}
    for _ in productions():
        for name, rules in productions().items():
            known = [height_of(rule, found) for rule in rules]
            if min(known) < 1000:
                found[name] = min(known)
    return found


def height_of(rule: Rule, found: dict[str, int]) -> int:
    """How deep the smallest derivation by a rule is; 1000 or more where that is not known yet."""
    nested = [found.get(s.name, 1000) for s in rule.expansion if not isinstance(s, Terminal)]
    return 1 + max(nested, default=0)


def derive_tokens(rng: random.Random, start: str = "start", budget: int = 60) -> list[str]:
    """Tokens of a random sentence; past the budget every choice is the shallowest."""
    out: list[str] = []
    todo: list[str] = [start]
    spent = 0
    while todo:
        name = todo.pop()
        rules = productions().get(name)
        if rules is None:
            out.append(make_terminal(rng, name))
            continue
        spent += 1
        if spent > budget * 8:
            rules = (min(rules, key=lambda rule: height_of(rule, heights())),)
        elif len(rules) > 1 and rng.random() < 0.5:
            rules = rules[:2]
        names = [symbol.name for symbol in rng.choice(rules).expansion]
        if "ARROW" in names and rng.random() < 0.9:  # arithmetic beside an arrow is refused
            names = ["postfix", *["ARROW", "postfix"] * rng.randrange(1, 4)]
        todo += reversed(names)
    return out


def make_terminal(rng: random.Random, name: str) -> str:
    """A text for a terminal."""
    table = load_table()
    match name:
        case "NAME":
            return rng.choice(WORDS) if rng.random() < 0.95 else "`CO(GT)`"
        case "NUMBER":
            return rng.choice(NUMBERS[:-1]) if rng.random() < 0.9 else f"7{rng.choice(list(UNITS))}"
        case "STRING":
            return rng.choice(STRINGS)
        case "COMPARE":
            return rng.choice(["==", "!=", "<", "<=", ">", ">="])
        case "TIMES":
            return rng.choice(["/", "//", "%", "@"])
        case _:
            return table.texts[table.kinds[name]]


def derive_spec(rng: random.Random) -> str:
    """A sentence of the grammar with space, line breaks and comments between its tokens."""
    breaks = ["\n", "\n\n", " # c\n", "\n# d\n", "  ## e\n", "\n## f\n"]
    spaces = [" "] * rng.choice([1, 12, 60]) + rng.choice([[], ["\n"], breaks])
    tokens = derive_tokens(rng, budget=rng.randrange(5, 60))
    return "".join(token + rng.choice(spaces) for token in tokens)


FUZZERS: dict[str, dict[Kind, int]] = {
    "text": {make_noise: 1, make_tokens: 2, derive_spec: 2},
    "mutated": {mutate_spec: 2, mutate_meaning: 3},
    "hostile": {make_hostile: 3, make_program: 1},
}
"""The fuzzers: random text, mutated specs, and well-typed specs with hostile names and numbers."""
