"""Names in generated code: valid in Python, free where they stand, the author's if possible."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Collection

_MODULE_ATTRIBUTES = """
T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double
dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter get_submodule
half ipu load_state_dict modules mtia named_buffers named_children named_modules named_parameters
parameters register_backward_hook register_buffer register_forward_hook
register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module
register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_
set_extra_state set_submodule share_memory state_dict to to_empty train training type xpu
zero_grad
"""
MODULE_ATTRIBUTES = frozenset(_MODULE_ATTRIBUTES.split())
"""Public attributes of `torch.nn.Module`: a submodule of such a name cannot be read as `self.x`."""

DICT_ATTRIBUTES = frozenset({"clear", "items", "keys", "pop", "update", "values"})
"""What `torch.nn.ModuleDict` has besides. It refuses keys of either kind."""

IMPORTED = frozenset({"F", "Tensor", "nn", "torch", "Callable", "OrderedDict"})
"""What the generated file imports."""

_AMBIGUOUS = frozenset({"l", "O", "I"})  # ruff's E741
_SHADOWED = frozenset({"self", "super", "print", "range", "tuple", "int", "bool", "float", "str"})


def is_plain(name: str) -> bool:
    """Whether it can follow a dot."""
    return name.isidentifier() and not keyword.iskeyword(name)


def safe_name(name: str) -> str:
    """The name as a variable or parameter of generated code."""
    text = name if name.isidentifier() else re.sub(r"\W+", "_", name).strip("_")
    if not text or text[0].isdigit():
        text = f"x{text}"
    taken = keyword.iskeyword(text) or text in IMPORTED | _AMBIGUOUS | _SHADOWED
    return f"{text}_" if taken else text


def function_name(name: str) -> str:
    """The name of a block without state, as a function; builtins are not overwritten."""
    text = safe_name(name)
    return f"{text}_" if hasattr(builtins, text) else text


def class_name(name: str) -> str:
    """`self_attention` -> `SelfAttention`; names with capitals stay as they are."""
    text = safe_name(name).rstrip("_")
    if "_" in text or text[:1].islower():
        text = "".join(word[:1].upper() + word[1:] for word in text.split("_"))
    return f"{text}_" if text in IMPORTED or keyword.iskeyword(text) else text


def free_name(wish: str, taken: Collection[str], separator: str = "") -> str:
    """The wish, or with the first number from 2 that makes it free."""
    found, count = wish, 2
    while found in taken:
        found, count = f"{wish}{separator}{count}", count + 1
    return found


def user_name(value: str) -> str:
    """The author's name of a value: `features.2` -> `features`; "" where there is none."""
    value = re.sub(r"(§\d+)+$", "", value)  # the loop that it is in
    if not value or value.startswith("%"):
        return ""
    return safe_name(re.sub(r"(\.\d+)+$", "", value))


def singular(name: str) -> str:
    """What one member of a list is called in a loop."""
    last = name.rpartition(".")[2]
    if last.endswith("s") and not last.endswith("ss") and len(last) > 2:
        return safe_name(last[:-1])
    return "layer" if not last.isidentifier() else f"{last}_i"
