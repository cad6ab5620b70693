"""Makes the parse tables from weft.lark with Lark, numbered the same way every time."""

from __future__ import annotations

import json
import tomllib
from typing import Any

from lark import Lark
from lark.grammar import Rule as LarkRule
from lark.grammar import Terminal
from lark.lexer import PatternStr, TerminalDef
from lark.parsers.lalr_analysis import Shift

from grammar.sources import END, GRAMMAR, MISTAKES, NONE, SPLICE, digest_sources

STARTS = ["start", "inside"]


def generate() -> dict[str, Any]:
    """Tables in their JSON form.

    Raises lark.exceptions.GrammarError for a grammar that is not LALR(1).
    """
    grammar = GRAMMAR.read_text(encoding="utf-8")
    lark = Lark(grammar, parser="lalr", lexer="basic", maybe_placeholders=True, start=STARTS)
    symbols = number_symbols(lark)
    rules = [rule for rule in lark.rules if rule.origin.name in symbols]
    rows, starts, accepts = number_states(lark, symbols, rules)
    literals = {t.name: t.pattern.value for t in lark.terminals if is_literal(t)}
    words = {text: symbols[name] for name, text in literals.items() if text.isidentifier()}
    return {
        "digest": digest_sources(),
        "symbols": list(symbols),
        "terminals": 1 + len(lark.terminals),
        "patterns": [
            [t.name, t.pattern.to_regexp()]
            for t in sorted(lark.terminals, key=scanning_order)
            if literals.get(t.name) not in words
        ],
        "words": words,
        "foreign": read_foreign_words(),
        "texts": {symbols[name]: text for name, text in literals.items()},
        "rules": [encode_rule(rule, symbols) for rule in rules],
        "rows": rows,
        "starts": starts,
        "accepts": accepts,
    }


def read_foreign_words() -> dict[str, str]:
    """First words of statements in other languages, with the code of the message about each."""
    entries = tomllib.loads(MISTAKES.read_text(encoding="utf-8"))["mistake"]
    return {word: entry["code"] for entry in entries for word in entry.get("word", ())}


def is_literal(terminal: TerminalDef) -> bool:
    """Whether a terminal is one fixed text."""
    return isinstance(terminal.pattern, PatternStr)


def scanning_order(terminal: TerminalDef) -> tuple[int, int, str]:
    """The order Lark's basic lexer tries terminals in: what may be longest first."""
    return -terminal.pattern.max_width, -len(terminal.pattern.value), terminal.name


def number_symbols(lark: Lark) -> dict[str, int]:
    """Every symbol with its number: the end of the file, terminals, then nonterminals."""
    names = [END, *sorted(t.name for t in lark.terminals)]
    names += dict.fromkeys(str(rule.origin.name) for rule in lark.rules)
    return {name: number for number, name in enumerate(names)}


def number_states(
    lark: Lark, symbols: dict[str, int], rules: list[LarkRule]
) -> tuple[list[list[int]], dict[str, int], dict[str, int]]:
    """Rows, start states and accepting states, numbered as a walk from the start meets them."""
    table = lark.parser.parser._parse_table
    rule_numbers = {rule: number for number, rule in enumerate(rules)}
    order = [table.start_states[start] for start in STARTS]
    numbers = {state: number for number, state in enumerate(order)}
    rows = []
    for state in order:
        row: list[int] = []
        actions = {symbols[name]: action for name, action in table.states[state].items()}
        for symbol, (action, argument) in sorted(actions.items(), key=lambda pair: pair[0]):
            if action is Shift and argument not in numbers:
                numbers[argument] = len(order)
                order.append(argument)
            row += [symbol, numbers[argument] if action is Shift else ~rule_numbers[argument]]
        rows.append(row)
    starts = {start: numbers[table.start_states[start]] for start in STARTS}
    accepts = {start: numbers[table.end_states[start]] for start in STARTS}
    return rows, starts, accepts


def encode_rule(rule: LarkRule, symbols: dict[str, int]) -> list[Any]:
    """A rule as [symbol, action, size, recipe, lifts]; Lark's way of shaping trees, spelled out."""
    origin = str(rule.origin.name)
    lifts = rule.options.expand1 and rule.alias is None
    recipe = make_recipe(rule)
    builds = not origin.startswith("_") and not (lifts and len(recipe) == 1)
    action = str(rule.alias or origin) if builds else ""
    return [symbols[origin], action, len(rule.expansion), recipe, int(lifts)]


def make_recipe(rule: LarkRule) -> list[int]:
    """Which children are kept, where a left-out optional stands, and which lists are opened."""
    recipe: list[int] = []
    position = 0
    for missing in rule.options.empty_indices or [False] * len(rule.expansion):
        if missing:
            recipe.append(NONE)
            continue
        symbol = rule.expansion[position]
        if isinstance(symbol, Terminal):
            if rule.options.keep_all_tokens or not symbol.filter_out:
                recipe.append(position)
        elif symbol.name.startswith("_"):
            recipe += [SPLICE, position]
        else:
            recipe.append(position)
        position += 1
    return recipe


def write_tables(tables: dict[str, Any]) -> str:
    """JSON text with one row of the automaton per line, so that a change can be read in a diff."""
    lines = []
    for name, value in tables.items():
        if name in ("rules", "rows", "patterns"):
            body = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in value)
            lines.append(f"{json.dumps(name)}: [\n{body}\n]")
        else:
            lines.append(f"{json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
