"""Hostile texts: each has broken a generator of code somewhere."""

from __future__ import annotations

import builtins
import keyword
import re
from random import Random

from backends.pytorch.modules import ASSIGNED
from compiler.writing.files import find_name_fault
from compiler.writing.names import LOCAL_RESERVED, MODULE_ATTRIBUTES, SCRIPT_GLOBALS, is_attribute

CODE = (
    'open("EXECUTED", "w")',
    "__import__('os').system('touch EXECUTED')",
    '"""\nopen("EXECUTED", "w")\n"""',
    "'''\nraise SystemExit\n'''",
    '"); raise SystemExit; ("',
    "'); raise SystemExit; ('",
    "}; raise SystemExit; {",
    '"] + [exit()] + ["',
    "\\",
    '\\"',
    '\\\\"; exit(); "',
    "\\N{DIGIT ONE}\\x00\\u0022",
    '"',
    '""',
    '"""',
    '""""',
    "'",
    "''' \"\"\"",
    'a"""b',
    "{exit()}",
    "{{exit()}}",
    "{0.__class__}",
    "%(prog)s %s %d 100%",
    "$model ${loss} $$",
    "#? not folder",
    "  #? clip",
    "# fmt: off",
    "# -*- coding: utf-7 -*-",
    "# noqa",
    "x\rraise SystemExit",
    "x\nraise SystemExit",
    "x\x0craise SystemExit",
    "x\x0braise SystemExit",
    "x\x85raise SystemExit",
    "x\u2028raise SystemExit",
    "x\u2029raise SystemExit",
    "\x1b[31mred\x1b[0m",
    "\x00nul",
    "\u202etxet\u202c",
    "\u2066isolate\u2069",
    "\ufeffbom",
    "\u200bzero",
    "a\u00a0b",
    "e\u0301 é",
    "ﬁ",
    "fi",
    "𝐟𝐢",
    "x²",
    "ªº",
    "①",
    "ϴ",
    "K",
    "\u0301",
    "名前",
    "😀",
    "[bold]x[/bold]",
    "[/]",
    "| pipe | `code` |",
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    "&amp;&#x3c;",
    "*a* _b_ ~~c~~ [d](javascript:alert(1))",
    "../../x",
    "/etc/passwd",
    "..",
    ".",
    "-o",
    "--help",
    "con",
    "NUL",
    "a:b",
    "a/b\\c",
    "C:\\users\\new",
    "~root",
    "math.pi F.relu np.x json.dumps torch.x Any Callable[ OrderedDict( fnmatchcase(",
    "x" * 200,
    "é" * 60,
    "0",
    "1.5",
    "2nd",
    "a.b",
    "a.0",
    "features.2",
    "%1 of",
    "%",
    "§1",
    "x§2",
    "a b",
    "a-b",
    "a_b",
    "lambda x: 1",
    "_",
    "__",
    "__x",
    "__init__",
    "__class__",
    "__dict__",
    "_modules",
    "_parameters",
    "class_",
    "self_",
    "model_",
    "Net",
    "total",
    "batch",
    "index",
    "weight",
    "figures",
    "splits",
    "raw",
    "loaded",
    "training",
    "epoch",
    "replica",
    "test",
    "val",
    "train.loss",
    "options",
    "record",
    "step",
)

WORDS = tuple(
    sorted(
        {
            *keyword.kwlist,
            *keyword.softkwlist,
            *LOCAL_RESERVED,
            *SCRIPT_GLOBALS,
            *MODULE_ATTRIBUTES,
            *(name for name in dir(builtins) if not name.startswith("__")),
        }
    )
)


def draw_text(random: Random) -> str:
    """Any text."""
    if random.random() < 0.1:
        return "".join(random.choice(CODE) for _ in range(2))
    return random.choice(CODE if random.random() < 0.7 else WORDS)


def draw_line(random: Random) -> str:
    """A text that can stand in a line of a spec."""
    return draw_text(random).replace("\n", " ").replace("\r", " ")


def draw_name(random: Random) -> str:
    """A text that can stand between backticks."""
    return draw_line(random).replace("`", "'").strip() or "x"


def draw_layer(random: Random) -> str:
    """A name that may be part of a path."""
    while True:
        name = draw_name(random)
        if re.fullmatch(r"[^\W\d]\w*", name) and name not in ASSIGNED:
            return name


def draw_weight(random: Random) -> str:
    """A name that a parameter of a module may have, and that its class keeps as others."""
    while True:
        name = draw_layer(random)
        if not is_attribute(name):
            return name


def draw_item(random: Random) -> str:
    """A name that an item may have."""
    while True:
        name = draw_name(random)
        if find_name_fault(name) is None:
            return name
