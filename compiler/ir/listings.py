"""Lists of tensors of a graph, and what is read off them: who knows of them, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from compiler.ir.frame import Listing, Pick, Site
from compiler.ir.graph import Graph

Record = Listing | Pick


def find_listings(graph: Graph) -> Iterator[Record]:
    """The lists and picks that nodes and outputs of a graph know of, each once, after what it is
    made from."""
    seen: set[Record] = set()
    for node in graph.nodes:
        yield from follow(site_records(node.origin), seen)
    yield from follow((o.pick for o in graph.outputs if o.pick is not None), seen)


def site_records(site: Site) -> Iterator[Record]:
    """What a node knows of by itself."""
    yield from (pick for _, pick in site.picks if pick is not None)
    if site.listed is not None:
        yield site.listed


def follow(records: Iterable[Record], seen: set[Record]) -> Iterator[Record]:
    """Records that are not yet seen, and what they are made from, that first."""
    waiting = list(records)[::-1]
    while waiting:  # lists that grow in a loop are nested as deeply as it has turns
        record = waiting[-1]
        inner = [p for p in _parts(record) if p not in seen] if record not in seen else []
        if inner:
            waiting += inner[::-1]
            continue
        waiting.pop()
        if record not in seen:
            seen.add(record)
            yield record


def _parts(record: Record) -> Iterator[Record]:
    if isinstance(record, Pick):
        yield record.source
        return
    for part in record.parts:
        if isinstance(part, Listing):
            yield part
        elif part.pick is not None:
            yield part.pick
