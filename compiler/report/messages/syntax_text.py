"""What goes wrong within numbers, strings and single characters."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.types.units import UNITS


@message("W1321", bad=f"let x = [{'1, ' * 60_000}1]\n", good="let x = [i for i in 0..60]\n")
def source_too_long(span: Span | None, limit: int, unit: str) -> Text:
    """A file is longer than a spec ever is. Numbers and texts by the thousand belong into data
    files, and layers that repeat into a loop or a block."""
    return Text(
        f"this file has more than {limit:,} {unit}",
        help="write what repeats as a loop or a block, and read tables from data files",
    )


@message("W0130", bad="let size = 40Kib\n", good="let size = 40KiB\n")
def unknown_unit(span: Span | None, unit: str) -> Text:
    """A number carries a unit that Weft does not know.

    Units are written without a space: `50%`, `40KiB`, `20MB`, `5ms`, `2h`, `3epochs`, `100steps`.
    """
    close = did_you_mean(unit, list(UNITS))
    units = f"the units are {', '.join(f'`{known}`' for known in UNITS)}"
    return Text(
        f"unknown unit `{unit}`",
        label="letters behind a number are its unit",
        help=f"did you mean `{close}`? {units}" if close else units,
    )


@message("W0131", bad="let keep = (50 %)\n", good="let keep = (50%)\n")
def spaced_unit(span: Span | None, found: str, head: str, unit: str) -> Text:
    """A unit is set apart from its number. It follows without a space: `50%`, `40KiB`."""
    return Text(
        f"`{unit}` is set apart from its number", label="a unit follows its number without a space"
    )


@message("W0132", bad="let mask = 0xFF\n", good="let mask = 255\n")
def unreadable_number(span: Span | None, reason: str) -> Text:
    """A number is written in a way Weft does not read.

    Numbers are decimal: `3`, `0.5`, `1e-4`, `20_000`. A point has digits on both sides, and no
    number has more digits than a 64-bit float can tell apart.
    """
    return Text("this number cannot be read", label=reason)


@message("W0133", bad="let rate = .5\n", good="let rate = 0.5\n")
def half_number(span: Span | None, found: str, head: str) -> Text:
    """The point of a number has digits on one side only: write `0.5`, not `.5`; `1.0`, not `1.`."""
    return Text("a point needs digits on both sides", label="write `0.5` for a half, `1.0` for one")


@message(
    "W0134",
    bad='block f(x) {\n    return x -> relu as "act\n}\n',
    good='block f(x) {\n    return x -> relu as "act"\n}\n',
)
def unterminated_string(span: Span | None) -> Text:
    """A string is not closed on the line where it begins."""
    return Text("this string is never closed", label='expected `"` on this line')


@message(
    "W0135",
    bad="block f(x) {\n    return x -> conv(8, kernel=3, padding='same')\n}\n",
    good='block f(x) {\n    return x -> conv(8, kernel=3, padding="same")\n}\n',
)
def single_quotes(span: Span | None) -> Text:
    """A string is in other quotation marks than `"`."""
    return Text("a string is in double quotes", label=f'write "{span.text[1:-1]}"' if span else "")


@message(
    "W0136",
    bad='block f(x) {\n    about """the same"""\n    return x\n}\n',
    good="## The same.\nblock f(x) {\n    return x\n}\n",
)
def triple_quotes(span: Span | None) -> Text:
    """A string over several lines. Strings end on their line; text about items begins `##`."""
    return Text(
        "there are no strings over several lines",
        label="documentation is written `## …` above an item, clause or parameter",
    )


@message("W0137", bad='let path = "data\\digits"\n', good='let path = "data/digits"\n')
def unknown_escape(span: Span | None) -> Text:
    """A backslash in a string is followed by something it does not go with.

    The escapes are `\\n`, `\\t`, `\\r`, `\\"`, `\\\\` and `\\u` with four hexadecimal digits.
    """
    return Text(
        f"unknown escape `{span.text if span else ''}`",
        label='known are `\\n`, `\\t`, `\\r`, `\\"`, `\\\\` and `\\u0041`',
        help="write `\\\\` for a backslash, and `/` between the folders of a path",
    )


@message("W0138", bad='let name = "layer{1"\n', good='let name = "layer{1}"\n')
def lone_brace(span: Span | None, brace: str) -> Text:
    """A brace in a string has no partner.

    Braces in a string hold an expression known when compiling: `"layer{i + 1}"`. A brace that is
    meant as text is doubled: `"{{"`.
    """
    return Text(
        f"`{brace}` has no partner in this string",
        label="braces in a string hold an expression",
        help=f"write `{brace * 2}` for the character itself",
    )


@message("W0139", bad='let name = "layer{}"\n', good='let name = "layer{1}"\n')
def empty_interpolation(span: Span | None) -> Text:
    """The braces of a string hold nothing."""
    return Text(
        "nothing is between the braces of this string",
        label="expected an expression",
        help="write `{{}}` for the characters themselves",
    )


@message(
    "W0140", bad="let x = `petal length\n", good="let `petal length` = 4\nlet x = `petal length`\n"
)
def unterminated_name(span: Span | None) -> Text:
    """A backquote is not followed by a name and a second backquote on its line."""
    return Text(
        "this name in backquotes is never closed",
        label="expected a name and a second backquote on this line",
    )


@message("W0141", bad="let price = $5\n", good="let price = 5\n")
def stray_character(span: Span | None, character: str) -> Text:
    """A character that nothing in Weft begins with."""
    if character.isprintable() and not character.isspace():
        title = f"stray character `{character}`"
    else:
        title = f"stray character U+{ord(character):04X}"
    return Text(title, label="nothing in Weft begins like this")
