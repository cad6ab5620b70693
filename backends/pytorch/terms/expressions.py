"""Trees -> documents, with brackets where Python's precedence needs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from backends.pytorch.terms.document import Doc, Group, flat
from backends.pytorch.terms.setting import Callee
from backends.pytorch.terms.terms import (
    NOTHING,
    Form,
    Hole,
    Many,
    Part,
    Tree,
    rebuild,
    same_value,
)
from compiler.ir.hint import (
    Hint,
    HintBinary,
    HintCall,
    HintChoose,
    HintConst,
    HintItem,
    HintList,
    HintName,
    HintUnary,
    hint_text,
    python_function,
)
from compiler.vocabulary.no_default import NO_DEFAULT
from compiler.writing.python import write_literal, write_string

_LEVELS = (
    ("or",),
    ("and",),
    ("not",),
    ("==", "!=", "<", "<=", ">", ">=", "is", "is not"),
    ("|",),
    ("^",),
    ("&",),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "//", "%", "@"),
    ("unary",),
    ("**",),
)
LEVEL = {sign: level for level, signs in enumerate(_LEVELS, 1) for sign in signs}
ATOM = len(_LEVELS) + 1
LOOSEST = 0

Attribute = Callable[[str], str]
"""Writes the path of a module or parameter below self."""


def literal(value: object) -> Tree:
    """A value as a tree."""
    return Tree(Form.LITERAL, write_literal(value))


def hint_tree(hint: Hint, read: Callable[[str], Part]) -> Part:
    """A hint as a tree; `read` says what each name is here."""
    match hint:
        case HintConst(value):
            return literal(value)
        case HintName(label):
            return read(label)
        case HintUnary(sign, operand):
            return Tree(Form.PREFIX, sign, (hint_tree(operand, read),))
        case HintBinary("==" | "!=" as sign, left, HintConst(None)):
            word = "is" if sign == "==" else "is not"
            return Tree(Form.INFIX, word, (hint_tree(left, read), hint_tree(HintConst(None), read)))
        case HintBinary(sign, left, right):
            return Tree(Form.INFIX, sign, (hint_tree(left, read), hint_tree(right, read)))
        case HintChoose(condition, then, otherwise):
            parts = tuple(hint_tree(h, read) for h in (condition, then, otherwise))
            return Tree(Form.CHOOSE, "", parts)
        case HintCall(function, arguments):
            given = tuple(hint_tree(h, read) for h in arguments)
            if function not in ITERATING:
                given = tuple(map(_as_list, given))
            return Tree(Form.CALL, "", (Tree(Form.NAME, python_function(function)), *given))
        case HintItem(items, HintCall("slice", bounds)):
            parts = tuple(NOTHING if b == HintConst(None) else hint_tree(b, read) for b in bounds)
            cut = Tree(Form.SLICE, "", (*parts, *[NOTHING] * (3 - len(parts))))
            return Tree(Form.INDEX, "", (_as_list(hint_tree(items, read)), cut))
        case HintItem(items, index):
            found = _as_list(hint_tree(items, read))
            return Tree(Form.INDEX, "", (found, hint_tree(index, read)))
        case HintList(items):
            return Tree(Form.LIST, "", tuple(hint_tree(h, read) for h in items))
    raise AssertionError(f"{hint_text(hint)} is no expression of code")


ITERATING = ("enumerate", "zip")
"""Functions that go through what they are given once, and need no list."""


def _as_list(part: Part) -> Part:
    """What is read more than once, or by an index: `widths[::-1]`, where `reversed(widths)` is
    gone through once."""
    match part:
        case Tree(Form.CALL, "", (Tree(Form.NAME, "reversed"), items)):
            backwards = Tree(Form.SLICE, "", (NOTHING, NOTHING, literal(-1)))
            return Tree(Form.INDEX, "", (items, backwards))
    return part


def resolve(part: Part, read: Callable[[str], Part]) -> Part:
    """The tree with every variable replaced by its solution or literal, and without keywords
    that stand at their default."""
    if isinstance(part, Tree) and part.keys and part.form in (Form.CALL, Form.METHOD):
        part = _drop_defaults(part)
    if isinstance(part, Tree) and part.parts:
        parts = tuple(resolve(child, read) for child in part.parts)
        given = map(_as_list, parts) if part.form is Form.BUILD else parts
        return replace(part, parts=tuple(given))
    match part:
        case Many(solution=None):
            return literal(part.literal)
        case Many(solution=solution):
            assert solution is not None
            return solution if isinstance(solution, Tree) else hint_tree(solution, read)
        case Hole(value):
            return literal(value)
    return part


def _drop_defaults(tree: Tree) -> Tree:
    first = len(tree.parts) - len(tree.keys)
    kept = [
        (key, part)
        for key, part in zip(tree.keys, tree.parts[first:], strict=True)
        if not _is_default(part)
    ]
    parts = (*tree.parts[:first], *(part for _, part in kept))
    return replace(tree, parts=parts, keys=tuple(key for key, _ in kept))


def _is_default(part: Part) -> bool:
    match part:
        case Many(solution=None, default=default) if default is not NO_DEFAULT:
            return same_value(part.literal, default)
        case Hole(value, _, default) if default is not NO_DEFAULT:
            return same_value(value, default)
    return False


def substitute(part: Part, trees: list[Part]) -> Part:
    """The tree with operands replaced."""

    def change(item: Part) -> Part:
        from_operand = getattr(item, "index", None)
        return item if from_operand is None else trees[from_operand]

    return rebuild(part, change)


# --- documents --------------------------------------------------------------------------------


class Expressions:
    """Writes trees; `attribute` says how a path below self is read."""

    def __init__(self, attribute: Attribute) -> None:
        self.attribute = attribute

    def text(self, tree: Part) -> str:
        """A tree on one line."""
        return flat(self.write(tree))

    def write(self, tree: Part, around: int = LOOSEST) -> Doc:
        """A tree as a document; `around` is how tightly what stands around it binds."""
        assert isinstance(tree, Tree), f"{tree} was not resolved"
        match tree.form:
            case Form.INFIX | Form.PREFIX | Form.CHOOSE:
                level, doc = self._operator(tree)
                return ("(", doc, ")") if level < around else doc
            case Form.NAME | Form.LITERAL:
                bare = tree.label[:1] == "-" and around > LEVEL["unary"]
                return f"({tree.label})" if bare else tree.label
            case Form.OWN:
                return self.attribute(tree.label)
            case Form.CALL:
                head = self.write(tree.parts[0], ATOM)
                return head, Group("(", self._arguments(tree, 1), ")")
            case Form.METHOD:
                owner = self._owner(tree.parts[0])
                return owner, f".{tree.label}", Group("(", self._arguments(tree, 1), ")")
            case Form.ATTRIBUTE:
                return self._owner(tree.parts[0]), f".{tree.label}"
            case Form.INDEX:
                items = ", ".join(self.text(item) for item in tree.parts[1:])
                return self.write(tree.parts[0], ATOM), f"[{items}]"
            case Form.SLICE:
                return self._slice(tree)
            case Form.BUILD:
                return self._build(tree)
            case Form.LIST:
                return self._display("[", tree.parts, "]")
            case Form.TUPLE:
                return self._display("(", tree.parts, ")")
            case Form.STAR:
                return "*", self.write(tree.parts[0], ATOM)
            case Form.DICT:
                rows = zip(tree.keys, tree.parts, strict=True)
                pairs = tuple((f"{write_string(key)}: ", self.write(part)) for key, part in rows)
                return Group("{", pairs, "}", display=True)
            case Form.EACH:
                each = self._comprehension(tree)
                return each if tree.keys else ("*", each)
        raise AssertionError(f"{tree.form} is no expression")

    def _owner(self, tree: Part) -> Doc:
        """What stands before a dot: a number needs brackets there."""
        doc = self.write(tree, ATOM)
        return ("(", doc, ")") if isinstance(doc, str) and doc[:1].isdigit() else doc

    def _operator(self, tree: Tree) -> tuple[int, Doc]:
        parts = tree.parts
        if tree.form is Form.CHOOSE:
            condition, then, otherwise = (self.write(p, 1) for p in parts)
            return LOOSEST, (then, " if ", condition, " else ", otherwise)
        if tree.form is Form.PREFIX:
            level = LEVEL["not" if tree.label == "not" else "unary"]
            sign = "not " if tree.label == "not" else tree.label
            return level, (sign, self.write(parts[0], level))
        level = LEVEL[tree.label]
        power = tree.label == "**"
        left = self.write(parts[0], level + 1 if power or level == LEVEL["=="] else level)
        right = self.write(parts[1], LEVEL["unary"] if power else level + 1)
        # ruff writes `x**2` without spaces where both sides are simple
        tight = power and all(_is_simple(p) for p in parts)
        return level, (left, tree.label if tight else f" {tree.label} ", right)

    def _arguments(self, tree: Tree, first: int) -> tuple[Doc, ...]:
        keyed = len(tree.parts) - len(tree.keys)
        given = [self.write(part) for part in tree.parts[first:keyed]]
        for key, part in zip(tree.keys, tree.parts[keyed:], strict=True):
            given.append((f"{key}=", self.write(part)))
        return tuple(given)

    def _slice(self, tree: Tree) -> str:
        bounds = [p for p in tree.parts if isinstance(p, Tree)]
        texts = ["" if p.form is Form.NOTHING else self.text(p) for p in bounds]
        shown = texts if texts[2] else texts[:2]
        # ruff puts spaces around the colon where a bound is more than a name or number
        plain = all(p.form is Form.NOTHING or _is_simple(p) for p in bounds)
        plain = plain and not any("." in text for text in texts if not text[:1].isdigit())
        if plain:
            return ":".join(shown)
        start, stop, *step = shown
        text = f"{start} :" if start else ":"
        text += f" {stop}" if stop else ""
        return text + (f" : {step[0]}" if step else "")

    def _display(self, opening: str, parts: tuple[Part, ...], closing: str) -> Doc:
        match parts:
            case (Tree(Form.EACH) as only,) if opening == "[":
                return self._comprehension(only)
        items = tuple(self.write(part) for part in parts)
        return Group(opening, items, closing, display=True)

    def _comprehension(self, tree: Tree) -> Group:
        body, rows = map(self.write, tree.parts)
        if tree.keys:
            pair = (f"{tree.keys[0]}: ", body)
            return Group("{", (pair, (f"for {tree.label} in ", rows)), "}", comma=False)
        return Group("[", (body, (f"for {tree.label} in ", rows)), "]", comma=False)

    def _build(self, tree: Tree) -> Doc:
        """A call of a generated class: required arguments of the spec by position, the rest by
        name and only where they differ from the default."""
        target = tree.target
        assert isinstance(target, Callee)
        first = len(tree.parts) - len(tree.keys)
        given: list[Doc] = [self.write(part) for part in tree.parts[:first]]
        settings = {s.name: s for s in target.settings}
        rows = list(zip(tree.keys, tree.parts[first:], strict=True))
        for key, part in rows:
            if settings[key].default is NO_DEFAULT and not settings[key].fresh:
                given.append(self.write(part))
        rest = [(k, p) for k, p in rows if settings[k].default is not NO_DEFAULT]
        rest += [(k, p) for k, p in rows if settings[k].default is NO_DEFAULT and settings[k].fresh]
        for key, part in rest:
            default = settings[key].default
            if default is NO_DEFAULT or part != literal(default):
                given.append((f"{settings[key].label}=", self.write(part)))
        return target.name, Group("(", tuple(given), ")")


def _is_simple(part: Part) -> bool:
    """What ruff counts as a simple operand of `**` and of a slice: a name, a number, a chain of
    attributes, or the negative of one."""
    match part:
        case Tree(Form.NAME | Form.LITERAL | Form.OWN):
            return True
        case Tree(Form.ATTRIBUTE, _, (owner,)) | Tree(Form.PREFIX, "-", (owner,)):
            return _is_simple(owner)
    return False
