"""What a syntax error means: the message for it, and the change that would mend it."""

from __future__ import annotations

from compiler.report.diagnostics import Message
from compiler.report.messages.names import unknown_clause
from compiler.report.messages.syntax import (
    lone_word,
    mismatched_bracket,
    missing_comma,
    missing_name,
    missing_symbol,
    missing_value,
    nested_item,
    reserved_word,
    unclosed_bracket,
    unexpected_token,
    unmatched_close,
)
from compiler.report.messages.syntax_symbols import lone_call, pass_without_apply
from compiler.report.messages.syntax_text import half_number, spaced_unit
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.errors.mistakes import find_example, find_foreign_word
from compiler.text.errors.recover import FILE_WORDS, ITEM_WORDS, NAMES, Edit, Trouble
from compiler.text.tree.newlines import NEEDS_VALUE
from compiler.types.units import UNITS

Diagnosis = tuple[Message, Edit | None]

CLOSING = ("RPAR", "RSQB", "RBRACE")
ENDS_VALUE = (*NAMES, "NUMBER", "STRING", "RPAR", "RSQB", "TRUE", "FALSE", "NONE")
STARTS_VALUE = (*NAMES, "NUMBER", "STRING", "LPAR", "LSQB", "TRUE", "FALSE", "NONE", "IF", "NOT")
LINKS = ("THEN", "ELSE", "OF", "IN", "AS", "LBRACE", "LPAR", "EQUAL")
"""Words and symbols that may be missing between two parts, in the order they are thought of."""


def diagnose(trouble: Trouble) -> Diagnosis:
    """The message for a syntax error, and the edit after which the text can be read on."""
    for rule in RULES:
        diagnosis = rule(trouble)
        if diagnosis is not None:
            return diagnosis
    return report_unexpected(trouble)


# --- brackets -----------------------------------------------------------------------------------


def find_wrong_closer(trouble: Trouble) -> Diagnosis | None:
    """A closing bracket that does not belong to the one that is open."""
    if not trouble.is_kind(trouble.index, *CLOSING):
        return None
    place = trouble.tokens.span(trouble.index)
    openers = trouble.openers
    if not openers or (trouble.in_braces and not trouble.is_kind(trouble.index, "RBRACE")):
        return unmatched_close(place), keep_if_read(trouble, drop=1)
    wanted = trouble.closer(openers[-1])
    if trouble.kind == wanted:
        return None
    outer = [opener for opener in openers if trouble.closer(opener) == trouble.kind]
    line = trouble.tokens.first_on_line(trouble.index)
    if trouble.found == "}":
        closes_outer = bool(outer) and (outer[-1] >= line or line == trouble.index)
    else:
        closes_outer = outer[-1:] == openers[-2:-1] and trouble.reads(wanted)
    if closes_outer:
        return report_unclosed(trouble, openers[-1], trouble.closers)
    opener, bracket = trouble.tokens.span(openers[-1]), trouble.name(openers[-1])
    return mismatched_bracket(place, opener, bracket), keep_if_read(trouble, wanted, drop=1)


def find_open_bracket(trouble: Trouble) -> Diagnosis | None:
    """A bracket still open at the end, or where a line begins a new statement."""
    openers = trouble.openers
    if not openers:
        return None
    if trouble.at_end and not trouble.is_kind(trouble.index - 1, *NEEDS_VALUE):
        opener = blame_brace(trouble) if trouble.in_braces else openers[-1]
        closers = tuple(trouble.closer(opener) for opener in reversed(openers))
        message = name_unclosed(trouble, trouble.place, opener)
        readable = trouble.automaton.accepted([*closers, trouble.kind]) == len(closers) + 1
        return message, Edit(0, closers) if readable else None
    ends_list = trouble.is_kind(trouble.index, "WITH", "OVER") or (
        trouble.is_kind(trouble.index, "LBRACE") and trouble.reads(*trouble.closers)
    )
    if trouble.in_bracket and (ends_list or trouble.starts_line(trouble.index)):
        return report_unclosed(trouble, openers[-1], trouble.closers)
    return None


def find_next_statement(trouble: Trouble) -> Diagnosis | None:
    """The first word of the next statement was taken for a value: what ends this one is missing."""
    tokens, index = trouble.tokens, trouble.index
    word = index - 1
    if word <= trouble.head or not trouble.is_kind(index, "EQUAL", "COLON", *NAMES):
        return None
    if not trouble.is_kind(word, *NAMES) or not trouble.starts_line(word):
        return None
    if trouble.in_bracket:
        message = name_unclosed(trouble, tokens.place(word), trouble.openers[-1])
        return message, Edit(0, (), word)
    if not trouble.is_kind(word - 1, *NEEDS_VALUE):
        return None
    place, head = tokens.place(word), tokens.text(trouble.head)
    message = missing_value(place, tokens.text(word), head, tokens.text(word - 1))
    return message, Edit(0, (), word)


