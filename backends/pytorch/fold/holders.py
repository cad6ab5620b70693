"""What a function is given beside tensors: modules, whose weights and mode it reads, and others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from backends.pytorch.terms.naming import MARK
from backends.pytorch.terms.terms import Form, Tree, name
from compiler.ir.frame import Frame
from compiler.ir.graph import Parameter
from compiler.types.tensor import DType, TensorType
from compiler.writing.names import is_attribute, is_plain
from compiler.writing.python import write_string

MODE = name("self.training")
"""How an op spells that it acts in training only; in a function, the mode comes in as a value."""
MODE_TYPE = TensorType(DType.BOOL, ())
_MODE_VALUE = f"{MARK}training "
"""What the value of a mode begins with; the variable of the module follows."""
_GIVEN_VALUE = f"{MARK}given "
"""What the value of another argument begins with; its name follows."""
HELD = "held"
"""The op of an item that reads a weight or mode off a module."""


def is_mode(value: str) -> bool:
    """Whether a value is the mode of a module: `model.training`."""
    return value.startswith(_MODE_VALUE)


def is_given(value: str) -> bool:
    """Whether a value is an argument that is no tensor: the generator of draws, say."""
    return value.startswith(_GIVEN_VALUE)


def name_held(value: str) -> str:
    """What a variable for a mode, an argument or a weight is called: `hidden_weight`."""
    if is_mode(value):
        return "training"
    if is_given(value):
        return value.removeprefix(_GIVEN_VALUE)
    return "_".join(part for part in value.split(".")[-2:] if part.isidentifier())


@dataclass(frozen=True)
class Holders:
    """The modules that a function is given.

    Args:
        variables: the argument that holds each net, by where its parameters live (`"m."`, `""`).
        trained: the argument whose mode is that of the function itself: frozen nets stay in
            evaluation mode.
        others: types of the arguments that are neither nets nor tensors, by their names. They stand
            last, in functions of blocks as well.
        free: paths of parameters that belong to no net: they come in as tensors.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    trained: str = ""
    others: Mapping[str, str] = field(default_factory=dict)
    free: Collection[str] = ()

    def holds(self, path: str) -> bool:
        """Whether a parameter belongs to one of the modules."""
        return path not in self.free and self._find(path) is not None

    def read(self, parameter: Parameter) -> Tree:
        """`model.hidden.weight`, or `model.get_parameter("0.weight")` where a part of the path is
        no name."""
        variable, inner = self._split(parameter.path)
        method = "get_parameter" if parameter.trainable else "get_buffer"
        tree = name(variable)
        if not _is_readable(inner):
            return Tree(Form.METHOD, method, (tree, name(write_string(inner))))
        for part in inner.split("."):
            tree = Tree(Form.ATTRIBUTE, part, (tree,))
        return tree

    def spell_module(self, path: str) -> str:
        """`model.backbone`, or `model.get_submodule("encoders.0")`."""
        variable, inner = self._split(path)
        if _is_readable(inner):
            return f"{variable}.{inner}"
        return f"{variable}.get_submodule({write_string(inner)})"

    def _split(self, path: str) -> tuple[str, str]:
        """The variable of the net that a path belongs to, and the rest of the path."""
        found = self._find(path)
        assert found is not None, f"no net holds {path}"
        return self.variables[found], path.removeprefix(found)

    def find_mode(self, frame: Frame) -> str:
        """The value that says whether what stands in a frame trains: as the net that it is a
        part of does, else as the function itself."""
        found = self._find(f"{frame.path}.") or ""
        return f"{_MODE_VALUE}{self.variables[found] if found else self.trained}"

    def read_mode(self, value: str) -> Tree:
        """`model.training`."""
        return name(f"{value.removeprefix(_MODE_VALUE)}.training")

    @property
    def given(self) -> Mapping[Tree, str]:
        """The values of the other arguments, by how ops spell these."""
        return {name(other): f"{_GIVEN_VALUE}{other}" for other in self.others}

    def annotate(self, value: str) -> str:
        """The type of an argument."""
        if is_given(value):
            return self.others[name_held(value)]
        return "bool" if is_mode(value) else "Tensor"

    def _find(self, path: str) -> str | None:
        """Where the parameters of the net live that a path belongs to."""
        fitting = (prefix for prefix in self.variables if path.startswith(prefix))
        return max(fitting, key=len, default=None)


def _is_readable(path: str) -> bool:
    """Whether a path can be read with dots."""
    return all(is_plain(part) and not is_attribute(part) for part in path.split("."))
