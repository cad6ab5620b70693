"""Import lines of generated Python, in the order that linters want: those whose names it uses."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from symtable import SymbolTable, symtable

IMPORTS = {
    "Any": "from typing import Any",
    "Callable": "from collections.abc import Callable",
    "Iterable": "from collections.abc import Iterable",
    "Iterator": "from collections.abc import Iterator",
    "DataLoader": "from torch.utils.data import DataLoader",
    "Dataset": "from torch.utils.data import Dataset",
    "field": "from dataclasses import field",
    "DistributedDataParallel": "from torch.nn.parallel import DistributedDataParallel",
    "F": "import torch.nn.functional as F",
    "BadZipFile": "from zipfile import BadZipFile",
    "OrderedDict": "from collections import OrderedDict",
    "Path": "from pathlib import Path",
    "Tensor": "from torch import Tensor",
    "argparse": "import argparse",
    "dataclass": "from dataclasses import dataclass",
    "dist": "import torch.distributed as dist",
    "fnmatchcase": "from fnmatch import fnmatchcase",
    "gc": "import gc",
    "json": "import json",
    "load_file": "from safetensors.torch import load_file",
    "Image": "from PIL import Image",
    "checkpoint": "from torch.utils.checkpoint import checkpoint",
    "copy": "import copy",
    "shutil": "import shutil",
    "math": "import math",
    "nn": "from torch import nn",
    "np": "import numpy as np",
    "os": "import os",
    "partial": "from functools import partial",
    "SafetensorError": "from safetensors import SafetensorError",
    "safe_open": "from safetensors import safe_open",
    "save_file": "from safetensors.torch import save_file",
    "SummaryWriter": "from torch.utils.tensorboard import SummaryWriter",
    "mlflow": "import mlflow",
    "trackio": "import trackio",
    "wandb": "import wandb",
    "parquet": "from pyarrow import parquet",
    "pd": "import pandas as pd",
    "reduce": "from functools import reduce",
    "sys": "import sys",
    "time": "import time",
    "torch": "import torch",
    "tqdm": "from tqdm import tqdm",
    "zlib": "import zlib",
}
"""What generated code may use without saying where it is from, and the line that brings it."""


def write_imports(body: str, extra: Iterable[str] = ()) -> list[str]:
    """Sections of imports for code with this body: the standard library's, then others'.

    `extra` are lines that it needs besides. The body is parsed, so that words of comments and
    texts bring nothing in, nor names that it binds itself: a tensor `time`.
    """
    used = set(_find_free(symtable(body, "", "exec")))
    lines = {*extra, *(IMPORTS[name] for name in used & IMPORTS.keys())}
    sections: tuple[list[str], list[str]] = ([], [])
    for line in _merge(lines):
        sections[_module(line).split(".")[0] not in sys.stdlib_module_names].append(line)
    return [*sections[0], "", *sections[1]] if sections[0] else sections[1]


def _find_free(scope: SymbolTable) -> Iterator[str]:
    """Names that code reads and does not bind itself."""
    for symbol in scope.get_symbols():
        outside = symbol.is_global() and not symbol.is_declared_global()
        bound = symbol.is_assigned() or symbol.is_imported()
        if symbol.is_referenced() and (outside or scope.get_type() == "module") and not bound:
            yield symbol.get_name()
    for inner in scope.get_children():
        yield from _find_free(inner)


def _module(line: str) -> str:
    return line.split()[1]


def _merge(lines: Iterable[str]) -> list[str]:
    """Plain imports first, then one `from` line per module, each sorted."""
    plain: list[str] = []
    names: dict[str, set[str]] = {}
    for line in sorted(lines):
        found = re.fullmatch(r"from (\S+) import (.+)", line)
        if found is None:
            plain.append(line)
        else:
            names.setdefault(found[1], set()).update(n.strip() for n in found[2].split(","))
    ordered = sorted(plain, key=lambda line: (_module(line).lower(), line))
    for module in sorted(names, key=str.lower):
        ordered.append(f"from {module} import {', '.join(sort_names(names[module]))}")
    return ordered


def sort_names(names: Iterable[str]) -> list[str]:
    """Imported names: constants, then classes, then the rest (isort's `order-by-type`)."""

    def rank(name: str) -> tuple[int, str]:
        if name.isupper() and len(name) > 1:
            return 0, name
        return (1 if name[0].isupper() else 2), name

    return sorted(names, key=rank)
