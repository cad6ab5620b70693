"""The page of an inspection: a row for each row of data, then what is of the whole net."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from compiler.system.files import parse_json
from compiler.writing.markup import escape_html

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem;
  color: #1f2430; }
figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top; }
figcaption { color: #5a6270; font-size: .82rem; }
img { image-rendering: pixelated; max-width: 100%; }
td { padding-right: 1.5rem; vertical-align: top; }
"""
SUMMARY = "inspect.json"
"""The file of an inspection that says what its pictures are of."""
MOST_EMBEDDED = 24
"""Pictures of an inspection that a report shows."""


def write_inspection(found: Mapping[str, Any]) -> str:
    """The page of an inspection, from what `inspect.json` has; pictures lie beside it."""
    title = f"{found['net']}: {', '.join(str(row['row']) for row in found['rows'])} of "
    title += f"{found['split']}"
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape_html(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape_html(found['net'])}</h1>",
        f"<p>{escape_html(found['weights'])}, split {escape_html(found['split'])}</p>",
    ]
    for index, row in enumerate(found["rows"]):
        pictures = [p for p in found["pictures"] if p["row"] == index]
        lines.append(f"<h2>{escape_html(describe_row(row))}</h2>")
        lines += [_write_figure(p["file"], p["title"]) for p in pictures]
    general = [p for p in found["pictures"] if p["row"] is None]
    lines += ["<h2>The net</h2>", *(_write_figure(p["file"], p["title"]) for p in general)]
    lines += ["<table>", *_write_notes(found), "</table></body></html>"]
    return "\n".join(lines) + "\n"


def describe_row(row: Mapping[str, Any]) -> str:
    """`row 7: predicted 3 (0.981), label 3`; without classes `row 7: y[3] = 1.25`."""
    if "predicted" not in row:
        said = f"row {row['row']}: {row['entry']} = {row['score']:.4g}"
    else:
        said = f"row {row['row']}: predicted {row['predicted']}"
        if row["class"] != row["predicted"]:
            said += f", explained for {row['class']}"
        said += f" ({row['probability']:.3f})"
    return f"{said}, label {row['label']}" if "label" in row else said


def describe_notes(method: str, notes: Mapping[str, Any]) -> str:
    """What is said of a way of looking: `layer conv2, …`."""
    parts = []
    for name, value in notes.items():
        if name == "deleted":
            marked, random = notes["fall_marked"], notes["fall_random"]
            parts.append(
                f"the {notes['fall_of']} falls by {marked:.3f} where the {value:.0%} of places "
                f"that are marked highest are deleted, by {random:.3f} where random ones are"
            )
        elif not name.startswith("fall_"):
            shown = json.dumps(value) if not isinstance(value, str) else value
            parts.append(f"{name.replace('_', ' ')} {shown}")
    return "; ".join(parts)


def _write_notes(found: Mapping[str, Any]) -> Iterator[str]:
    for method, notes in found["methods"].items():
        said = describe_notes(method, notes)
        yield f"<tr><td>{escape_html(method)}</td><td>{escape_html(said)}</td></tr>"
    for method, reason in found["left_out"].items():
        said = f"not shown: {reason}"
        yield f"<tr><td>{escape_html(method)}</td><td>{escape_html(said)}</td></tr>"


def _write_figure(source: str, title: str) -> str:
    shown, address = escape_html(title), escape_html(source)
    return f'<figure><img src="{address}" alt="{shown}"><figcaption>{shown}</figcaption></figure>'


def embed_inspections(folders: Sequence[Path], weights: str) -> Sequence[str]:
    """The pictures of inspections as figures that stand alone, for the report of a build; none of
    one that there is not, or not of weights with this hash."""
    return [figure for folder in folders for figure in _embed_inspection(folder, weights)]


def _embed_inspection(folder: Path, weights: str) -> Sequence[str]:
    try:
        found = parse_json((folder / SUMMARY).read_text(encoding="utf-8"))
        if not isinstance(found, dict) or found["sha256"] != weights:
            return ()
        pictures = found["pictures"][:MOST_EMBEDDED]
        return tuple(_embed(folder, p, found["rows"], found["net"]) for p in pictures)
    except (OSError, ValueError, LookupError, TypeError):
        return ()


def _embed(
    folder: Path, picture: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], net: str
) -> str:
    name = Path(picture["file"]).name  # nothing outside of the folder, whatever the file says
    data = base64.b64encode((folder / name).read_bytes()).decode("ascii")
    row = picture["row"]
    of_row = "" if row is None else f", {describe_row(rows[row])}"
    return _write_figure(f"data:image/png;base64,{data}", f"{net}: {picture['title']}{of_row}")
