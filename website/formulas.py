"""Formulas of the manual: from the plain text of a docstring, `y = 1 / (1 + exp(-x))`, to LaTeX."""

from __future__ import annotations

import re

GREEK = {
    "alpha": "\\alpha",
    "beta": "\\beta",
    "gamma": "\\gamma",
    "delta": "\\delta",
    "eps": "\\varepsilon",
    "theta": "\\theta",
    "lambd": "\\lambda",
    "mu": "\\mu",
    "pi": "\\pi",
    "rho": "\\rho",
}
FUNCTIONS = {"exp", "log", "ln", "max", "min", "tanh", "sin", "cos", "det", "arg", "cosh"}
"""Functions that have a command in LaTeX."""

RELATIONS = {
    "=": "=",
    "==": "=",
    "<": "<",
    ">": ">",
    "<=": "\\le",
    ">=": "\\ge",
    "!=": "\\ne",
    "≈": "\\approx",
    "<-": "\\leftarrow",
    "+=": "\\mathrel{+}=",
    "∈": "\\in",
    "~": "\\sim",
    "‖": "\\Vert",
}
POWERS = {"²": "2", "³": "3", "ᵀ": "\\top", "⁻¹": "-1"}
WORDS = {"where", "else", "or", "and", "if", "of", "from", "to", "mod", "kept", "with", "for", "is"}
WORDS |= {"correct", "labels", "probabilities", "not"}
"""Words that stand in formulas as words."""

_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<number>\d+(?:\.\d+)?(?:e[-+]?\d+)?)"
    r"|(?P<name>[A-Za-z][A-Za-z0-9_]*[\u0302\u0304]?'?|[\u0391-\u03a0\u03a4-\u03c9][\u0302]?[₀-₉]?|Σ[₀-₉])"
    r"|(?P<op>\*\*|//|==|<=|>=|!=|<-|\+=|⁻¹|\.\.\.|[-+*/@^=<>≈∈~²³ᵀ½√Σ∏∞…⌊⌋⌈⌉()\[\]{},;:|‖·_])"
)


_CODE = re.compile(
    r"->|\"|==|\bf32\b|\w=\S|^\[|\$|[A-Za-z]\.\w"  # pipes, strings, types, options, paths
    r"|^[a-z] (?!=)\S+ [a-z]$|^\w+, .* = \w+\("  # `a @ b`, `y, weights = attend(q, k, v)`
)
"""What pieces of code have that are no formulas."""


class NoFormula(Exception):
    """A text is no formula that is understood."""


def show_formulas(text: str) -> str:
    """A text whose formulas, in backquotes or on lines of their own, are LaTeX between `$`."""

    def write(match: re.Match[str]) -> str:
        formula = match[1].replace("\n", " ")
        latex = write_latex(formula)
        return f"${latex}$" if latex is not None and is_formula(formula) else match[0]

    lines = re.sub(r"(?:^    .*\n?)+", _write_block, text, flags=re.MULTILINE)
    return re.sub(r"(?<!`)`([^`]+)`", write, lines)


