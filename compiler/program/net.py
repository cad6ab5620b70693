"""Networks with their own weights, and where these come from."""

from __future__ import annotations

from compiler.ir.graph import Graph
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.vocabulary.net_functions import Average, Lora


@dataclass(frozen=True)
class Renaming:
    """`"enc.*" -> "body.*"`, `"qkv" -> ["q", "k", "v"]` or `["q", "k", "v"] -> "qkv"`: how tensors
    of a file become those of a net. Several names are parts of one tensor."""

    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True)
class Grouping:
    """`"h.*.query_key_value.*" -> 8`: a tensor of a file that has the rows of its parts group by
    group: those of all parts of the first head, then those of the second."""

    pattern: str
    count: int


@dataclass(frozen=True)
class LoadWeights:
    """`-> load("file.safetensors", only=[…], except=[…], rename=["enc.*" -> "body.*"])`.

    `prefix` is the path of the part of the net that it loads (`backbone`; empty for the whole):
    the paths of the file and of the patterns are relative to it. `net teacher = fit` loads what
    the train `fit` learned, whose weights lie under `source` in its file; then `file` is empty.
    `transpose` names matrices that lie transposed in the file, with `!` in front those that do not;
    `copy` gives tensors to further weights. `groups` says of tensors that are split or joined how
    many groups their parts alternate in. `revision` is of a repository (`hf:OWNER/NAME`).
    """

    file: str  # as written; relative to the spec's folder
    only: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    rename: tuple[Renaming, ...] = ()
    span: Span | None = None
    prefix: str = ""
    train: str | None = None
    source: str = ""
    transpose: tuple[str, ...] = ()
    copy: tuple[Renaming, ...] = ()
    groups: tuple[Grouping, ...] = ()
    revision: str | None = None


@dataclass(frozen=True)
class AddAdapters:
    """`-> lora(rank=8)` on a net. `prefix` is the path of the part of the net that it adapts;
    `loads` is how many of the net's loads come before: their files know nothing of adapters."""

    lora: Lora
    span: Span | None = None
    prefix: str = ""
    loads: int = 0


@dataclass(frozen=True)
class TakeAverage:
    """`ema(eps, decay=0.999)` or `swa(eps)`: a net that follows another."""

    function: Average
    span: Span | None = None


@dataclass(frozen=True)
class Net:
    """A network with its own weights: a model with arguments, and where its weights come from.
    `adapters` are still to be added to the graph; finished nets have none. `frozen` are its
    parameters that are not trained for the sake of adapters, as long as it has these."""

    name: str
    model: str
    graph: Graph
    loads: tuple[LoadWeights, ...] = ()
    span: Span | None = None
    adapters: tuple[AddAdapters, ...] = ()
    frozen: tuple[str, ...] = ()
