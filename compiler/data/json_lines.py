"""Lines of JSON: an object for each row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar, final

from compiler.data.base import SOURCES, Column, LoadingCode
from compiler.data.files import is_pattern, read_text, refuse_file, write_files
from compiler.data.frames import FrameTable, Stamps, stamp_files
from compiler.data.tables import TextTable
from compiler.records import dataclass
from compiler.writing.python import write_path


@SOURCES.register
@final
@dataclass(frozen=True)
class JsonLines(TextTable, FrameTable):
    """A file with a JSON object on each line, whose members are the columns; or several such files,
    one below the other.

    Whole numbers are i64, other numbers f32, NaN where a member is `null` or left out (whole
    numbers with such gaps are f32 as well), booleans bool, lists of one length and of numbers
    f32[length]. Text is read as that of a csv file is: numbers, dates or categories. Objects, and
    lists that differ in length, may stand there as long as nothing reads them.

    - `path`: the file (UTF-8), relative to the spec's folder, or a pattern: `"part-*.jsonl"`.
    - `decimal`: what stands before the fraction of a number in text.
    - `thousands`: what stands between thousands in text.
    - `unit`: what stands beside each number in text: `"kg"`, `["$", "km"]`.
    - `date`: the form of dates in text that are not read by themselves: `"%d/%m/%y"`.
    - `missing`: more cells of text that are missing: `["?", "-"]`.
    - `categories`: columns that are categories whatever their cells look like.
    - `missing_category`: columns of categories in which missing cells are one more category.
    - `unknown_category`: the same, and so are words that a deployed file is given and the training
      did not have.

    Example: `source jsonl("houses.jsonl")`, `inputs = stack([area, rooms]) -> standardize`
    Source: https://jsonlines.org
    """

    name: ClassVar[str] = "jsonl"

    def read_frame(self, folder: Path) -> Any:
        paths = self.files(folder)
        return _read_objects(self, tuple(paths), stamp_files(paths))

    def imports(self) -> Sequence[str]:
        return ["import json", "import pandas as pd"]

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        lines = [f'text = ({write_path(self.path)}).read_text(encoding="utf-8-sig")']
        if is_pattern(self.path):
            lines = [
                f"paths = {write_files(self.path)}",
                'text = "\\n".join(path.read_text(encoding="utf-8-sig") for path in paths)',
            ]
        rows = '[json.loads(line) for line in text.split("\\n") if line.strip()]'
        lines.append(f"table = pd.DataFrame({rows})")
        return LoadingCode([*self.helpers(columns), *lines], self.write_columns(columns))


@lru_cache(maxsize=4)  # the schema and the rows come from one reading
def _read_objects(source: JsonLines, paths: tuple[Path, ...], stamps: Stamps) -> Any:
    """The rows of all files as a frame; `stamps` are part of the key of the cache.

    Raises:
        Fault: a line is no object, or a file has other columns than the first.
    """
    import pandas

    rows: list[dict[str, Any]] = []
    known: set[str] = set()
    for path in paths:
        shown = source.path if len(paths) == 1 else path.name
        found = _read_file(path, shown)
        names = {name for row in found for name in row}
        if rows and names != known:
            other = sorted(names ^ known)[0]
            here = "has a column" if other in names else "lacks the column"
            refuse_file(shown, f"it {here} `{other}`, unlike `{paths[0].name}`")
        known = names
        rows += found
    return pandas.DataFrame(rows)


def _read_file(path: Path, shown: str) -> list[dict[str, Any]]:
    """The objects of a file.

    Raises:
        Fault: a line is none.
    """
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(StringIO(read_text(path, shown), newline=None), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=take_pairs)
        except (ValueError, RecursionError) as error:
            whole = not rows and line.lstrip().startswith(("[", "{"))
            advice = (
                "a file of lines has an object on each: `jq -c '.[]'` writes such" if whole else ""
            )
            refuse_file(shown, f"line {number:,} is no JSON: {error}", advice)
        if not isinstance(row, dict):
            reason = f"line {number:,} holds a value of type `{type(row).__name__}`, no object"
            refuse_file(shown, reason, "`jq -c '.[]'` writes a line for each object of a list")
        rows.append(row)
    if not rows:
        refuse_file(shown, "it has no lines")
    return rows


def take_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, whose members have names of their own."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has two members `{twice}`")
    return found
