"""Identifiers of generated code: valid in Python, free where they stand, the author's if possible.

Python compares identifiers after NFKC, so `ﬁ` and `fi` are one variable there: names are brought
into that form first, and what then is equal gets a number.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Collection, Iterable
from unicodedata import normalize

from compiler.writing.imports import IMPORTS

SOFT_KEYWORDS = frozenset({"_", "case", "match", "type"})
"""Words of some statements; `_` is also where generated code puts what it does not need."""

LONGEST = 48
"""Letters of a variable: what a column is called may be a sentence."""

_AMBIGUOUS = frozenset({"l", "O", "I"})  # ruff's E741

_USED_BUILTINS = """
FileNotFoundError KeyError KeyboardInterrupt RuntimeError TypeError ValueError
abs bool dict float getattr int isinstance len list max min next print range round self str sum
super tuple zip
"""
_SCRIPT_LOCALS = """
Any Callable DistributedDataParallel F OrderedDict Path Tensor dist fnmatchcase load_file math nn np
SafetensorError safe_open save_file torch tqdm
"""

_HELPERS = """
masked_batch_norm nms round_to_bytes round_to_steps run_cells run_diagonal_rnn run_gru run_lstm
run_packed run_peephole_lstm run_recurrent spectral_norm top_k
"""
"""Functions that generated modules bring along."""

_HELPER_CLASSES = """
CellLayers DiagonalRNN DynamicLinear FakeQuantize LearnedConv1d LearnedConv2d LearnedConv3d
LearnedLinear LearnedQuantize MaskedBatchNorm PackedLinear PeepholeLSTM RoundedConv1d RoundedConv2d
RoundedConv3d RoundedLinear
"""
"""Classes that they bring along."""

LOCAL_RESERVED = frozenset(
    {
        *SOFT_KEYWORDS,
        *_AMBIGUOUS,
        *_USED_BUILTINS.split(),
        *_SCRIPT_LOCALS.split(),
        *_HELPERS.split(),
    }
)
"""What functions of a spec may use: no argument or variable of theirs has such a name."""

_SCRIPT_GLOBALS = """
ACCUMULATE BATCH CHARTS CHECKPOINT CLIP DECAY DECAYS EPOCHS EPOCH_STEPS History L1 L2 LASSO
LEARNING_RATE LEARNING_RATES NAME PATIENCE PENALIZED Parts RANK ROW Rows SEED SETTINGS SHRUNK Source
Splits WORKERS WORLD add_gradients add_moments all_rows all_sum average_gradients balance_rows
check_range check_values compute_columns compute_figures compute_loss compute_updates count_steps
evaluate find_best find_class_weights find_decay find_mean find_median find_most_frequent
find_spread find_weight_decay
find_windows fit_figures gather_moments join_processes list_batches load load_splits main measure
merge_moments penalize read_batches read_mean read_options read_rows save save_best save_grid
save_samples schedule select_rows shrink_groups split_parameters train train_epoch update
update_average update_buffers write_rows
"""
SCRIPT_GLOBALS = frozenset(_SCRIPT_GLOBALS.split())
"""What a training script defines: classes and functions of a spec have other names."""

SCRIPT_LOCALS = frozenset(
    {"bar", "batch", "batches", "begun", "chosen", "column", "columns", "device", "draws"}
    | {"batch_rows", "epoch", "factor"}
    | {
        "group",
        "layer",
        "loss",
        "losses",
        "model",
        "names",
        "optimizer",
        "order",
        "parameters",
        "part",
    }
    | {"parts", "rate", "replica", "rows", "scaler", "size", "start", "step", "steps", "sums"}
    | {
        "block",
        "checkpoint",
        "copy",
        "decay",
        "done",
        "enumerate",
        "hidden",
        "map",
        "partial",
        "sys",
        "trained",
    }
    | {"fault", "first", "keep", "kept", "saved", "warmup", "watched"}
)
"""What a training script reads where it also has variables for outputs and columns."""

STREAM_LOCALS = frozenset({"split"})
"""What it reads besides where rows are not held in memory."""

GLOBAL_RESERVED = (
    LOCAL_RESERVED
    | frozenset(_HELPER_CLASSES.split())
    | SCRIPT_GLOBALS
    | IMPORTS.keys()
    | frozenset(dir(builtins))
)
"""What no class or function of a spec is called."""

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
_PUBLIC_ATTRIBUTES = frozenset(_MODULE_ATTRIBUTES.split())
_PRIVATE_ATTRIBUTES = """
_apply _backward_hooks _backward_pre_hooks _buffers _call_impl _compiled_call_impl
_forward_hooks _forward_hooks_always_called _forward_hooks_with_kwargs _forward_pre_hooks
_forward_pre_hooks_with_kwargs _get_backward_hooks _get_backward_pre_hooks _get_name
_is_full_backward_hook _is_hf_initialized _load_from_state_dict _load_state_dict_post_hooks
_load_state_dict_pre_hooks _maybe_warn_non_full_backward_hook _modules _named_members
_non_persistent_buffers_set _parameters _register_load_state_dict_pre_hook
_register_state_dict_hook _replicate_for_data_parallel _save_to_state_dict _slow_forward
_state_dict_hooks _state_dict_pre_hooks _version _wrapped_call_impl
"""
MODULE_ATTRIBUTES = _PUBLIC_ATTRIBUTES | frozenset(_PRIVATE_ATTRIBUTES.split())
"""Attributes of `torch.nn.Module`: a submodule of such a name cannot be read as `self.x`."""

CONTAINER_ATTRIBUTES = frozenset(
    {"append", "clear", "extend", "insert", "items", "keys", "pop", "update", "values"}
    | {"_get_item_by_idx"}
)
"""What `torch.nn.ModuleDict` and `torch.nn.Sequential` have besides."""


def is_plain(name: str) -> bool:
    """Whether it can follow a dot, and is still itself there: Python reads `self.ﬁ` as `self.fi`,
    and `self.__x` as `self._Class__x`."""
    return (
        name.isidentifier()
        and not keyword.iskeyword(name)
        and not name.startswith("__")
        and normalize("NFKC", name) == name
    )


def is_attribute(name: str) -> bool:
    """Whether every `nn.Module` has it, or Python may come to mean something by it."""
    return name in MODULE_ATTRIBUTES or name.startswith("__")


def is_key(name: str) -> bool:
    """Whether a `ModuleDict` or a `Sequential` may hold a module under this name: they refuse
    those of their own attributes."""
    return name not in CONTAINER_ATTRIBUTES and not is_attribute(name)


def spell_name(name: str) -> str:
    """The nearest identifier that is no keyword: `PT08.S1(CO)` -> `PT08_S1_CO`."""
    text = normalize("NFKC", name)
    if not text.isidentifier():
        text = "".join(char if f"x{char}".isidentifier() else " " for char in text)
        text = re.sub(r" +", "_", text).strip("_")
    if text.startswith("__") or text == "_":  # the first is mangled in classes, the second lost
        text = text.strip("_")
    if not text.isidentifier():
        text = normalize("NFKC", f"x{text}")
    return f"{text}_" if keyword.iskeyword(text) else text


def safe_name(name: str) -> str:
    """The name as a variable or parameter of generated code."""
    text = spell_name(name)[:LONGEST]
    return f"{text}_" if text in LOCAL_RESERVED or keyword.iskeyword(text) else text


def function_name(name: str) -> str:
    """The name of a block without state, as a function."""
    text = safe_name(name)
    return f"{text}_" if text in GLOBAL_RESERVED else text


def class_name(name: str) -> str:
    """`self_attention` -> `SelfAttention`; names with capitals stay as they are."""
    text = spell_name(name).rstrip("_")
    if "_" in text or text[:1].islower():
        text = "".join(word[:1].upper() + word[1:] for word in text.split("_"))
    if not text.isidentifier():  # nothing is left of `_`, a digit of `_0`
        text = f"Net{text}"
    return f"{text}_" if text in GLOBAL_RESERVED or keyword.iskeyword(text) else text


def free_name(wish: str, taken: Collection[str], separator: str = "") -> str:
    """The wish, or with the first number from 2 that makes it free."""
    found, count = wish, 2
    while found in taken:
        found, count = f"{wish}{separator}{count}", count + 1
    return found


def name_all(names: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """An identifier for each name, no two alike and none that is taken."""
    found: dict[str, str] = {}
    used = set(taken)
    for name in names:
        if name not in found:
            found[name] = free_name(safe_name(name), used, "_")
            used.add(found[name])
    return found