def find_lone_call(trouble: Trouble) -> Diagnosis | None:
    """`x = y conv(64, kernel=3)`: a call was taken for a clause with a value in parentheses."""
    tokens, head = trouble.tokens, trouble.head
    if trouble.found != "=" or not trouble.in_bracket or trouble.openers[-1] != head + 1:
        return None
    if not trouble.is_kind(head, "NAME") or tokens.ends[head] != tokens.starts[head + 1]:
        return None
    if stands_in_variant(trouble):
        return pass_without_apply(tokens.span(head), tokens.text(head)), None
    return lone_call(tokens.span(head), trouble.found, tokens.text(head)), None


def stands_in_variant(trouble: Trouble) -> bool:
    """Whether the statement is one of a variant, whose passes stand behind `apply`."""
    braces = [opener for opener in trouble.openers if trouble.is_kind(opener, "LBRACE")]
    if not braces:
        return False
    tokens = trouble.tokens
    return tokens.text(tokens.first_on_line(braces[-1])) == "variant"


def find_open_list(trouble: Trouble) -> Diagnosis | None:
    """`f([x, y, axis=1)`: the list is not closed before the next argument of the call."""
    tokens, index = trouble.tokens, trouble.index
    openers = trouble.openers
    if trouble.found != "=" or len(openers) < 2 or tokens.text(openers[-1]) != "[":
        return None
    if tokens.text(openers[-2]) != "(" or not trouble.is_kind(index - 2, "COMMA"):
        return None
    depth = 0
    for later in range(index, len(tokens.kinds) - 1):
        if trouble.is_kind(later, "LPAR", "LSQB", "LBRACE"):
            depth += 1
        elif trouble.is_kind(later, *CLOSING):
            depth -= 1
        if depth < 0:
            if not trouble.is_kind(later, "RPAR"):
                return None
            place = Span(tokens.source, tokens.ends[index - 3], tokens.ends[index - 3])
            return name_unclosed(trouble, place, openers[-1]), None
    return None


def report_unclosed(trouble: Trouble, opener: int, closers: tuple[int, ...]) -> Diagnosis:
    """A bracket is not closed before the token found."""
    return name_unclosed(trouble, trouble.place, opener), keep_if_read(trouble, *closers)


def name_unclosed(trouble: Trouble, place: Span, opener: int) -> Message:
    """The message about an open bracket."""
    return unclosed_bracket(place, trouble.tokens.span(opener), trouble.name(opener))


def blame_brace(trouble: Trouble) -> int:
    """The brace that lacks its partner, as far as indentation tells: else the innermost one."""
    tokens = trouble.tokens
    open_braces: list[int] = []
    for index in range(trouble.index):
        if trouble.is_kind(index, "LBRACE"):
            open_braces.append(index)
        elif trouble.is_kind(index, "RBRACE") and open_braces:
            opener = open_braces.pop()
            margin = tokens.column(tokens.first_on_line(opener))
            if tokens.fresh[index] and tokens.column(index) < margin:
                return opener
    return open_braces[-1] if open_braces else trouble.openers[-1]


def find_item_in_body(trouble: Trouble) -> Diagnosis | None:
    """An item begins where a body is still open: a brace is missing, or the item is misplaced."""
    tokens, word = trouble.tokens, trouble.index - 1
    if not trouble.in_body or not trouble.is_kind(word, *ITEM_WORDS):
        return None
    if not trouble.is_kind(trouble.index, *NAMES, "STRING"):
        return None
    braces = [opener for opener in trouble.openers if trouble.is_kind(opener, "LBRACE")]
    margin = tokens.column(tokens.first_on_line(braces[0]))
    if tokens.fresh[word] and tokens.column(word) <= margin:
        end = tokens.place(word)
        closers = (trouble.kinds["RBRACE"],) * len(braces)
        return name_unclosed(trouble, end, blame_brace(trouble)), Edit(0, closers, word)
    if word != trouble.head:
        return None
    drops_let = Edit(1, (), word) if trouble.is_kind(word, "LET") else None
    return nested_item(tokens.span(word), trouble.found, tokens.text(word)), drops_let


# --- values -------------------------------------------------------------------------------------


