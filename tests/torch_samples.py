"""PyTorch's own samples of modules, said in Weft: what a sample of `module_db` is as a spec."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from hypothesis import settings
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_modules import ModuleInfo, module_db
    from torch.testing._internal.common_optimizers import OptimizerInfo, optim_db

settings.load_profile("weft")  # PyTorch's tests load one of their own

MODULES: Mapping[str, ModuleInfo] = {info.module_cls.__name__: info for info in module_db}
OPTIMIZERS: Mapping[str, OptimizerInfo] = {info.optim_cls.__name__: info for info in optim_db}


Said = tuple[list[str], list[str]]
"""Lines of a model, and the expressions of its outputs."""


class Unsaid(Exception):
    """A sample has an option that Weft has not."""


@dataclass
class Sample:
    """A module, and what it is called with. `options` are the arguments of its constructor that
    are no defaults; what takes one takes it out."""

    module: nn.Module
    options: dict[str, Any]
    inputs: list[Any]
    named: dict[str, Any]
    uses: str = ""
    rename: Callable[[str], str] = field(default=lambda name: name)

    @property
    def name(self) -> str:
        return type(self.module).__name__

    @property
    def state(self) -> dict[str, Tensor]:
        """Its parameters and buffers; a loss has none of its own."""
        if self.name.endswith("Loss"):
            return {}
        return {name: tensor.clone() for name, tensor in self.module.state_dict().items()}

    @property
    def tensors(self) -> list[Tensor]:
        """The inputs, one by one."""
        return [part for value in (*self.inputs, *self.named.values()) for part in flatten(value)]

    def letter(self, name: str) -> str:
        """What an input by keyword is called in the spec."""
        return NAMES[len(flatten(self.inputs)) + list(self.named).index(name)]

    def spec(self) -> str:
        """The spec with one model that computes the same.

        Raises:
            Unsaid: it has an option that Weft has not.
        """
        lines, results = say(self)
        if self.options:
            raise Unsaid(", ".join(sorted(self.options)))
        text = [f"use std.{self.uses}"] if self.uses else []
        text.append("model M {")
        for name, tensor in zip(NAMES, self.tensors, strict=False):
            dtype = str(tensor.dtype).removeprefix("torch.")
            # Blocks are for f32; their modules are brought to double afterwards.
            kind = "f32" if self.uses and dtype == "float64" else KINDS[dtype]
            text.append(f"    input {name}: {kind}{list(tensor.shape)}")
        text += [f"    {line}" for line in lines]
        text += [f"    output y{place} = {result}" for place, result in enumerate(results)]
        return "\n".join([*text, "}"])


KINDS = {"float64": "f64", "int64": "i64", "int32": "i32", "bool": "bool"}
NAMES = "abcdefgh"
SIZES = {
    "in_channels",
    "in1_features",
    "in2_features",
    "in_features",
    "num_features",
    "num_channels",
    "input_size",
    "device",
    "dtype",
    "inplace",
    "d_model",
    "embed_dim",
}
"""Arguments that Weft reads off the operands, or that say nothing about numbers."""

KERNEL = {"kernel_size": "kernel", "stride": "stride", "padding": "padding"}
CEIL = {"ceil_mode": "ceil_mode"}
CONV = KERNEL | {"out_channels": "out", "dilation": "dilation", "groups": "groups", "bias": "bias"}
LOSS = {"reduction": "reduction"}
NORM = {"eps": "eps", "affine": "affine"}

PLAIN: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "AdaptiveAvgPool": ("adaptive_avg_pool", {"output_size": "size"}),
    "AdaptiveMaxPool": ("adaptive_max_pool", {"output_size": "size"}),
    "AvgPool": (
        "avg_pool",
        KERNEL | CEIL | {"count_include_pad": "count_include_pad"},
    ),
    "MaxPool": ("max_pool", KERNEL | CEIL | {"dilation": "dilation"}),
    "BatchNorm": ("batch_norm", NORM | {"momentum": "momentum"}),
    "CELU": ("celu", {"alpha": "alpha"}),
    "Conv": ("conv", CONV),
    "ConvTranspose": ("conv_transpose", CONV | {"output_padding": "output_padding"}),
    "ELU": ("elu", {"alpha": "alpha"}),
    "Linear": ("dense", {"out_features": "out", "bias": "bias"}),
    "GELU": ("gelu", {"approximate": "approximate"}),
    "GLU": ("glu", {"dim": "axis"}),
    "GroupNorm": ("group_norm", NORM | {"num_groups": "groups"}),
    "Hardshrink": ("hard_shrink", {"lambd": "lambd"}),
    "Hardswish": ("hard_swish", {}),
    "Hardtanh": ("hard_tanh", {"min_val": "low", "max_val": "high"}),
    "InstanceNorm": ("instance_norm", NORM),
    "LayerNorm": (
        "layer_norm",
        {
            "normalized_shape": "axes",
            "eps": "eps",
            "elementwise_affine": "affine",
            "bias": "bias",
        },
    ),
    "LeakyReLU": ("leaky_relu", {"negative_slope": "negative_slope"}),
    "LocalResponseNorm": (
        "local_response_norm",
        {"size": "size", "alpha": "alpha", "beta": "beta", "k": "k"},
    ),
    "LogSigmoid": ("log_sigmoid", {}),
    "LogSoftmax": ("log_softmax", {"dim": "axis"}),
    "Mish": ("mish", {}),
    "PReLU": ("prelu", {"num_parameters": "per_channel", "init": "init"}),
    "RMSNorm": ("rms_norm", {"eps": "eps", "elementwise_affine": "affine"}),
    "ReLU": ("relu", {}),
    "ReLU6": ("relu6", {}),
    "SELU": ("selu", {}),
    "SiLU": ("silu", {}),
    "Sigmoid": ("sigmoid", {}),
    "Softmax": ("softmax", {"dim": "axis"}),
    "Softmin": ("softmin", {"dim": "axis"}),
    "Softplus": ("softplus", {"beta": "beta", "threshold": "threshold"}),
    "Softshrink": ("soft_shrink", {"lambd": "lambd"}),
    "Softsign": ("softsign", {}),
    "Tanh": ("tanh", {}),
    "Tanhshrink": ("tanh_shrink", {}),
    "Threshold": ("threshold", {"threshold": "threshold", "value": "value"}),
    "Embedding": (
        "embedding",
        {"num_embeddings": "count", "embedding_dim": "size", "padding_idx": "padding_idx"},
    ),
    "L1Loss": ("l1", LOSS),
    "SmoothL1Loss": ("smooth_l1", LOSS | {"beta": "beta"}),
    "KLDivLoss": ("kl", LOSS | {"log_target": "log_target"}),
    "MSELoss": ("mse", LOSS),
    "HuberLoss": ("huber", LOSS | {"delta": "delta"}),
    "BCELoss": ("bce", LOSS),
    "BCEWithLogitsLoss": ("bce_with_logits", LOSS | {"pos_weight": "pos_weight"}),
    "NLLLoss": ("nll", LOSS | {"weight": "weight", "ignore_index": "ignore_index"}),
    "CrossEntropyLoss": (
        "cross_entropy",
        LOSS
        | {
            "weight": "weight",
            "ignore_index": "ignore_index",
            "label_smoothing": "label_smoothing",
        },
    ),
}
"""Ops, and their options, by modules without the number of axes in their names."""

BLOCKS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "CosineEmbeddingLoss": ("losses", "cosine_embedding", LOSS | {"margin": "margin"}),
    "MarginRankingLoss": ("losses", "margin_ranking", LOSS | {"margin": "margin"}),
    "MultiMarginLoss": ("losses", "multi_margin", LOSS | {"p": "p", "margin": "margin"}),
    "Bilinear": ("activations", "bilinear", {"out_features": "out", "bias": "bias"}),
    "MultiLabelMarginLoss": ("losses", "multi_label_margin", LOSS),
    "SoftMarginLoss": ("losses", "soft_margin", LOSS),
    "MultiLabelSoftMarginLoss": ("losses", "multi_label_soft_margin", LOSS),
    "HingeEmbeddingLoss": ("losses", "hinge_embedding", LOSS | {"margin": "margin"}),
    "GaussianNLLLoss": ("losses", "gaussian_nll", LOSS | {"full": "full", "eps": "eps"}),
    "PoissonNLLLoss": (
        "losses",
        "poisson_nll",
        LOSS | {"full": "full", "log_input": "log_input", "eps": "eps"},
    ),
    **{
        f"LPPool{axes}d": ("vision", "lp_pool", {"norm_type": "p", **KERNEL, **CEIL})
        for axes in (1, 2, 3)
    },
}
"""Blocks of the library, and their options."""

PADDED = ("Pad1d", "Pad2d", "Pad3d")
PADS = {
    "Reflection": "reflect",
    "Replication": "replicate",
    "Zero": "constant",
    "Circular": "circular",
    "Constant": "constant",
}

WITHOUT = {
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LinearCrossEntropyLoss",
    "Transformer",
    "TransformerEncoder",
}
"""Modules that Weft has no equal for. One that gets an equal leaves the list."""

WITHOUT_OPTIMIZERS = {"ASGD", "Adafactor", "Rprop", "SparseAdam"}
"""The same of optimizers."""


def list_samples(info: ModuleInfo, *, training: bool) -> Iterator[Sample]:
    """The samples of a module, in double precision."""
    options = {"device": "cpu", "dtype": torch.float64}
    for item in info.module_inputs_func(info, **options, requires_grad=True, training=training):
        made, called = item.constructor_input, item.forward_input
        module = info.module_cls(*made.args, **made.kwargs).to(torch.float64).train(training)
        bound = inspect.signature(info.module_cls.__init__).bind(module, *made.args, **made.kwargs)
        defaults = {n: p.default for n, p in bound.signature.parameters.items()}
        given = bound.arguments | bound.arguments.pop("kwargs", {})
        if isinstance(module, nn.RNNBase):
            parameters = inspect.signature(nn.RNNBase.__init__).parameters
            defaults |= {name: p.default for name, p in parameters.items()}
        given = {n: v for n, v in given.items() if n != "self" and not _same(v, defaults.get(n))}
        if not given.get("track_running_stats") and "InstanceNorm" in info.name:
            given.pop("momentum", None)  # of statistics that are not kept
        if module._get_name().startswith("Lazy"):
            module(*called.args)  # makes the parameters, and another class of it
        named = {name: value for name, value in called.kwargs.items() if value is not None}
        inputs = [*called.args, *([named.pop("input")] if "input" in named else [])]
        yield Sample(module, {n: v for n, v in given.items() if n not in SIZES}, inputs, named)


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and not isinstance(value, Tensor) and value == default


def flatten(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if value and all(isinstance(part, int) for part in value):
        return [torch.tensor(value)]
    return [part for item in value for part in flatten(item)]


def spell(value: Any) -> str:
    """A value of Python in Weft."""
    match value:
        case None | True | False:
            return str(value).lower()
        case str():
            return f'"{value}"'
        case Tensor():
            return spell(value.tolist())
        case tuple() | list():
            return spell(value[0]) if len(value) == 1 else f"[{', '.join(map(spell, value))}]"
    return repr(value)


def say(sample: Sample) -> Said:
    """What computes what the module does.

    Raises:
        Unsaid: it has an option that Weft has not.
    """
    if sample.named and sample.name not in MASKED:
        raise Unsaid(", ".join(sorted(sample.named)))
    if any(0 in tensor.shape for tensor in sample.tensors):
        raise Unsaid("an axis without entries")
    if sample.name in SPECIAL:
        return SPECIAL[sample.name](sample)
    if sample.name.endswith(PADDED):
        return say_pad(sample)
    base = re.sub(r"[123]d$", "", sample.name)
    if sample.name in BLOCKS:
        sample.uses, op, words = BLOCKS[sample.name]
    else:
        op, words = PLAIN[base]
    indices = sample.options.pop("return_indices", False)
    if op == "rms_norm" and len(sample.options["normalized_shape"]) == 1:
        del sample.options["normalized_shape"]
    options = take(sample, words)
    op = "max_pool_indices" if indices else op
    if sample.name.startswith("LPPool") and sample.module.norm_type % 2:
        raise Unsaid("powers of numbers below 0")
    lone = sample.tensors[0].dim() + 1 == count_axes(sample.name)
    operands = [f"unsqueeze({n}, 0)" if lone else n for n in NAMES[: len(sample.tensors)]]
    call = f"{op}({', '.join([*operands, *options])})"
    call += " as layer" if sample.state else ""
    if indices:
        return [f"r, places = {call}"], ["r", "places"]
    kept = getattr(sample.module, "reduction", "none") == "none"
    return [f"r = {call}"], ["squeeze(r, 0)" if lone and kept else "r"]


def count_axes(name: str) -> int | None:
    """How many axes an operand has that Weft takes with a batch alone; None where it may have any
    number."""
    if name in ("CrossEntropyLoss", "NLLLoss", "MultiLabelMarginLoss"):
        return 2
    if name.startswith("BatchNorm"):
        return None
    return int(name[-2]) + 2 if name.endswith("d") and name[-2].isdigit() else None


def take(sample: Sample, words: Mapping[str, str]) -> list[str]:
    """The options of a sample that have words, as arguments."""
    options = []
    for name, word in words.items():
        if name in sample.options:
            value = adapt(sample, name, sample.options.pop(name))
            options.append(f"{word}={spell(value)}")
    return options


def adapt(sample: Sample, name: str, value: Any) -> Any:
    """A value as Weft has it."""
    match name:
        case "normalized_shape":
            return len(value)
        case "num_parameters":
            return value != 1
        case "output_size" if isinstance(value, tuple):
            sizes = sample.tensors[0].shape[-len(value) :]
            return tuple(v or s for v, s in zip(value, sizes, strict=True))
        case "stride" if value == 0:
            return None
        case "activation":
            return value.__name__
    return value


def say_pad(sample: Sample) -> Said:
    kind, axes = sample.name[:-5], int(sample.name[-2])
    widths, value = sample.options.pop("padding"), sample.options.pop("value", 0)
    widths = [widths] * 2 * axes if isinstance(widths, int) else list(widths)
    number = f", value={value}" if value else ""
    return [], [f'pad(a, {widths}, mode="{PADS[kind]}"{number})']


def say_softmax2d(sample: Sample) -> Said:
    return [], ["softmax(a, axis=-3)"]


def say_recurrent(sample: Sample) -> Said:
    op, first = sample.name.lower(), sample.options.pop("batch_first", False)
    lone = sample.tensors[0].dim() == 2
    x = "unsqueeze(a, 0)" if lone else "a" if first else "transpose(a, 0, 1)"
    starts = [f"unsqueeze({n}, 1)" if lone else n for n in NAMES[1 : len(sample.tensors)]]
    finals = ["h", "c"] if op == "lstm" else ["h"]
    line = write_recurrent(sample, op, x, starts, finals)
    y = "squeeze(r, 0)" if lone else "r" if first else "transpose(r, 0, 1)"
    return [line], [y, *(f"squeeze({n}, 1)" if lone else n for n in finals)]


def say_cell(sample: Sample) -> Said:
    """A cell is a layer over one place."""
    op = sample.name.removesuffix("Cell").lower()
    wide = [f"unsqueeze(unsqueeze({n}, 0), 0)" for n in NAMES[: len(sample.tensors)]]
    finals = ["h", "c"] if op == "lstm" else ["h"]
    sample.rename = "{}_l0".format
    line = write_recurrent(sample, op, wide[0], wide[1:], finals)
    return [line], [f"squeeze({name}, [0, 1])" for name in finals]


def write_recurrent(
    sample: Sample, op: str, x: str, starts: Sequence[str], finals: Sequence[str]
) -> str:
    words = {"hidden_size": "hidden", "num_layers": "layers", "nonlinearity": "act"}
    words |= {name: name for name in ("bias", "bidirectional", "dropout")}
    named = [f"{name}={start}" for name, start in zip(("h0", "c0"), starts, strict=False)]
    arguments = ", ".join([x, *take(sample, words), *named, "states=true"])
    return f"r, {', '.join(finals)} = {op}({arguments}) as layer"


def say_ctc(sample: Sample) -> Said:
    if sample.tensors[1].dim() == 1:
        raise Unsaid("targets of all rows in one")
    words = {name: name for name in ("blank", "reduction", "zero_infinity")}
    lengths = ["input_lengths=c", "target_lengths=d"]
    options = ", ".join(["transpose(a, 0, 1)", "b", *lengths, *take(sample, words)])
    return [], [f"ctc({options})"]


def say_attention(sample: Sample) -> Said:
    sample.uses = "attention"
    options = take(sample, {"num_heads": "heads", "bias": "bias"})
    first, lone = sample.options.pop("batch_first", False), sample.tensors[0].dim() == 2
    operands = [wrap(name, lone=lone, first=first) for name in NAMES[: len(sample.inputs)]]
    options += write_mask(sample, "mask", "attn_mask", "key_padding_mask")
    return write_rows("multi_head_attention", operands, options, lone=lone, first=first)


def write_mask(sample: Sample, word: str, pairs: str, padding: str) -> list[str]:
    """The argument for masks of pairs of places and of places; true is hidden in PyTorch's."""
    parts = []
    if pairs in sample.named:
        of_heads = sample.named[pairs].dim() == 3
        part = f"(not {sample.letter(pairs)})"
        parts.append(f"unsqueeze({part}, 0)" if of_heads else part)
    if padding in sample.named:
        part = f"(not {sample.letter(padding)})"
        of_rows = sample.named[padding].dim() == 2
        parts.append(f"unsqueeze(unsqueeze({part}, 1), 1)" if of_rows else f"unsqueeze({part}, 0)")
    return [f"{word}={' and '.join(parts)}"] if parts else []


