"""Import lines of a training script, in the order that linters want."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

ALWAYS = (
    "import argparse",
    "import gc",
    "import json",
    "import os",
    "import sys",
    "import time",
    "from dataclasses import dataclass",
    "from pathlib import Path",
    "import numpy as np",
    "import torch",
    "import torch.distributed as dist",
    "from safetensors import safe_open",
    "from safetensors.torch import load_file, save_file",
    "from torch import Tensor, nn",
    "from tqdm import tqdm",
)
WHERE_USED = (
    (r"\bmath\.", "import math"),
    (r"\bfnmatchcase\(", "from fnmatch import fnmatchcase"),
    (r"\bDistributedDataParallel\(", "from torch.nn.parallel import DistributedDataParallel"),
    (r"\bF\.", "import torch.nn.functional as F"),
)


def emit_imports(body: str, extra: Iterable[str]) -> list[str]:
    """Sections of imports for a script with this body; `extra` are lines of the data source."""
    lines = {*ALWAYS, *extra}
    lines |= {line for pattern, line in WHERE_USED if re.search(pattern, body)}
    sections: tuple[list[str], list[str]] = ([], [])
    for line in _merge(lines):
        sections[_module(line).split(".")[0] not in sys.stdlib_module_names].append(line)
    return [*sections[0], "", *sections[1]]


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
