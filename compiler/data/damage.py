"""What libraries raise for files that are cut short, altered, or lie about their contents."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib

UNREADABLE = (
    EOFError,
    IndexError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""NumPy, zipfile, gzip and Pillow document few of the exceptions that damaged bytes give. Most of
these were met in thirty thousand damaged files; the rest are raised by their code for headers that
are no header."""
