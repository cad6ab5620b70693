"""Builds the wheel: the rooms of the repository go under `weft/`, their imports rewritten."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.egg_info import egg_info

ROOMS = ("backends", "compiler", "grammar", "specs")
"""Packages that stand beside `weft` in the repository. Installed under these names they would take
the place of a user's own folders, so a wheel holds `weft.compiler` and its like."""
ROOM = "|".join(ROOMS)
FROM = re.compile(rf"^([ \t]*)from ({ROOM})\b", re.MULTILINE)
IMPORT_AS = re.compile(rf"^([ \t]*)import ({ROOM})(?=\.[\w.]+ as )", re.MULTILINE)
IMPORT = re.compile(rf"^([ \t]*)import ({ROOM})$", re.MULTILINE)


def move_imports(source: str) -> str:
    """The source of a module with its imports of rooms rewritten."""
    source = FROM.sub(r"\1from weft.\2", source)
    source = IMPORT_AS.sub(r"\1import weft.\2", source)
    return IMPORT.sub(r"\1from weft import \2", source)


def move_package(name: str) -> str:
    """The name of a package in the wheel."""
    return f"weft.{name}" if name.split(".")[0] in ROOMS else name


class BuildWheel(build_py):
    """Copies packages under their names in the wheel; an editable install keeps the others."""

    def run(self) -> None:
        """Copies every module and data file."""
        if not self.editable_mode:
            # What an earlier build left there may be gone from the sources.
            shutil.rmtree(Path(self.build_lib) / "weft", ignore_errors=True)
            self.packages = [move_package(name) for name in self.packages]
            self.package_data = {move_package(n): found for n, found in self.package_data.items()}
            self.package_dir = {**(self.package_dir or {}), **{f"weft.{n}": n for n in ROOMS}}
        super().run()

    def build_module(self, module, module_file, package):
        """Copies one module with its imports rewritten."""
        outfile, copied = super().build_module(module, module_file, package)
        if not self.editable_mode:
            path = Path(outfile)
            path.write_text(move_imports(path.read_text(encoding="utf-8")), encoding="utf-8")
        return outfile, copied


class DescribeWheel(egg_info):
    """Says of what is installed that its only name is `weft`."""

    def run(self) -> None:
        """Writes the metadata."""
        super().run()
        (Path(self.egg_info) / "top_level.txt").write_text("weft\n", encoding="utf-8")


setup(cmdclass={"build_py": BuildWheel, "egg_info": DescribeWheel})
