"""Clauses: the words that a statement in the body of an item begins with, each declared once.

A clause of an item stands at the field of the typed program that it fills; one of a body of code
(`input`, `param`, `assert`) at the function that runs it. Tables of words, suggestions, the manual,
the reference and the keys of builds are derived from these declarations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar

from compiler.records import dataclass
from compiler.types.tensor import DType

C = TypeVar("C", bound=type)
R = TypeVar("R", bound=Callable[..., None])


@dataclass(frozen=True)
class Whole:
    """A whole number from `least` to `most`, which may have one of these units; has one where it
    cannot be `bare`."""

    least: int
    most: int | None = None
    units: tuple[str, ...] = ()
    bare: bool = True

    @property
    def text(self) -> str:
        """In words."""
        if not self.bare:
            return f"a whole number of {self.units[-1]}, {self.least} or above"
        return f"a whole number, {self.least} or above"


@dataclass(frozen=True)
class Positive:
    """A number above 0."""

    text: ClassVar[str] = "a number above 0"


@dataclass(frozen=True)
class Choice:
    """One of a few strings."""

    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """In words."""
        return join_words([f'"{word}"' for word in self.words])


@dataclass(frozen=True)
class WordChoice:
    """One of a few things that are called by bare words: `ddp`."""

    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """In words."""
        return join_words(self.words)


@dataclass(frozen=True)
class Flag:
    """`true` or `false`."""

    text: ClassVar[str] = "true or false"


@dataclass(frozen=True)
class DTypeChoice:
    """One of a few dtypes, kept by its name, or of words that stand beside them: no tensor is
    `tf32`, which is how some are multiplied."""

    dtypes: tuple[DType, ...]
    words: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """In words."""
        return join_words([*(dtype.value for dtype in self.dtypes), *self.words])


def join_words(words: Sequence[str], link: str = "or") -> str:
    """`a, b or c`."""
    return f" {link} ".join(filter(None, (", ".join(words[:-1]), words[-1])))


Setting = Whole | Positive | Choice | WordChoice | DTypeChoice | Flag
"""What the only value of a simple clause may be."""


@dataclass(frozen=True)
class ClauseWord:
    """One clause: an example of it, and what it says.

    One that does not repeat stands once at most, a required one once. `setting` reads the value of
    a simple clause; another has code of its own. One that is `later` is refused in this version,
    and `doc` says what it will do.
    """

    word: str
    form: str
    doc: str
    required: bool = False
    repeats: bool = False
    later: bool = False
    setting: Setting | None = None
    field: str = ""
    """The field of the typed program that it fills."""
    run: Callable[..., None] | None = None
    """What runs it in a body of code."""

    @property
    def manual(self) -> str:
        """What it says, in sentences."""
        if self.later:
            return f"Will {self.doc}; this version of Weft refuses it."
        parts = [f"{self.doc[0].upper()}{self.doc[1:]}."]
        if self.setting is not None:
            parts.append(f"It takes {self.setting.text}.")
        if self.required:
            parts.append("It is required.")
        if self.repeats and self.field:
            parts.append("It may stand more than once.")
        return " ".join(parts)


class ClauseHome:
    """A kind of item or body, what messages call it ("a train"), and its clauses."""

    every: ClassVar[dict[str, ClauseHome]] = {}

    def __init__(self, kind: str, place: str) -> None:
        self.kind = kind
        self.place = place
        self._ranks: dict[str, int] = {}
        self._clauses: dict[str, ClauseWord] = {}
        ClauseHome.every[kind] = self

    @property
    def clauses(self) -> dict[str, ClauseWord]:
        """What can be written, by word: the item's own clauses first, those of many bodies last."""
        words = [c for c in self._clauses.values() if not c.later]
        return {c.word: c for c in sorted(words, key=lambda c: self._ranks[c.word])}

    @property
    def later_clauses(self) -> dict[str, ClauseWord]:
        """What a later version brings, by word."""
        return {word: clause for word, clause in self._clauses.items() if clause.later}

    def add(self, clause: ClauseWord, rank: int = 0) -> None:
        """Adds a clause; lower ranks come first."""
        if clause.word in self._clauses:
            raise ValueError(f"{self.kind} has two clauses {clause.word}")
        self._clauses[clause.word] = clause
        self._ranks[clause.word] = rank

    def add_later(self, **purposes: str) -> None:
        """Adds words that are refused in this version, each with what it will do."""
        for word, purpose in purposes.items():
            self.add(ClauseWord(word, "", purpose, later=True))

    def fills(self, cls: C) -> C:
        """Class decorator: adds the clauses at the fields of a typed item."""
        for clause in read_clauses(cls):
            self.add(clause)
        return cls


BLOCK = ClauseHome("block", "a block")
MODEL = ClauseHome("model", "a model")
SCAN = ClauseHome("scan", "a scan")
DATA = ClauseHome("data", "a data item")
TRAIN = ClauseHome("train", "a train")
STEP = ClauseHome("step", "a step")
VARIANT = ClauseHome("variant", "a variant")
DEPLOY = ClauseHome("deploy", "a deployment")
SWEEP = ClauseHome("sweep", "a sweep")

DATA.add_later(
    pad="bring rows of varying length to one",
)
DEPLOY.add_later(weights="choose the dtype of stored weights")


def clause(
    form: str,
    doc: str,
    setting: Setting | None = None,
    *,
    default: object = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
    repeats: bool = False,
) -> Any:
    """A field of a typed item that a clause fills; without a default, the clause is required."""
    required = default is default_factory is dataclasses.MISSING
    made = ClauseWord(form.split()[0], form, doc, required, repeats, setting=setting)
    options: Any = {"default": default, "default_factory": default_factory}
    return dataclasses.field(kw_only=True, metadata={"clause": made}, **options)


def find_said(home: ClauseHome, item: object) -> Iterator[tuple[ClauseWord, Any]]:
    """The clauses of a typed item that say another thing than their defaults, and their values."""
    defaults = {field.name: field.default for field in dataclasses.fields(item)}  # type: ignore[arg-type]
    for word in home.clauses.values():
        value = getattr(item, word.field) if word.field else None
        if word.field and value != defaults[word.field]:
            yield word, value


def read_clauses(cls: type) -> Iterator[ClauseWord]:
    """The clauses at the fields of a typed item."""
    for field in dataclasses.fields(cls):
        if "clause" in field.metadata:
            yield dataclasses.replace(field.metadata["clause"], field=field.name)


def runs(form: str, doc: str, *homes: ClauseHome) -> Callable[[R], R]:
    """Decorator of a function that runs a clause in bodies of these kinds."""

    def register(run: R) -> R:
        for home in homes:
            made = ClauseWord(form.split()[0], form, doc, repeats=True, run=run)
            home.add(made, rank=1 + (len(homes) > 1))
        return run

    return register


def find_homes(word: str) -> list[ClauseHome]:
    """The kinds of items and bodies in which a word is a clause."""
    return [home for home in ClauseHome.every.values() if word in home.clauses]


def find_later(word: str) -> str | None:
    """What a clause of a later version will do; None where the word is none."""
    homes = ClauseHome.every.values()
    found = (home.later_clauses.get(word) for home in homes)
    return next((clause.doc for clause in found if clause is not None), None)
