"""The wheel puts one name into site-packages, and works beside a user's own folders."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("backends", "compiler", "grammar", "specs")
SOURCES = ("weft", *ROOMS, "pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of these sources, made of a copy: a build leaves folders beside its sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
    (source / "build" / "lib" / "weft" / "compiler" / "ops").mkdir(parents=True)
    (source / "build" / "lib" / "weft" / "compiler" / "ops" / "gone.py").touch()  # of old sources
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    run([*command, "--no-index", "-w", str(folder), str(source)], folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def place(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with packages that are called like Weft's rooms; `site` holds Weft."""
    folder = tmp_path_factory.mktemp("place")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    run([*command, "--target", str(folder / "site"), str(wheel)], folder)
    for room in ROOMS:
        (folder / room).mkdir()
        (folder / room / "__init__.py").write_text(f"raise ImportError('a user\\'s {room}')\n")
    return folder


def run(command: list[str], cwd: Path) -> str:
    """What a command prints; it must end well."""
    environment = {**os.environ, "PYTHONPATH": str(cwd / "site"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def weft(place: Path, *arguments: str) -> str:
    return run([sys.executable, "-m", "weft.cli.main", *arguments], place)


def test_one_name_is_installed(place: Path) -> None:
    found = {path.name for path in (place / "site").iterdir()}
    assert {name for name in found if not name.endswith(".dist-info")} == {"weft", "bin"}
    (record,) = (place / "site").glob("weft-*.dist-info")
    assert (record / "top_level.txt").read_text().split() == ["weft"]


def test_every_file_is_in_the_wheel(wheel: Path) -> None:
    def is_kept(path: Path) -> bool:
        return path.is_file() and "__pycache__" not in path.parts

    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    own = {p.relative_to(ROOT).as_posix() for p in (ROOT / "weft").rglob("*") if is_kept(p)}
    for room in ROOMS:
        files = filter(is_kept, (ROOT / room).rglob("*"))
        own |= {f"weft/{path.relative_to(ROOT).as_posix()}" for path in files}
    assert names == own


def test_no_import_of_a_room_is_left(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".py"):
                for node in ast.walk(ast.parse(archive.read(name))):
                    for module in imported(node):
                        assert module.split(".")[0] not in ROOMS, f"{name} imports {module}"


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def test_the_demo_builds_beside_folders_of_the_same_names(place: Path) -> None:
    weft(place, "new", "starter")
    assert (place / "starter.weft").is_file()
    demo = (place / "site" / "weft" / "specs" / "examples" / "digits.weft").read_text()
    short = demo.replace("epochs 30", "epochs 2").replace("finetune(epochs=20", "finetune(epochs=1")
    short = short.replace("require test.accuracy >= 97%", "require test.accuracy >= 1%")
    short = short.replace("require size <= 8KiB and latency <= 0.7 * fit.latency", "")
    assert "epochs 2\n" in short
    assert "epochs=1," in short
    (place / "digits.weft").write_text(short)
    assert "report:" in weft(place, "build", "digits.weft", "-o", "out")
    assert (place / "out" / "tiny.onnx").is_file()
    again = weft(place, "build", "digits.weft", "-o", "out")
    assert "train fit: up to date" in again
    script = (
        "import weft; print(weft.load('digits.weft').model('DigitNet').torch().head.in_features)"
    )
    assert run([sys.executable, "-c", script], place).strip() == "512"
