"""Pages of the manual: every word that a spec can say, with what its class or block says of it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from textwrap import indent

from compiler.compression.base import COMPRESSION
from compiler.compression.devices import DEVICES
from compiler.compression.pruning.importance import IMPORTANCES
from compiler.compression.quantization.base import SCHEMES
from compiler.compression.registry import load_compression
from compiler.data.base import SOURCES
from compiler.data.registry import load_sources
from compiler.elaborate.items.item_elaborator import load_clauses
from compiler.elaborate.scopes.library import find_blocks
from compiler.ir.graph import Op
from compiler.manual.examples import write_example
from compiler.manual.signatures import write_signature
from compiler.ops.registry import OPS, load_ops
from compiler.records import dataclass
from compiler.sweeping.base import PRUNERS, SAMPLERS, SPACES
from compiler.sweeping.registry import load_sweeping
from compiler.training.base import METRICS, OPTIMIZERS, REGULARIZERS, SCHEDULES
from compiler.training.registry import load_training
from compiler.vocabulary.clauses import ClauseHome, ClauseWord, join_words
from compiler.vocabulary.initializers import INITIALIZERS
from compiler.vocabulary.manual_text import ManualText, read_manual
from compiler.vocabulary.net_functions import NET_FUNCTIONS
from compiler.vocabulary.ramps import RAMPS
from compiler.vocabulary.signature import Described

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
    (SPACES, "Spaces of sweeps"),
    (SAMPLERS, "Samplers of sweeps"),
    (PRUNERS, "Pruners of sweeps"),
    (RAMPS, "Numbers that change over a training"),
)

CLAUSE = "clause"
BLOCK = "block"


@dataclass(frozen=True)
class Page:
    """What the manual says of one word.

    `kind` is that of its registry, "block" or "clause"; `group` the heading that it stands under.
    """

    kind: str
    group: str
    names: tuple[str, ...]
    signature: str
    text: ManualText
    place: str = ""
    """Where it comes from or stands: "A block of `std.vision`."."""
    definition: str = ""
    """The text of a block."""

    @property
    def name(self) -> str:
        """The name that it goes by."""
        return self.names[0]

    @property
    def summary(self) -> str:
        """Its first paragraph, on a line."""
        return self.text.prose.split("\n\n")[0].replace("\n", " ")

    @property
    def words(self) -> str:
        """All that it says but for what stands around an example, to be searched."""
        parts = (*self.names, self.signature, self.place, self.text.prose)
        return "\n".join([*parts, *self.text.parts.values()])

    @property
    def example(self) -> str:
        """A whole spec that runs; empty where there is none."""
        return write_example(self.text.example) if self.text.example else ""


def write_page(page: Page) -> str:
    """A page as plain text."""
    lines = [page.signature]
    if page.names[1:]:
        lines.append(f"also called {', '.join(page.names[1:])}")
    parts = page.text.parts
    texts = ["\n".join(lines), *filter(None, (page.place, page.text.about))]
    texts += [f"Shapes: {parts['Shapes']}"] if "Shapes" in parts else []
    texts += [page.text.options] if page.text.options else []
    texts += [f"{label}: {parts[label]}" for label in ("Cost", "Errors") if label in parts]
    texts += [f"Example:\n\n{indent(page.example.rstrip(), '    ')}"] if page.example else []
    texts += [f"Source: {parts['Source']}"] if "Source" in parts else []
    return "\n\n".join(texts)


def find_pages() -> Iterator[Page]:
    """Every word of the vocabulary: ops, the other registries, blocks of the library, clauses."""
    load_clauses()
    load_ops()
    load_training()
    load_sources()
    load_compression()
    load_sweeping()
    for title, ops in _group_ops():
        yield from (_make_page(OPS.kind, title, cls) for cls in ops)
    for registry, title in TITLES:
        classes: Sequence[type[Described]] = registry.classes()
        yield from (_make_page(registry.kind, title, cls) for cls in classes if cls.written)
    for block in find_blocks():
        group, place = f"Blocks of `{block.file}`", f"A block of `{block.file}`."
        text = read_manual(block.manual)
        yield Page(BLOCK, group, (block.name,), block.signature, text, place, block.text)
    for place, word in find_clauses():
        text = read_manual(word.manual)
        form = word.form or word.word
        yield Page(CLAUSE, "Clauses", (word.word,), form, text, f"A clause of {place}.")


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


def _make_page(kind: str, group: str, cls: type[Described]) -> Page:
    names = (cls.name, *cls.aliases)
    return Page(kind, group, names, write_signature(cls), read_manual(cls.manual()))


def _group_ops() -> Iterator[tuple[str, list[type[Op]]]]:
    """Ops by the module that holds them, under the first sentence of its docstring."""
    groups: dict[str, list[type[Op]]] = {}
    for cls in OPS.classes():
        if cls.written:
            groups.setdefault(cls.__module__, []).append(cls)
    for module, classes in sorted(groups.items()):
        summary = (inspect.getdoc(sys.modules[module]) or module).split("\n\n")[0]
        yield summary.replace("\n", " ").rstrip("."), classes