def find_broken_number(trouble: Trouble) -> Diagnosis | None:
    """A number with half a point, or set apart from its unit."""
    tokens, index = trouble.tokens, trouble.index
    found, head = trouble.found, tokens.text(trouble.head)
    if found == "." and trouble.is_kind(index + 1, "NUMBER"):
        place = tokens.span(index).to(tokens.span(index + 1))
        return half_number(place, found, head), keep_if_read(trouble, drop=1)
    if index < 2:
        return None
    before = tokens.text(index - 1)
    if trouble.is_kind(index - 2, "NUMBER"):
        if before == ".":
            return half_number(tokens.span(index - 2).to(tokens.span(index - 1)), found, head), None
        if before == "%" or (trouble.head == index - 1 and before in UNITS):
            drop = Edit(1, (), index - 1) if trouble.head == index - 1 else None
            return spaced_unit(tokens.span(index - 1), found, head, before), drop
    if found in UNITS and trouble.is_kind(index - 1, "NUMBER"):
        message = spaced_unit(tokens.span(index), found, head, found)
        return message, keep_if_read(trouble, drop=1)
    return None


def find_item_word(trouble: Trouble) -> Diagnosis | None:
    """`varient tiny of M {`: a statement at file level that begins with a word like an item's."""
    tokens, head = trouble.tokens, trouble.head
    begins = not trouble.in_body and head < trouble.index and trouble.is_kind(head, "NAME")
    if not begins or not trouble.is_kind(head + 1, *NAMES):
        return None
    word = tokens.text(head)
    near = did_you_mean(word, FILE_WORDS)
    if near is None or near.upper() not in ITEM_WORDS:
        return None
    message = unknown_clause(tokens.span(head), word, "a file", FILE_WORDS, near)
    return message, Edit(1, (trouble.table.words[near],), head)


def find_lone_word(trouble: Trouble) -> Diagnosis | None:
    """A statement that is one word."""
    tokens, head = trouble.tokens, trouble.head
    ends = trouble.at_end or tokens.fresh[trouble.index] or trouble.found == "}"
    if head != trouble.index - 1 or not trouble.is_kind(head, "NAME") or not ends:
        return None
    message = lone_word(tokens.span(head), trouble.found, tokens.text(head))
    if stands_in_variant(trouble):
        message = pass_without_apply(tokens.span(head), tokens.text(head))
    return message, Edit(1, (), head)


def find_missing_value(trouble: Trouble) -> Diagnosis | None:
    """Nothing, or the next statement, stands where a value is due."""
    tokens, index = trouble.tokens, trouble.index
    head = tokens.text(trouble.head)
    after_word = index - 1 == trouble.head and trouble.is_kind(index - 1, "NAME")
    if not index or not (after_word or trouble.is_kind(index - 1, *NEEDS_VALUE)):
        return None
    if not trouble.accepts(trouble.kinds["NUMBER"]) or found_anew(trouble):
        return None
    if is_reserved(trouble) and not tokens.fresh[index] and find_reserved_word(trouble):
        return None
    message = missing_value(trouble.place, trouble.found, head, tokens.text(index - 1))
    return message, keep_if_read(trouble, trouble.kinds["NAME"])


def found_anew(trouble: Trouble) -> bool:
    """Whether the token after a clause's word could only belong to a binding: `a.b = 3`, `a) `."""
    after_word = trouble.index - 1 == trouble.head and trouble.is_kind(trouble.head, "NAME")
    return after_word and trouble.is_kind(trouble.index, "DOT", *CLOSING)


# --- words and commas ---------------------------------------------------------------------------


def find_apart_keyword(trouble: Trouble) -> Diagnosis | None:
    """`split random(seed=0) train=80%, val=20%`: a keyword that reads as a statement."""
    tokens, head = trouble.tokens, trouble.head
    goes_on = not tokens.fresh[head] and not trouble.is_kind(head - 1, "LBRACE")
    if goes_on and trouble.is_kind(head + 1, "EQUAL") and trouble.found in (",", "{"):
        return missing_comma(tokens.span(head), tokens.text(head), tokens.text(head)), None
    return None


def find_missing_comma(trouble: Trouble) -> Diagnosis | None:
    """Two elements side by side."""
    tokens, index = trouble.tokens, trouble.index
    if not trouble.in_bracket or not trouble.is_kind(index, *STARTS_VALUE):
        return None
    comma = trouble.kinds["COMMA"]
    if not trouble.is_kind(index - 1, *ENDS_VALUE) or not trouble.accepts(comma):
        return None
    message = missing_comma(trouble.place, trouble.found, tokens.text(trouble.head))
    return message, keep_if_read(trouble, comma)


