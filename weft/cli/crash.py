"""An exception that nothing caught is a fault of Weft: one line, and a report to send with it."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

from compiler.report.diagnostics import Message
from compiler.report.messages.files import crashed
from compiler.system.files import write_text

VARIABLE = "WEFT_TRACEBACK"
"""The environment variable that shows the traceback too."""

MODULES = ("weft", "numpy", "torch", "onnx", "onnxruntime", "safetensors")
"""The modules whose versions a report names, by the packages that brought them."""


def describe_crash(error: Exception) -> Message:
    """The message about an exception that nothing caught; a report of it is written."""
    trace = traceback.TracebackException.from_exception(error, limit=-200)
    # The text of an exception may quote the user's data: the report has its type and the lines of
    # Weft that led there.
    name = type(error).__name__
    if os.environ.get(VARIABLE):
        traceback.print_exception(error)
    last = trace.stack[-1] if trace.stack else None
    place = f"{Path(last.filename).name}:{last.lineno}" if last is not None else "an unknown place"
    return crashed(None, name, place, _write_report(name, trace), VARIABLE)


def _write_report(name: str, trace: traceback.TracebackException) -> str | None:
    """Writes the report; its path, or None where no folder takes it."""
    lines = [
        f"command: weft {' '.join(sys.argv[1:])}",
        f"python: {platform.python_version()} on {platform.platform()}",
        *list_versions(),
        "",
        *(line.rstrip("\n") for line in trace.stack.format()),
        name,
    ]
    # A file's name may be no text, and stands in the command line.
    text = "\n".join(lines).encode("utf-8", "backslashreplace").decode("utf-8")
    path = Path(tempfile.gettempdir()) / f"weft-crash-{os.getpid()}.txt"
    try:
        write_text(path, text + "\n")
    except OSError:
        return None
    return str(path)


def list_versions() -> Iterator[str]:
    """A line for each module: several packages bring `onnxruntime`."""
    installed = packages_distributions()
    for module in MODULES:
        names = sorted(set(installed.get(module, ())))
        found = [version(name) if name == module else f"{version(name)} ({name})" for name in names]
        yield f"{module}: {', '.join(found) or 'not installed'}"
