"""Arrows run one way, between rooms and between files; heavy packages keep their rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import Golden

ROOT = Path(__file__).resolve().parents[1]
TOP = ("grammar", "compiler", "backends", "weft", "website")
ONNX_ROOMS = ("backends/onnx_graph/", "backends/onnx_runtime/", "backends/verification/")

ARROWS = {
    "grammar": "",
    "compiler.records": "",
    "compiler.system": "",
    "compiler.types": "compiler.records",
    "compiler.report": "compiler.records compiler.types",
    "compiler.writing": "compiler.types",
    "compiler.text": "grammar compiler.records compiler.types compiler.report",
    "compiler.vocabulary": "compiler.records compiler.types compiler.report",
    "compiler.ir": (
        "grammar compiler.records compiler.system compiler.types compiler.report "
        "compiler.vocabulary"
    ),
    "compiler.ops": (
        "compiler.records compiler.types compiler.report compiler.vocabulary compiler.ir"
    ),
    "compiler.passes": (
        "compiler.records compiler.types compiler.report compiler.writing compiler.vocabulary "
        "compiler.ir compiler.ops"
    ),
    "compiler.training": (
        "compiler.records compiler.types compiler.report compiler.vocabulary compiler.ir "
        "compiler.ops"
    ),
    "compiler.data": (
        "compiler.records compiler.system compiler.types compiler.report compiler.writing "
        "compiler.vocabulary"
    ),
    "compiler.sweeping": "compiler.records compiler.vocabulary compiler.training",
    "compiler.program": (
        "compiler.records compiler.types compiler.report compiler.vocabulary compiler.ir "
        "compiler.training compiler.data compiler.sweeping"
    ),
    "compiler.weights": (
        "compiler.records compiler.system compiler.report compiler.ir compiler.program"
    ),
    "compiler.loading": (
        "compiler.system compiler.types compiler.report compiler.ir compiler.program "
        "compiler.weights"
    ),
    "compiler.rows": (
        "compiler.records compiler.types compiler.report compiler.writing compiler.vocabulary "
        "compiler.ir compiler.ops compiler.passes compiler.training compiler.data compiler.program"
    ),
    "compiler.compression": (
        "compiler.records compiler.types compiler.report compiler.writing compiler.vocabulary "
        "compiler.ir compiler.ops compiler.passes compiler.training compiler.program"
    ),
    "compiler.elaborate.values": (
        "compiler.records compiler.types compiler.report compiler.text compiler.vocabulary "
        "compiler.ir compiler.ops compiler.program"
    ),
    "compiler.elaborate.scopes": (
        "compiler.records compiler.system compiler.types compiler.report compiler.text "
        "compiler.vocabulary compiler.ir compiler.ops compiler.training compiler.data "
        "compiler.program compiler.compression compiler.elaborate.values"
    ),
    "compiler.elaborate.shapes": (
        "compiler.records compiler.types compiler.report compiler.text compiler.ir "
        "compiler.elaborate.values compiler.elaborate.scopes"
    ),
    "compiler.elaborate.calls": (
        "compiler.records compiler.types compiler.report compiler.text compiler.vocabulary "
        "compiler.ir compiler.ops compiler.training compiler.program compiler.weights "
        "compiler.compression "
        "compiler.elaborate.values compiler.elaborate.scopes compiler.elaborate.shapes"
    ),
    "compiler.elaborate.evaluate": (
        "compiler.records compiler.types compiler.report compiler.text compiler.vocabulary "
        "compiler.ir compiler.ops compiler.elaborate.values compiler.elaborate.scopes "
        "compiler.elaborate.calls"
    ),
    "compiler.elaborate.bodies": (
        "compiler.records compiler.types compiler.report compiler.writing compiler.text "
        "compiler.vocabulary compiler.ir compiler.ops compiler.program "
        "compiler.elaborate.values compiler.elaborate.scopes compiler.elaborate.shapes "
        "compiler.elaborate.calls compiler.elaborate.evaluate"
    ),
    "compiler.elaborate": (
        "compiler.system compiler.types compiler.report compiler.text compiler.ir "
        "compiler.ops compiler.program compiler.elaborate.values compiler.elaborate.scopes "
        "compiler.elaborate.shapes compiler.elaborate.calls compiler.elaborate.evaluate "
        "compiler.elaborate.bodies"
    ),
    "compiler.elaborate.items": (
        "compiler.records compiler.types compiler.report compiler.writing compiler.text "
        "compiler.vocabulary compiler.ir compiler.ops compiler.passes compiler.training "
        "compiler.data compiler.sweeping compiler.program compiler.rows compiler.compression "
        "compiler.elaborate.values compiler.elaborate.scopes "
        "compiler.elaborate.calls compiler.elaborate.bodies compiler.elaborate"
    ),
    "compiler.manual": (
        "compiler.records compiler.types compiler.report compiler.text compiler.vocabulary "
        "compiler.ir compiler.ops compiler.sweeping "
        "compiler.training compiler.data compiler.compression "
        "compiler.elaborate.scopes compiler.elaborate.items"
    ),
    "compiler.describe": (
        "compiler.report compiler.text compiler.vocabulary compiler.ir compiler.data "
        "compiler.sweeping compiler.program compiler.compression"
    ),
    "compiler.driver": (
        "compiler.system compiler.report compiler.text compiler.data compiler.program "
        "compiler.compression compiler.elaborate.values compiler.elaborate "
        "compiler.elaborate.items compiler.describe"
    ),
    "compiler.explain": "compiler.report compiler.driver",
    "backends.pytorch.terms": "compiler.types compiler.writing compiler.vocabulary compiler.ir",
    "backends.pytorch.fold": (
        "compiler.records compiler.types compiler.report compiler.writing compiler.vocabulary "
        "compiler.ir compiler.ops compiler.passes backends.pytorch.terms"
    ),
    "backends.pytorch.classes": (
        "compiler.types compiler.report compiler.writing compiler.vocabulary compiler.ir "
        "compiler.ops backends.pytorch.terms backends.pytorch.fold"
    ),
    "backends.pytorch.print": (
        "compiler.types compiler.writing compiler.vocabulary compiler.ir compiler.ops "
        "backends.pytorch.terms backends.pytorch.fold backends.pytorch.classes"
    ),
    "backends.pytorch": (
        "compiler.report compiler.vocabulary compiler.ir backends.pytorch.terms "
        "backends.pytorch.fold backends.pytorch.classes backends.pytorch.print"
    ),
    "backends.pytorch.train": (
        "compiler.records compiler.system compiler.types compiler.writing compiler.vocabulary "
        "compiler.ir "
        "compiler.ops compiler.passes compiler.training compiler.data compiler.program "
        "compiler.loading compiler.rows backends.pytorch.fold backends.pytorch.terms "
        "backends.pytorch"
    ),
    "backends.pytorch.run": (
        "compiler.system compiler.report compiler.writing compiler.ir compiler.passes "
        "compiler.data compiler.training compiler.program compiler.loading compiler.rows "
        "compiler.compression backends.pytorch backends.pytorch.train"
    ),
    "backends.onnx_graph": (
        "compiler.system compiler.types compiler.report compiler.vocabulary compiler.ir "
        "compiler.ops compiler.passes compiler.data compiler.program"
    ),
    "backends.onnx_runtime": (
        "compiler.system compiler.types compiler.report compiler.data compiler.compression"
    ),
    "backends.verification": (
        "compiler.types compiler.report compiler.writing compiler.ir compiler.ops compiler.passes "
        "compiler.data "
        "backends.pytorch backends.pytorch.run backends.onnx_graph backends.onnx_runtime"
    ),
    "weft.results": (
        "compiler.system compiler.report compiler.writing compiler.ir compiler.ops "
        "compiler.data compiler.compression backends.pytorch.train"
    ),
    "weft.deployed": (
        "compiler.system compiler.types compiler.report compiler.text compiler.ir compiler.passes "
        "compiler.data compiler.training compiler.program compiler.weights compiler.loading "
        "compiler.rows compiler.compression "
        "backends.pytorch backends.pytorch.run backends.onnx_graph backends.onnx_runtime "
        "backends.verification weft.results"
    ),
    "weft.inspection": (
        "compiler.system compiler.report compiler.writing compiler.ir compiler.program "
        "compiler.loading compiler.ops compiler.rows compiler.compression backends.pytorch.run "
        "backends.pytorch.train weft.deployed"
    ),
    "weft.building": (
        "compiler.system compiler.types compiler.report compiler.writing compiler.vocabulary "
        "compiler.ir compiler.training compiler.sweeping "
        "compiler.program compiler.weights compiler.loading "
        "compiler.rows "
        "compiler.compression backends.pytorch backends.pytorch.train "
        "backends.pytorch.run backends.onnx_graph backends.onnx_runtime backends.verification "
        "weft.results weft.deployed weft.inspection"
    ),
    "weft.survey": (
        "compiler.writing compiler.ir compiler.data compiler.program compiler.rows "
        "backends.pytorch.run weft.inspection weft.building"
    ),
    "weft": (
        "compiler.report compiler.writing compiler.vocabulary compiler.ir compiler.training "
        "compiler.data compiler.program compiler.loading compiler.rows compiler.manual "
        "compiler.driver backends.pytorch backends.pytorch.train backends.pytorch.run "
        "backends.onnx_graph backends.onnx_runtime weft.results weft.deployed weft.building"
    ),
    "weft.cli": (
        "compiler.records compiler.system compiler.report compiler.writing compiler.text "
        "compiler.vocabulary compiler.ir compiler.passes compiler.data compiler.program "
        "compiler.weights compiler.loading compiler.rows compiler.manual "
        "compiler.driver compiler.explain backends.pytorch.train backends.pytorch.run "
        "backends.onnx_runtime backends.verification weft.results weft.deployed weft.inspection "
        "weft.survey weft.building weft"
    ),
    "website": (
        "grammar compiler.types compiler.report compiler.text compiler.vocabulary "
        "compiler.elaborate.shapes compiler.elaborate.items compiler.manual compiler.explain weft"
    ),
}
"""Every room, lowest first, and the rooms that its files import, imports for types included. A
folder without a row belongs to the room around it; a file at the top of `compiler` is a room."""


@cache
def modules() -> Mapping[str, Path]:
    """Every file of the product by the name of its module."""
    paths = sorted(path for top in TOP for path in (ROOT / top).rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    return {n.removesuffix(".__init__"): path for n, path in zip(names, paths, strict=True)}


@cache
def imports_of(path: Path) -> tuple[tuple[str, bool], ...]:
    """Imported modules; whether the import stands at the top of the file."""
    return tuple(_read_imports(path))


def _read_imports(path: Path) -> Iterator[tuple[str, bool]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            module = node.module or ""
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield inner if inner in modules() else module, id(node) in top


@cache
def arrows() -> Mapping[str, frozenset[str]]:
    """The modules of the product that each of its modules imports."""
    found = {}
    for name, path in modules().items():
        targets = {target for target, _ in imports_of(path) if target in modules()}
        found[name] = frozenset(targets - {name})
    return found


def room_of(module: str) -> str:
    """The room that a module is in: the nearest folder that has a row."""
    around = [room for room in ARROWS if f"{module}.".startswith(f"{room}.")]
    return max(around, key=len, default=module)


def test_rooms_import_what_the_table_says() -> None:
    found: dict[str, set[str]] = {room: set() for room in ARROWS}
    for name, targets in arrows().items():
        rooms = {room_of(target) for target in targets} - {room_of(name), *TOP[1:3]}
        if name not in TOP[1:3]:
            found.setdefault(room_of(name), set()).update(rooms)
    written = {room: set(targets.split()) for room, targets in ARROWS.items()}
    new = [f"{a} -> {b}" for a in found for b in sorted(found[a] - written.get(a, set()))]
    assert not new, f"arrows that the table does not have: {new}"
    old = [f"{a} -> {b}" for a in written for b in sorted(written[a] - found[a])]
    assert not old, f"arrows that only the table has: {old}"


def test_rooms_stand_above_what_they_import() -> None:
    order = list(ARROWS)
    for room, targets in ARROWS.items():
        for target in targets.split():
            assert order.index(target) < order.index(room), f"{room} stands below {target}"


def test_no_circle_of_files() -> None:
    try:
        TopologicalSorter(arrows()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_circle_of_folders() -> None:
    folders: dict[str, set[str]] = {}
    for name, targets in arrows().items():
        own = folder_of(name)
        folders.setdefault(own, set()).update({folder_of(t) for t in targets} - {own})
    try:
        TopologicalSorter(folders).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def folder_of(module: str) -> str:
    """The folder that a module is in; files at the top of `compiler` stand for themselves."""
    path = modules()[module]
    folder = path.parent.relative_to(ROOT).as_posix()
    return module if folder == "compiler" else folder


RUN_ALONE = "backends.pytorch.run.watched"
"""A script for a process of its own, which nothing imports."""


@pytest.mark.parametrize("name", modules())
def test_heavy_packages_keep_their_rooms(name: str) -> None:
    path = modules()[name].relative_to(ROOT).as_posix()
    for module, top in imports_of(modules()[name]):
        package = module.split(".")[0]
        if package in ("onnx", "onnx_ir", "onnxruntime"):
            assert path.startswith(ONNX_ROOMS), f"{path} imports {module}"
        if package == "torch":
            assert path.startswith("backends/"), f"{path} imports {module}"
            alone = name == RUN_ALONE and not any(name in found for found in arrows().values())
            assert not top or alone, f"torch costs 1.6 s: import it where it is used, in {path}"


def test_the_map_of_rooms(golden: Golden) -> None:
    lines = ["# Rooms", "", MAP, ""]
    for name, path in modules().items():
        is_file = path.parent.name == "compiler" and path.name != "__init__.py"
        if is_file or (path.name == "__init__.py" and name not in TOP[1:3]):
            doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            place = path if is_file else path.parent
            shown = place.relative_to(ROOT).as_posix() + ("" if is_file else "/")
            lines.append(f"- `{shown}`: {' '.join(doc.split(chr(10) * 2)[0].split())}")
    golden.check(ROOT / "docs" / "rooms.md", "\n".join([*lines, ""]))


MAP = """Where things are, in the words of each folder. Arrows run one way: `weft` imports
`backends`, these `compiler`, this `grammar`; `tests/test_architecture.py` has a table of who
imports whom, imports for types included, and no files or folders import each other in a circle.
Only `backends/onnx_graph`, `backends/onnx_runtime` and `backends/verification` import onnx, and
only `backends` torch, where generated code is run or compared. `compiler/driver.py` is the whole
compiler on one screen. `make accept` writes this page from the first sentence of every folder."""


def test_files_start_with_a_sentence() -> None:
    for path in modules().values():
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert doc, f"{path.relative_to(ROOT)} does not say what it is"
        assert doc.split("\n\n")[0].rstrip().endswith("."), path.relative_to(ROOT)


def test_checking_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from compiler.report.diagnostics import Sink\n"
        "from compiler.driver import check\n"
        "sink = Sink()\n"
        "program = check(sys.argv[1], overrides={}, sink=sink)\n"
        "assert program is not None, sink.messages\n"
        "heavy = {'torch', 'onnx', 'onnx_ir', 'onnxruntime', 'pandas', 'sklearn', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    spec = ROOT / "specs" / "models" / "resnet18.weft"
    done = subprocess.run(
        [sys.executable, "-c", script, str(spec)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
