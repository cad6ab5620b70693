"""Classes -> the text of a Python module: the only code that prints Python."""

from __future__ import annotations

from collections.abc import Iterable

from backends.pytorch.classes.bounds import find_checked
from backends.pytorch.classes.explained import Class
from backends.pytorch.classes.merged import Formal
from backends.pytorch.classes.paths import Paths
from backends.pytorch.print.asserting import write_asserts
from backends.pytorch.print.checks import write_checks
from backends.pytorch.print.constructor import INDENT, Constructor
from backends.pytorch.print.forward import Forward
from backends.pytorch.print.reading import Reading
from backends.pytorch.print.shapes import Shapes
from backends.pytorch.terms.document import STEP, Doc, Group, lay_out
from backends.pytorch.terms.expressions import Expressions
from backends.pytorch.terms.helpers import find_helpers
from backends.pytorch.terms.setting import Setting
from compiler.types.tensor import TensorType
from compiler.vocabulary.no_default import NO_DEFAULT
from compiler.writing.imports import write_imports
from compiler.writing.python import WIDTH, write_comment, write_docstring, write_literal

MOST_NAMED = 8
"""Outputs of a function that its annotation lists one by one."""


def write_class(target: Class) -> list[str]:
    """The lines of a class, or of the function of a block without state."""
    paths = Paths(target)
    expressions = Expressions(paths.read)
    checked = set() if target.is_function else find_checked(target)  # functions check no sizes
    reading = Reading(target, checked)
    if target.is_function:
        return _write_function(target, reading, expressions, paths)
    if target.is_chain:
        return _write_chain(target, expressions, paths)
    # a call whose results nobody reads leaves its weights, and no forward
    body = _write_forward(target, reading, expressions, paths) if target.outputs else []
    made = Constructor(paths, expressions).write(reading.stored, reading.floats)
    lines = [f"class {target.name}(nn.Module):", *_docstring(target, STEP)]
    if made:
        lines += [*_signature(target), f"{' ' * INDENT}super().__init__()", *made]
        lines += [""] if body else []
    return lines + body


def _write_chain(target: Class, expressions: Expressions, paths: Paths) -> list[str]:
    made = Constructor(paths, expressions).chain()
    head = [f"class {target.name}(nn.Sequential):", *_docstring(target, STEP)]
    return [*head, *_signature(target), *made]


def _write_function(
    target: Class, reading: Reading, expressions: Expressions, paths: Paths
) -> list[str]:
    given = [f"{label}: nn.Module" for label in target.modules_given]
    given += [f"{label}: {_kind(target, place)}" for place, label in enumerate(target.formals)]
    given += [_argument(s) for s in sort_settings(target)]
    head: Doc = (f"def {target.name}", Group("(", tuple(given), ")"))
    lines = [*_decorate(target, 0), *lay_out("", head, 0, f" -> {_result(target)}:")]
    body = Forward(target, reading, expressions, STEP, paths).write()
    names = "" if _names_results(body[-1]) else _result_names(target)
    if len(lines[-1]) + len(names) <= WIDTH:
        lines[-1] += names
    doc = write_docstring(target.doc, STEP)
    top = write_asserts(target, expressions, reading.argument, STEP)
    return lines + doc + _shape_line(target, STEP) + top + reading.unpack(STEP) + body


def _decorate(target: Class, indent: int) -> list[str]:
    """What stands over a function that differentiates: it does so under `torch.no_grad()` too."""
    records = any(body.frame in body.index.recording for body in target.bodies)
    return [f"{' ' * indent}@torch.enable_grad()"] if records else []


def _kind(target: Class, place: int) -> str:
    """The annotation of what comes in: a tensor, a list of them, or what else is given."""
    if target.is_list(Formal(place)):
        return "list[Tensor]"
    return target.bodies[0].index.holders.annotate(target.formal_value(place, 0))


def _write_forward(
    target: Class, reading: Reading, expressions: Expressions, paths: Paths
) -> list[str]:
    formals = [f"{label}: {_kind(target, place)}" for place, label in enumerate(target.formals)]
    head: Doc = ("def forward", Group("(", ("self", *formals), ")"))
    body = Forward(target, reading, expressions, INDENT, paths).write()
    lines = [*_decorate(target, STEP), *lay_out("", head, STEP, f" -> {_result(target)}:")]
    names = _result_names(target)
    if len(lines[-1]) + len(names) <= WIDTH:
        lines[-1] += names
    top = reading.unpack(INDENT) + write_checks(target, reading, expressions, INDENT)
    return lines + _shape_line(target, INDENT) + top + body


def _docstring(target: Class, indent: int) -> list[str]:
    lines = write_docstring(target.doc, indent)
    return [*lines, ""] if lines else []


def sort_settings(target: Class) -> list[Setting]:
    """Arguments of a class in the order of its signature: required ones first."""
    chosen = [s for s in target.settings if not s.runtime]
    return sorted(chosen, key=lambda s: (s.default is not NO_DEFAULT, s.fresh))


def _argument(setting: Setting) -> str:
    text = f"{setting.label}: {setting.annotation}"
    return text if setting.default is NO_DEFAULT else f"{text} = {write_literal(setting.default)}"


def _signature(target: Class) -> list[str]:
    items: tuple[Doc, ...] = ("self", *map(_argument, sort_settings(target)))
    return lay_out("", ("def __init__", Group("(", items, ")")), STEP, " -> None:")


def _result(target: Class) -> str:
    kinds = ["list[Tensor]" if target.is_list(ref) else "Tensor" for ref in target.outputs]
    if len(kinds) > MOST_NAMED and set(kinds) == {"Tensor"}:
        return "tuple[Tensor, ...]"
    return kinds[0] if len(kinds) == 1 else f"tuple[{', '.join(kinds)}]"


def _names_results(last: str) -> bool:
    """Whether the last line of a function says by variables what it returns."""
    names = last.strip().removeprefix("return ").split(", ")
    return last.strip().startswith("return ") and all(name.isidentifier() for name in names)


def _result_names(target: Class) -> str:
    """Names of several outputs, behind the annotation of the result."""
    if not target.is_root or len(target.outputs) == 1:
        return ""
    names = [output.name for output in target.bodies[0].index.graph.outputs]
    if target.is_function and not all(name.isidentifier() for name in names):
        return ""  # the graph has made names up
    return f"  {write_comment(', '.join(names))}"


def _shape_line(target: Class, indent: int) -> list[str]:
    """The shapes of the inputs, in a comment of one line."""
    shapes = Shapes(target)
    parts = []
    for place, label in enumerate(target.formals):
        shape = shapes.text(Formal(place))
        if shape is not None:
            parts.append(f"{label}: {_dtype(target, place)}{shape}")
    text = f"{' ' * indent}# {'; '.join(parts)}"
    return [text] if parts and len(text) <= WIDTH else []


def _dtype(target: Class, place: int) -> str:
    """The element type of an input where it is not the usual one."""
    types: set[TensorType] = {target.type_of(Formal(place), 0)}
    name = str(next(iter(types)).dtype)
    return "" if name == "f32" else name


def write_module(classes: Iterable[Class], title: str) -> str:
    """A whole file: what it is, imports, classes."""
    text = "\n\n\n".join("\n".join(write_class(target)) for target in classes)
    text = "\n\n\n".join([*find_helpers(text), text])
    doc = write_docstring(f"{title}", 0)
    return "\n".join([*doc, "", *write_imports(text), "", "", text]) + "\n"
