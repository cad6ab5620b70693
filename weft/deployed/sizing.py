"""The sizes of open dims at which figures are taken, and where each comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from compiler.compression.attach import find_net
from compiler.compression.given import find_given
from compiler.compression.sizes import choose_sizes
from compiler.ir.graph import Graph
from compiler.program.deploy import Deploy
from compiler.program.train import Train
from compiler.program.variant import Target

FIXED, TARGET, TYPICAL = "fix", "target", "typical"
"""Sources of sizes besides the rows of a data item."""


@dataclass(frozen=True)
class Sizes:
    """A size for each open dim of a net, and where it comes from."""

    sizes: Mapping[str, int]
    sources: Mapping[str, str]

    def __str__(self) -> str:
        """`batch=1 (typical), t=64 (a row of text)`, as reports have it."""
        return describe_sizes(self.encode())

    def encode(self) -> dict[str, Any]:
        """The same as data, for what is kept and for report.json."""
        return {
            name: {"size": size, "source": self.sources[name]} for name, size in self.sizes.items()
        }


def describe_sizes(encoded: Mapping[str, Mapping[str, Any]]) -> str:
    """Encoded sizes in words."""
    parts = (f"{name}={found['size']} ({found['source']})" for name, found in encoded.items())
    return ", ".join(parts) or "fixed sizes"


@dataclass(frozen=True)
class KnownSizes:
    """What a build knows of the open dims of a net, the surest first: what the file fixes, what
    `target` says, and what the rows are like that the net is trained on."""

    known: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def add(self, sizes: Mapping[str, int], source: str) -> KnownSizes:
        """The same with sizes of the dims that are not known yet."""
        new = {name: size for name, size in sizes.items() if name not in self.known}
        return KnownSizes({**self.known, **new}, {**self.sources, **dict.fromkeys(new, source)})

    def aim(self, target: Target) -> Target:
        """The target with all that is known."""
        return replace(target, sizes=tuple(self.known.items()))

    def settle(self, graph: Graph, target: Target | None = None) -> Sizes:
        """A size for each open dim of a graph: a target's, which was aimed and may have been
        settled for several nets, and typical ones where it has none.

        Raises:
            CompileError: the graph takes no input of these sizes.
        """
        found = choose_sizes(graph, target if target is not None else self.aim(Target()))
        sizes = {name: found[name] for name in graph.symbols}
        return Sizes(sizes, {name: self.sources.get(name, TYPICAL) for name in sizes})


def find_known(
    deploy: Deploy | None = None,
    target: Target | None = None,
    train: Train | None = None,
    net: str = "",
) -> KnownSizes:
    """What is known of the sizes of a deployed net, which is `net` in its train."""
    found = KnownSizes()
    if deploy is not None:
        found = found.add(dict(deploy.fixed), FIXED)
    if target is not None:
        found = found.add(dict(target.sizes), TARGET)
    if train is not None:
        given = find_given(train, find_net(train, net))
        found = found.add(given.sizes, f"a row of {train.data.name}")
    return found
