"""The manual of the vocabulary, derived from its classes: signatures, entries, `docs/ops.md`."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import fill

from compiler.compression.base import COMPRESSION
from compiler.compression.devices import DEVICES
from compiler.compression.pruning.importance import IMPORTANCES
from compiler.compression.quantization.base import SCHEMES
from compiler.compression.registry import load_compression
from compiler.data.base import SOURCES
from compiler.data.registry import load_sources
from compiler.elaborate.items.item_elaborator import load_clauses
from compiler.elaborate.scopes.library import LibraryBlock, find_blocks
from compiler.ir.graph import Op
from compiler.ops.registry import OPS, load_ops
from compiler.training.base import METRICS, OPTIMIZERS, REGULARIZERS, SCHEDULES
from compiler.training.registry import load_training
from compiler.types.dims import Dim
from compiler.vocabulary.clauses import ClauseHome, ClauseWord, join_words
from compiler.vocabulary.initializers import INITIALIZERS
from compiler.vocabulary.net_functions import NET_FUNCTIONS
from compiler.vocabulary.signature import Described, Operand, Option, write_value

LABELS = ("Shapes:", "Cost:", "Example:", "Errors:", "Source:")
"""Words that begin a line of their own in an entry."""

TITLES = (
    (OPTIMIZERS, "Optimizers"),
    (SCHEDULES, "Schedules of the learning rate"),
    (REGULARIZERS, "Regularizers"),
    (METRICS, "Metrics"),
    (INITIALIZERS, "Initializers"),
    (SOURCES, "Data sources"),
    (COMPRESSION, "Compression passes"),
    (IMPORTANCES, "Importance of channels and weights"),
    (SCHEMES, "Quantization schemes"),
    (DEVICES, "Targets"),
    (NET_FUNCTIONS, "Functions on nets"),
)


def write_signature(cls: type[Described]) -> str:
    """How a call is written: operands, then options with their types and defaults."""
    options = {o.name for o in cls.options()}
    parts = [_write_operand(o) for o in cls.operands if not o.named]
    parts += [_write_option(o) for o in cls.options()]
    parts += [_write_operand(o) for o in cls.operands if o.named and o.name not in options]
    return f"{cls.name}({', '.join(parts)})"


def write_entry(cls: type[Described]) -> str:
    """The manual of one word as plain text."""
    lines = [write_signature(cls)]
    if cls.aliases:
        lines.append(f"also called {', '.join(cls.aliases)}")
    return "\n".join([*lines, "", *cls.manual().split("\n")])


def find_clauses() -> Iterator[tuple[str, ClauseWord]]:
    """Every clause once, and what it is a clause of ("a model and a scan")."""
    load_clauses()
    places: dict[tuple[str, str], list[str]] = {}
    words: dict[tuple[str, str], ClauseWord] = {}
    for home in ClauseHome.every.values():
        for word in (*home.clauses.values(), *home.later_clauses.values()):
            places.setdefault((word.form, word.doc), []).append(home.place)
            words[word.form, word.doc] = word
    for key, word in words.items():
        yield join_words(places[key], "and"), word


def _write_table(home: ClauseHome) -> str:
    words = (*home.clauses.values(), *home.later_clauses.values())
    rows = [f"| `{word.form or word.word}` | {word.manual} |" for word in words]
    return "\n".join([f"| clause of {home.place} | |", "|---|---|", *rows])


def op_reference() -> str:
    """`docs/ops.md`: every word of the vocabulary in Markdown."""
    load_clauses()
    load_ops()
    load_training()
    load_sources()
    load_compression()
    parts = ["# Vocabulary", _INTRODUCTION]
    for title, classes in _group_ops():
        parts += [f"## {title}", *map(_write_section, classes)]
    for registry, title in TITLES:
        found: Sequence[type[Described]] = registry.classes()
        shown = [cls for cls in found if cls.written]
        parts += [f"## {title}", *map(_write_section, shown)]
    for name, blocks in groupby(find_blocks(), lambda block: block.file):
        parts += [f"## Blocks of `{name}`", *map(_write_block, blocks)]
    parts += ["## Clauses", *map(_write_table, ClauseHome.every.values())]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = (
    "Generated from the classes in `compiler/`; `make accept` writes it anew. `weft ops WORD` "
    "shows the same in a terminal.\n\n"
    "Tensors come first in a signature and may be left out in a pipe: `x -> conv(64, kernel=3)`. "
    "A tensor with `?` is optional. Shapes are written as types, `...` stands for any leading "
    "axes. Every layer with weights also takes `init=` and `bias_init=`: how its weight and bias "
    "start, as an [initializer](#initializers), a number or a list of numbers. Costs are "
    "multiply-adds of one application; an entry without a cost has none, because it moves memory "
    "or does less than one multiply-add per element of its result."
)


def _group_ops() -> Iterator[tuple[str, list[type[Op]]]]:
    """Ops by the module that holds them, under the first sentence of its docstring."""
    groups: dict[str, list[type[Op]]] = {}
    for cls in OPS.classes():
        groups.setdefault(cls.__module__, []).append(cls)
    for module, classes in sorted(groups.items()):
        summary = (inspect.getdoc(sys.modules[module]) or module).split("\n\n")[0]
        yield summary.replace("\n", " ").rstrip("."), classes


def _write_block(block: LibraryBlock) -> str:
    return "\n".join([*_write_heading(block.name, block.signature), block.manual])


def _write_heading(name: str, signature: str) -> list[str]:
    shown = fill(signature, 96, subsequent_indent="    ", break_on_hyphens=False)
    return [f"### `{name}`", "", "```", shown, "```", ""]


def _write_section(cls: type[Described]) -> str:
    lines = _write_heading(cls.name, write_signature(cls))
    if cls.aliases:
        lines += [f"Also called {', '.join(f'`{a}`' for a in cls.aliases)}.", ""]
    for line in cls.manual().split("\n"):
        label = next((word for word in LABELS if line.startswith(word)), None)
        if label is not None:
            lines += ["", f"**{label[:-1]}**{line[len(label) :]}"]
        else:
            lines.append(line)
    return "\n".join(_squeeze_blank(lines)).strip()


def _squeeze_blank(lines: Iterable[str]) -> Iterator[str]:
    """The lines with no two blank ones in a row."""
    blank = False
    for line in lines:
        if line or not blank:
            yield line
        blank = not line


def _write_operand(operand: Operand) -> str:
    name = f"[{operand.name}, …]" if operand.variadic else operand.name
    return f"{name}?" if operand.optional else name


def _write_option(option: Option) -> str:
    text = f"{option.name}: {write_type(option.annotation)}"
    return text if option.required else f"{text} = {write_value(option.default)}"


def write_type(annotation: object) -> str:
    """The type of an option in the language's words."""
    if annotation is type(None):
        return "none"
    if annotation is Dim:
        return "size"
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__.lower()
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(write_value(a) for a in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(write_type(a) for a in arguments))
    return "list"