def find_reserved_word(trouble: Trouble) -> Diagnosis | None:
    """A reserved word where a name is due."""
    name = trouble.kinds["NAME"]
    tokens, index = trouble.tokens, trouble.index
    if not is_reserved(trouble) or not trouble.reads(name, drop=1):
        return None
    begins = trouble.head == index and not trouble.is_kind(index + 1, "EQUAL")
    if begins or (trouble.is_kind(index - 1, *ENDS_VALUE) and not tokens.fresh[index]):
        return None
    message = reserved_word(tokens.span(index), trouble.found, tokens.text(trouble.head))
    return message, Edit(1, (name,))


def is_reserved(trouble: Trouble) -> bool:
    """Whether the token found is a word that can never be a name."""
    return trouble.found in trouble.table.words and not trouble.is_kind(trouble.index, *NAMES)


def find_missing_link(trouble: Trouble) -> Diagnosis | None:
    """A word or symbol such as `then`, `of` or `{` is missing between two parts."""
    ends_value = trouble.accepts(trouble.kinds["PLUS"])
    for name in LINKS:
        kind = trouble.kinds[name]
        is_name = name in NAMES and trouble.accepts(trouble.kinds["NAME"])
        if is_name or not trouble.accepts(kind) or trouble.accepts(trouble.kinds["NUMBER"]):
            continue
        if ends_value and not (
            name in ("THEN", "ELSE") or (name == "LBRACE" and trouble.reads(kind))
        ):
            continue
        head, missing = trouble.tokens.text(trouble.head), trouble.table.texts[kind]
        message = missing_symbol(trouble.place, trouble.found, head, missing)
        belongs = name == "LBRACE" or not trouble.tokens.fresh[trouble.index]
        return message, keep_if_read(trouble, kind) if belongs else None
    return None


def find_missing_name(trouble: Trouble) -> Diagnosis | None:
    """A name is due, and nothing else would do."""
    name = trouble.kinds["NAME"]
    if not trouble.accepts(name) or trouble.accepts(trouble.kinds["NUMBER"]):
        return None
    if trouble.accepts(trouble.kinds["IF"]) or trouble.accepts(trouble.kinds["$END"]):
        return None
    message = missing_name(trouble.place, trouble.found, trouble.tokens.text(trouble.head))
    return message, keep_if_read(trouble, name)


# --- the rest -----------------------------------------------------------------------------------


def report_unexpected(trouble: Trouble) -> Diagnosis:
    """Nothing fits: say what was found and what could have stood there."""
    head = trouble.tokens.text(trouble.head)
    message = unexpected_token(trouble.place, trouble.found, head, describe_expected(trouble))
    return message, keep_if_read(trouble, drop=1)


def describe_expected(trouble: Trouble) -> str:
    """What could stand here, in words."""
    accepted = {
        trouble.table.symbols[kind]
        for kind in trouble.table.rows[trouble.automaton.states[-1]]
        if kind < trouble.table.terminals and trouble.accepts(kind)
    }
    parts = []
    if "NUMBER" in accepted:
        parts.append("a value")
    elif "RETURN" in accepted:
        parts.append("a statement")
    elif "PLUS" in accepted:
        parts.append("an operator")
    elif "NAME" in accepted:
        parts.append("a name")
    if "NUMBER" not in accepted and "STRING" in accepted:
        parts.append("a string")
    if "NAME" in accepted:
        accepted -= {"OF", "ON"}
    for name in ("COMMA", "RPAR", "RSQB", "LBRACE", "RBRACE", "EQUAL", "COLON", "OF", "ON", "AS"):
        if name in accepted:
            parts.append(f"`{trouble.table.texts[trouble.kinds[name]]}`")
    return join_words(parts[:4])


def join_words(parts: list[str]) -> str:
    """`a, b or c`."""
    return " or ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def keep_if_read(trouble: Trouble, *insert: int, drop: int = 0) -> Edit | None:
    """An edit, if the text can be read on after it."""
    return Edit(drop, insert) if trouble.reads(*insert, drop=drop) else None


RULES = (
    find_foreign_word,
    find_item_word,
    find_wrong_closer,
    find_open_bracket,
    find_next_statement,
    find_lone_call,
    find_open_list,
    find_item_in_body,
    find_broken_number,
    find_apart_keyword,
    find_example,
    find_lone_word,
    find_missing_value,
    find_missing_comma,
    find_reserved_word,
    find_missing_link,
    find_missing_name,
)
"""Tried in this order: what is surely meant comes before what is only likely."""
