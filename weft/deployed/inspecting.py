"""What an ONNX file is: its size and hash, what it takes and gives; and whether it is a
deployment's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.onnx_graph.check import read_types
from backends.onnx_runtime.session import Device, Port, Session, open_session
from compiler.ir.graph import Graph, Value
from compiler.program.deploy import Deploy
from compiler.report.diagnostics import CompileError
from compiler.report.messages.evaluating import other_file
from compiler.report.messages.files import file_unreadable
from compiler.report.messages.wording import list_words
from compiler.types.tensor import TensorType
from compiler.types.units import format_size
from weft.deployed.exporting import OnnxArtifact, list_onnx


@dataclass(frozen=True)
class OnnxFile:
    """A file that was opened. `hashes` are those of the file, and of what lies beside it with
    large weights; `made_of` is the name of the net if Weft wrote it, `spec_hash` that of the text
    of its spec, `weights` are types by name, `words` those of inputs that are columns of words."""

    path: Path
    size: int
    hashes: Mapping[str, str]
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    labels: tuple[str, ...]
    made_of: str
    spec_hash: str
    weights: Mapping[str, Port]
    words: Mapping[str, tuple[str, ...]]

    def rows(self, spec_hash: str) -> Iterator[tuple[str, str]]:
        """What it is, as (what, text); `spec_hash` is that of the spec it is held against."""
        yield "file", f"{self.path}, {format_size(self.size)}"
        for name, found in self.hashes.items():
            yield f"SHA-256 of {name}", found
        yield "inputs", _list_ports(self.inputs)
        yield "outputs", _list_ports(self.outputs)
        if self.labels:
            yield "labels", ", ".join(self.labels)
        if not self.spec_hash:
            yield "made from", "no spec that it names"
        else:
            same = self.spec_hash == spec_hash
            yield "made from", "this spec" if same else "another text of the spec"

    def encode(self) -> dict[str, Any]:
        """The same as data."""
        return {
            "file": str(self.path),
            "bytes": self.size,
            "sha256": dict(self.hashes),
            "inputs": {name: str(found) for name, found in self.inputs.items()},
            "outputs": {name: str(found) for name, found in self.outputs.items()},
            "labels": list(self.labels),
            "spec_hash": self.spec_hash,
        }


def read_labels(path: Path, session: Session) -> tuple[str, ...]:
    """The labels that an open file carries.

    Raises:
        CompileError: what it carries under that name is no list of names.
    """
    try:
        return session.labels
    except ValueError as error:
        raise CompileError([file_unreadable(None, str(path), str(error))]) from error


def inspect(path: Path, session: Session) -> OnnxFile:
    """What an open file is.

    Raises:
        CompileError: its labels are no list of names.
    """
    files = [file for file in list_onnx(path) if file.is_file()]
    return OnnxFile(
        path,
        sum(file.stat().st_size for file in files),
        {file.name: _hash(file) for file in files},
        session.input_ports,
        session.output_ports,
        read_labels(path, session),
        session.net_name,
        session.metadata.get("spec_hash", ""),
        {name: Port(*found) for name, found in read_types(path).items()},
        session.rows.words if session.rows is not None else {},
    )


def find_difference(file: OnnxFile, deploy: Deploy) -> str:
    """Why a file is not that of a deployment; empty where it may be."""
    graph = deploy.graph
    if file.made_of and file.made_of != graph.name:
        return f"it holds the net `{file.made_of}`, not `{graph.name}`"
    sides: list[tuple[str, Mapping[str, Port], list[tuple[str, Value]]]] = [
        ("input", file.inputs, [(i.name, i.value) for i in graph.inputs]),
        ("output", file.outputs, [(o.name, o.value) for o in graph.outputs]),
    ]
    words = deploy.words
    for side, found, ports in sides:
        wanted = {name: value.type.substitute(dict(deploy.fixed)) for name, value in ports}
        named = deploy.classes.outputs if deploy.classes is not None and side == "output" else ()
        found = {name: port for name, port in found.items() if name not in named}
        if found.keys() != wanted.keys():
            given, needed = list_words(tuple(found)), list_words(tuple(wanted))
            return f"its {side}s are {given}, those of the deployment {needed}"
        for name, type_ in wanted.items():
            if not _may_be(found[name], type_, takes_words=side == "input" and name in words):
                return f"its {side} `{name}` is {found[name]}, that of the deployment {type_}"
    if file.made_of and deploy.variant is None:  # the passes of a variant change weights
        different = next(_find_other_weights(file, graph), "")
        if different:
            return different
    for name, known in words.items():
        if file.words.get(name) != known:
            given, needed = _list_labels(file.words.get(name, ())), _list_labels(known)
            return f"the words of its input `{name}` are {given}, those of the deployment {needed}"
    if file.labels and file.labels != deploy.labels:
        given, needed = _list_labels(file.labels), _list_labels(deploy.labels)
        return f"its labels are {given}, those of the deployment {needed}"
    return ""


def need_ports(artifact: OnnxArtifact, name: str, deploy: Deploy | None, device: Device) -> None:
    """Refuses a file that takes or gives something else than the net it is held against.

    Raises:
        CompileError: it is the file of another net.
    """
    if deploy is not None and deploy.raw_rows is not None:
        return  # its file takes columns, which the graph does not name
    file = inspect(artifact.path, open_session(artifact.path, device=device))
    named = deploy.classes.outputs if deploy is not None and deploy.classes is not None else ()
    graph = artifact.net.graph
    for side, found, ports in (
        ("input", file.inputs, [item.name for item in graph.inputs]),
        ("output", file.outputs, [item.name for item in graph.outputs]),
    ):
        given = [port for port in found if port not in named]
        if {*given} != {*ports}:
            lists = (list_words(tuple(names)) for names in (given, ports))
            reason = "its {}s are {}, those of the net {}".format(side, *lists)
            raise CompileError([other_file(None, str(artifact.path), ((name, reason),))])


def _find_other_weights(file: OnnxFile, graph: Graph) -> Iterator[str]:
    """What tells the weights of a file from those of a net, by their paths."""
    for name, found in file.weights.items():
        known = graph.parameter.get(name)
        if known is None:
            matrix = name.endswith(".weight") and len(found.shape) > 1
            if matrix and not _is_part(name, graph):
                yield f"the net has no weight `{name}`"
            continue
        wanted = known.value.type.known_shape
        if wanted is not None and sorted(wanted) != sorted(map(int, found.shape)):
            yield f"its tensor `{name}` is {found}, that of the net {known.value.type}"


def _is_part(name: str, graph: Graph) -> bool:
    """Whether a weight is a part of one of the net: a pass takes projections apart, and numbers
    the parts: `in_proj.0.weight`."""
    words = name.split(".")
    numbers = [place for place, word in enumerate(words) if word.isdecimal()]
    return any(".".join(words[:n] + words[n + 1 :]) in graph.parameter for n in numbers)


def _may_be(found: Port, wanted: TensorType, *, takes_words: bool) -> bool:
    """Whether a type in a file may be one of the spec: sizes that both know are the same."""
    dtype = "str" if takes_words else str(wanted.dtype)
    if found.dtype != dtype or len(found.shape) != wanted.rank:
        return False
    pairs = zip(found.shape, wanted.shape, strict=True)
    return all(isinstance(a, str) or b.known in (None, a) for a, b in pairs)


def _hash(path: Path) -> str:
    """As `sha256sum` says it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _list_labels(labels: Sequence[str]) -> str:
    return list_words(tuple(labels)) if labels else "none"


def _list_ports(ports: Mapping[str, Port]) -> str:
    return ", ".join(f"{name}: {type_}" for name, type_ in ports.items())