def find_formulas(text: str) -> list[str]:
    """The formulas of a text."""
    spans = [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", text)]
    lines = [line.strip() for line in re.findall(r"^    .*$", text, re.MULTILINE)]
    return [f for f in (*spans, *lines) if is_formula(f) and write_latex(f) is not None]


def is_formula(text: str) -> bool:
    """Whether a piece of code says how something is computed: a call, a type or a path does not."""
    if _CODE.search(text):
        return False
    return re.search(r" [-+*/=@^]=? |[²³√Σᵀ|‖^]|<-|\*\*", text) is not None


def _write_block(match: re.Match[str]) -> str:
    """Lines of formulas, each by itself; code as it is."""
    rows = [re.split(r"\s{3,}", line.strip()) for line in match[0].rstrip("\n").split("\n")]
    found = [[_write_part(part) for part in row] for row in rows]
    if any(part is None for row in found for part in row):
        return match[0]
    joined = (r" \qquad ".join(filter(None, row)) for row in found)
    return "\n" + "\n\n".join(f"$${row}$$" for row in joined) + "\n\n"


def _write_part(text: str) -> str | None:
    """A formula, or a remark in brackets behind it."""
    return rf"\text{{{text}}}" if re.fullmatch(r"\([^()]*\"[^()]*\)", text) else write_latex(text)


def write_latex(text: str) -> str | None:
    """The LaTeX of a formula; None of a text that is none."""
    try:
        return _Formula(text).read_whole()
    except NoFormula:
        return None


class _Formula:
    """Reads a formula from the loosest operator to the tightest; every method gives LaTeX."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str, bool]] = []
        position, spaced = 0, False
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise NoFormula
            if match.lastgroup != "space":
                self.tokens.append((str(match.lastgroup), match[0], spaced))
            spaced = match.lastgroup == "space"
            position = match.end()
        self.at = 0

    @property
    def next(self) -> str:
        """The text of the next token; empty at the end."""
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    @property
    def kind(self) -> str:
        """What the next token is."""
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    @property
    def apart(self) -> bool:
        """Whether there is a space before the next token."""
        return self.at < len(self.tokens) and self.tokens[self.at][2]

    @property
    def follows_apart(self) -> bool:
        """Whether there is a space behind the next token."""
        return self.at + 1 < len(self.tokens) and self.tokens[self.at + 1][2]

    def take(self, *expected: str) -> str:
        """The next token, which has to be one of these, if any are given."""
        found = self.next
        if not found or (expected and found not in expected):
            raise NoFormula
        self.at += 1
        return found

    def read_whole(self) -> str:
        found = self.read_sequence()
        if self.next:
            raise NoFormula
        return found

    def read_sequence(self) -> str:
        """Relations with commas between them; a place of an index may be empty or `:`."""
        parts = []
        while self.next and self.next not in ")]}":
            if self.next in (",", ";", ":"):
                parts.append({",": ",\\;", ";": ";\\quad ", ":": ":\\;"}[self.take()])
            else:
                parts.append(self.read_relation())
        return "".join(parts)

    def read_relation(self) -> str:
        parts = []
        while True:
            if self.next in WORDS:
                parts.append(rf"\text{{ {self.take()} }}")
            elif self.next in RELATIONS and (self.next != "‖" or self.follows_apart):
                parts.append(f" {RELATIONS[self.take()]} ")
            elif (
                (parts and not parts[-1].startswith((" ", "\\text{ ")))
                or not self.next
                or self.next in ")]},;:"
            ):
                return "".join(parts)
            else:
                parts.append(self.read_sum())

    def read_sum(self) -> str:
        parts = [self.take()] if self.next in ("-", "+") else []
        parts.append(self.read_product())
        while self.next in ("+", "-") and self.apart:
            parts += [f" {self.take()} ", self.read_product()]
        return "".join(parts)

    def read_product(self) -> str:
        parts = [self.read_factors()]
        while self.next in ("*", "/", "//", "@"):
            operator = self.take()
            other = self.read_factors()
            if operator == "/":
                parts[-1] = rf"\frac{{{_strip(parts[-1])}}}{{{_strip(other)}}}"
            elif operator == "//":
                parts = [rf"\lfloor {''.join(parts)} / {other} \rfloor"]
            else:
                parts += [r" \, " if operator == "@" else r" \cdot ", other]
        return "".join(parts)

    def read_factors(self) -> str:
        """Factors that stand side by side."""
        found = self.read_power()
        while self._starts_factor() or (self.next == "·" and not self.apart):
            tight = found.endswith(" ") or (self.next == "(" and not self.apart)
            between = "" if tight else r" \, "
            if self.next == "·":
                self.take()
                between = r" \cdot "
            found = f"{found}{between}{self.read_power()}"
        return found

    def _starts_factor(self) -> bool:
        if self.kind in ("name", "number"):
            return self.next not in WORDS
        if self.next in ("|", "‖"):
            return self.apart and not self.follows_apart
        return self.next != "" and self.next in "(½√Σ∏…⌊⌈"

    def read_power(self) -> str:
        """A factor with what stands at it: powers, places, an index."""
        found = self.read_factor()
        while True:
            if self.next in POWERS:
                found += f"^{{{POWERS[self.take()]}}}"
            elif self.next in ("**", "^"):
                self.take()
                sign = self.take() if self.next == "-" else ""
                found += f"^{{{sign}{_strip(self.read_factor())}}}"
            elif self.next == "[" and not self.apart:
                self.take()
                found += f"[{self.read_sequence()}{self.take(']')}"
            elif self.next == "_" and not self.apart:
                found += self.read_below()
            else:
                return found

    def read_factor(self) -> str:
        kind, mark = self.kind, self.take()
        if kind == "number":
            return _write_number(mark)
        if kind == "name":
            return self.read_name(mark)
        if mark == "(":
            return self.read_bracket()
        if mark == "[":
            return f"[{self.read_sequence()}{self.take(']')}"
        if mark in _PAIRS:
            closing, left, right = _PAIRS[mark]
            inner = self.read_sum()
            self.take(closing)
            return f"{left} {inner} {right}"
        if mark == "√":
            return rf"\sqrt{{{_strip(self.read_power())}}}"
        if mark in _LARGE:
            below = self.read_below() if self.next == "_" else ""
            return f"{_LARGE[mark]}{below} {self.read_product()}"
        plain = {"½": r"\tfrac{1}{2}", "∞": r"\infty", "…": r"\ldots", "...": r"\ldots"}
        if mark not in plain:
            raise NoFormula
        return plain[mark]

    def read_bracket(self) -> str:
        """The rest of what stands in brackets, which are as high as what is in them."""
        inner = self.read_sequence()
        self.take(")")
        high = re.search(r"\\frac|\\sum|\\prod", inner) is not None
        return rf"\left({inner}\right)" if high else f"({inner})"

    def read_below(self) -> str:
        """What stands below: `_i`, `_{c, k}`."""
        self.take("_")
        if self.next == "{":
            self.take()
            return f"_{{{self.read_sequence()}{self.take('}')}"
        return f"_{{{_write_name(self.take())}}}"

    def read_name(self, name: str) -> str:
        if name.endswith("_") and self.next == "{":
            self.take()
            return f"{_write_name(name[:-1])}_{{{self.read_sequence()}{self.take('}')}"
        base, _, below = name.partition("_")
        function = base in FUNCTIONS or base in ("mean", "argmax", "argmin")
        if function and len(below) <= 1:
            shown = f"\\{base}" if base in FUNCTIONS else rf"\operatorname{{{base}}}"
            return f"{shown}_{{{below}}}" if below else self._read_call(shown)
        if self.next == "(" and not self.apart and len(name) > 1 and name.isascii():
            return self._read_call(name)
        return _write_name(name)

    def _read_call(self, name: str) -> str:
        power = f"^{{{POWERS[self.take()]}}}" if self.next in POWERS else ""
        word = "text" if "_" in name else "operatorname"
        shown = name if name.startswith("\\") else rf"\{word}{{{name}}}"
        if self.next != "(" or self.apart:
            return f"{shown}{power} "
        self.take()
        inner = self.read_bracket()
        if name in _CALLS:
            return _CALLS[name].replace("@", _strip(inner))
        return f"{shown}{power}{inner}"


_PAIRS = {
    "|": ("|", r"\lvert", r"\rvert"),
    "‖": ("‖", r"\lVert", r"\rVert"),
    "⌊": ("⌋", r"\lfloor", r"\rfloor"),
    "⌈": ("⌉", r"\lceil", r"\rceil"),
}
"""What closes a bracket, and both in LaTeX."""

_LARGE = {"Σ": r"\sum", "∏": r"\prod"}

_CALLS = {
    "sqrt": r"\sqrt{@}",
    "abs": r"\lvert @ \rvert",
    "norm": r"\lVert @ \rVert",
    "log10": r"\log_{10}(@)",
}


def _write_number(text: str) -> str:
    digits, _, power = text.partition("e")
    if not power:
        return digits
    return f"10^{{{int(power)}}}" if digits == "1" else rf"{digits} \cdot 10^{{{int(power)}}}"


def _write_name(name: str) -> str:
    """A letter, a Greek one by its name, or a word; digits and a letter behind `_` stand below."""
    name = name.translate(_BELOW)
    match = re.fullmatch(
        r"(.+?)([\u0302\u0304]?)('?)(?:_?(\d+)|_(\w)|(?<=\b\w)_([a-z]{2,3}))?('?)", name
    )
    if match is None:
        raise NoFormula
    base = match[1]
    if base in GREEK:
        base = GREEK[base]
    elif len(base) > 1:
        base = rf"\text{{{base}}}"
    if match[2]:
        base = rf"\hat{{{base}}}" if match[2] == "\u0302" else rf"\bar{{{base}}}"
    below = match[4] or match[5] or match[6]
    return f"{base}{match[3]}{match[7]}" + (f"_{{{below}}}" if below else "")


_BELOW = {ord(digit): str(number) for number, digit in enumerate("₀₁₂₃₄₅₆₇₈₉")}


def _strip(text: str) -> str:
    """Without the brackets around the whole."""
    inner = re.fullmatch(r"(?:\\left)?\((.*?)(?:\\right)?\)", text)
    if inner is None:
        return text
    depth = 0
    for place, sign in enumerate(text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0 and sign == ")" and place < len(text) - 1:
            return text
    return inner[1]
