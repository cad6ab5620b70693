"""Arrows run one way: weft -> backends -> compiler -> grammar; heavy packages keep their rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("grammar", "compiler", "backends", "weft")
MAY_IMPORT = {
    "grammar": {"grammar"},
    "compiler": {"grammar", "compiler"},
    "backends": {"grammar", "compiler", "backends"},
    "weft": {"grammar", "compiler", "backends", "weft"},
}
ONNX_ROOMS = ("backends/onnx_graph/", "backends/onnx_runtime/")


def python_files() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """Imported module names; whether the import stands at the top of the file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield node.module or "", id(node) in top


@pytest.mark.parametrize("path", python_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_run_one_way(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    room = name.split("/")[0]
    for module, _ in imports_of(path):
        top = module.split(".")[0]
        if top in ROOMS:
            assert top in MAY_IMPORT[room], f"{name} imports {module}"
        if top in ("onnx", "onnx_ir", "onnxruntime"):
            assert name.startswith(ONNX_ROOMS), f"{name} imports {module}"
        if room in ("grammar", "compiler"):
            assert top != "torch", f"{name} imports {module}: the compiler knows no torch"


def test_torch_is_imported_only_where_generated_code_runs() -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for path in python_files()
        for module, _ in imports_of(path)
        if module.split(".")[0] == "torch"
    }
    assert all(name.startswith("backends/") for name in files), files
    at_top = {
        path.relative_to(ROOT).as_posix()
        for path in python_files()
        for module, top in imports_of(path)
        if module.split(".")[0] == "torch" and top
    }
    assert not at_top, f"torch costs 1.6 s: import it where it is used, in {at_top}"


def test_files_start_with_a_sentence() -> None:
    for path in python_files():
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