def say_transformer(sample: Sample) -> Said:
    sample.uses = "attention"
    words = {"nhead": "heads", "dim_feedforward": "hidden", "dropout": "drop"}
    options = take(sample, words | {"norm_first": "norm_first", "bias": "bias"})
    options += [
        f"act={adapt(sample, n, sample.options.pop(n))}"
        for n in ("activation",)
        if n in sample.options
    ]
    first, lone = sample.options.pop("batch_first", False), sample.tensors[0].dim() == 2
    kind = "decoder" if "Decoder" in sample.name else "encoder"
    if kind == "decoder":
        options += ["causal=false"]
        options += write_mask(sample, "mask", "tgt_mask", "tgt_key_padding_mask")
        options += write_mask(sample, "memory_mask", "memory_mask", "memory_key_padding_mask")
    else:
        options += write_mask(sample, "mask", "src_mask", "src_key_padding_mask")
    operands = [wrap(name, lone=lone, first=first) for name in NAMES[: len(sample.inputs)]]
    return write_rows(f"transformer_{kind}_layer", operands, options, lone=lone, first=first)


def wrap(name: str, *, lone: bool, first: bool) -> str:
    """An operand with rows first."""
    return f"unsqueeze({name}, 0)" if lone else name if first else f"transpose({name}, 0, 1)"


def write_rows(
    block: str, operands: Sequence[str], options: Sequence[str], *, lone: bool, first: bool
) -> Said:
    call = f"r = {block}({', '.join([*operands, *options])}) as layer"
    return [call], ["squeeze(r, 0)" if lone else "r" if first else "transpose(r, 0, 1)"]


MASKED = ("MultiheadAttention", "TransformerEncoderLayer", "TransformerDecoderLayer")
"""Modules whose inputs by keyword are masks that Weft has."""

SPECIAL: Mapping[str, Callable[[Sample], Said]] = {
    "Softmax2d": say_softmax2d,
    "CTCLoss": say_ctc,
    "MultiheadAttention": say_attention,
    **dict.fromkeys(("TransformerEncoderLayer", "TransformerDecoderLayer"), say_transformer),
    **dict.fromkeys(("RNN", "GRU", "LSTM"), say_recurrent),
    **dict.fromkeys(("RNNCell", "GRUCell", "LSTMCell"), say_cell),
}
"""Modules whose arguments are no options one by one."""
