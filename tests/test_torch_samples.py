"""Layers, losses and optimizers on the samples of PyTorch's own tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import load_module
from compiler.elaborate.scopes.library import find_blocks
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ops.registry import OPS, load_ops
from compiler.training.base import OPTIMIZERS as OPTIMIZER_WORDS
from compiler.training.base import Optimizer
from compiler.training.registry import load_training
from tests.elaborating import elaborate
from tests.test_optimizers import STEPS
from tests.test_optimizers import build as build_optimizer
from tests.torch_samples import (
    MODULES,
    OPTIMIZERS,
    WITHOUT,
    WITHOUT_OPTIMIZERS,
    Sample,
    Unsaid,
    flatten,
    list_samples,
)

TOLERANCE = 1e-5

NO_ROWS = "an axis without entries"
NORMS = [f"{kind}Norm{axes}d" for kind in ("Batch", "Instance") for axes in (1, 2, 3)]
REASONS: list[tuple[list[str], set[str]]] = [
    (["AvgPool2d", "AvgPool3d"], {"divisor_override"}),
    (["BCELoss", "BCEWithLogitsLoss"], {"weight"}),
    (["MultiLabelSoftMarginLoss", "MultiMarginLoss"], {"weight"}),  # of classes
    (NORMS, {"track_running_stats", "bias"}),
    (NORMS[:3], {"W0225", NO_ROWS}),  # `momentum=none`
    (NORMS[3:], {"momentum"}),
    (["GroupNorm"], {"bias"}),
    (["LayerNorm", "RMSNorm"], {NO_ROWS}),
    (["RMSNorm"], {"normalized_shape"}),  # of several axes
    (["CTCLoss"], {"targets of all rows in one"}),
    (["KLDivLoss"], {"W0380"}),  # "batchmean" without rows
    (["LogSoftmax", "Softmax", "Softmin"], {"W0376"}),  # along no axis
    (["LPPool1d", "LPPool2d", "LPPool3d"], {"powers of numbers below 0"}),  # NaN in PyTorch
    (["LSTM"], {"proj_size"}),
    (["MultiheadAttention"], {"add_bias_kv", "add_zero_attn"}),
]
"""Why samples of modules that Weft has cannot be said: options that it has not, and messages."""


def rebuild(value: Any, tensors: Iterator[Tensor]) -> Any:
    """Nested inputs with these tensors for their own."""
    if isinstance(value, Tensor):
        return next(tensors)
    if value and isinstance(value[0], int):
        next(tensors)
        return value
    return tuple(rebuild(part, tensors) for part in value)


def differentiate(results: list[Tensor], leaves: list[Tensor]) -> list[Tensor]:
    """The gradients of results, weighed by fixed numbers and added up."""
    weights = [torch.linspace(0.5, 1.5, r.numel(), dtype=r.dtype).view_as(r) for r in results]
    total = sum((r * w).sum() for r, w in zip(results, weights, strict=True) if r.requires_grad)
    if not isinstance(total, Tensor):
        return []
    found = torch.autograd.grad(total, leaves, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]


def list_leaves(module: nn.Module, tensors: list[Tensor], names: list[str]) -> list[Tensor]:
    floats = [tensor for tensor in tensors if tensor.requires_grad]
    return [*floats, *(module.get_parameter(name) for name in names)]


def copy_tensors(sample: Sample) -> list[Tensor]:
    return [t.detach().clone().requires_grad_(t.requires_grad) for t in sample.tensors]


def build_sample(sample: Sample) -> Graph:
    """The graph of a sample; raises `Unsaid` where Weft has none."""
    nets, messages = elaborate(sample.spec())
    if messages:
        raise Unsaid(", ".join(sorted({message.code for message in messages})))
    return nets["M"].graph


def compare(sample: Sample, *, training: bool) -> None:
    """Results and gradients of the sample, of the generated module and of the meaning."""
    given = copy_tensors(sample)
    tensors = iter(given)
    state = sample.state
    placed = [rebuild(value, tensors) for value in sample.inputs]
    named = {name: rebuild(value, tensors) for name, value in sample.named.items()}
    expected = flatten(sample.module(*placed, **named))
    graph = build_sample(sample)
    expected = expected[: len(graph.outputs)]  # attention gives its weights too
    paths = {name: f"layer.{sample.rename(name)}" for name in state}
    module = load_module(emit_module([graph], title="M"), graph).to(torch.float64)
    module.load_state_dict({paths[name]: tensor for name, tensor in state.items()})
    own = copy_tensors(sample)
    found = flatten(module.train(training)(*own))
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        assert_close(mine, theirs)
    names = [name for name, _ in sample.module.named_parameters()]
    theirs = differentiate(expected, list_leaves(sample.module, given, names))
    mine = differentiate(found, list_leaves(module, own, [paths[name] for name in names]))
    for left, right in zip(mine, theirs, strict=True):
        assert_close(left, right)
    if not training:
        compare_meaning(sample, graph, {paths[n]: t for n, t in state.items()}, expected)


def assert_close(mine: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(mine, theirs, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)


def compare_meaning(
    sample: Sample, graph: Graph, weights: dict[str, Tensor], expected: list[Tensor]
) -> None:
    numbers = {
        parameter.path: weights[parameter.path].numpy().astype(parameter.value.type.dtype.numpy)
        for parameter in graph.parameters
    }
    inputs = {
        item.name: tensor.detach().numpy().astype(item.value.type.dtype.numpy)
        for item, tensor in zip(graph.inputs, sample.tensors, strict=True)
    }
    for meant, theirs in zip(evaluate(graph, numbers, inputs).values(), expected, strict=True):
        loose = TOLERANCE if meant.dtype == np.float64 else 1e-3
        wanted = theirs.detach().numpy()
        wanted = np.where(np.isnan(wanted), meant, wanted)  # of what no loss takes: shares below 0
        np.testing.assert_allclose(meant, wanted, rtol=loose, atol=loose)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of PyTorch about its samples
@pytest.mark.parametrize("name", sorted(MODULES.keys() - WITHOUT))
def test_modules_give_what_pytorchs_give(name: str) -> None:
    compared, reasons = 0, set()
    for training in (False, True):
        for sample in list_samples(MODULES[name], training=training):
            try:
                compare(sample, training=training)
                compared += 1
            except Unsaid as error:
                reasons |= set(str(error).split(", "))
    assert compared, f"no sample of {name} can be said"
    assert reasons == set().union(*(held for names, held in REASONS if name in names))


def spell(name: str) -> str:
    """What Weft would call a module: `MultiLabelMarginLoss` is `multi_label_margin`."""
    words = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z]+|[A-Z]+|\d+d", name.removesuffix("Loss"))
    return re.sub(r"_(\d+d)$", r"\1", "_".join(words).lower())


def test_modules_without_an_equal_have_none() -> None:
    """One that gets an equal leaves the list, and its samples are compared."""
    load_ops()
    words = {cls.name for cls in OPS.classes()} | {block.name for block in find_blocks()}
    names = {name: {spell(name), re.sub(r"\dd$", "", spell(name))} for name in WITHOUT}
    print("PyTorch's modules without an equal:", *sorted(WITHOUT))
    assert MODULES.keys() >= WITHOUT
    assert not {name for name, spelled in names.items() if spelled & words}


UNSAID_OPTIONS = {"maximize", "ns_coefficients"}
"""Options of optimizers that Weft has not; of a tensor, `lr` is a number."""


def find_optimizer(name: str) -> type[Optimizer]:
    (found,) = (cls for cls in OPTIMIZER_WORDS.classes() if cls.torch_name == name)
    return found


def walk(made: torch.optim.Optimizer, parameter: Tensor, gradients: Tensor) -> list[Tensor]:
    """Where a parameter is behind each step, on the slopes of a bowl that is moved about."""
    places = []
    for gradient in gradients:

        def measure(gradient: Tensor = gradient) -> Tensor:
            made.zero_grad()
            loss = (parameter**2 * gradient.abs()).sum() + (parameter * gradient).sum()
            loss.backward()
            return loss

        made.step(measure)
        places.append(parameter.detach().clone())
    return places


@pytest.mark.parametrize("name", sorted(OPTIMIZERS.keys() - WITHOUT_OPTIMIZERS))
def test_ten_steps_are_those_of_pytorchs(name: str) -> None:
    info, compared = OPTIMIZERS[name], 0
    for item in info.optim_inputs_func(device="cpu"):
        options = {n: float(v) if isinstance(v, Tensor) else v for n, v in item.kwargs.items()}
        if options.keys() & UNSAID_OPTIONS:
            continue
        generator = torch.Generator().manual_seed(1)
        numbers = torch.randn(STEPS + 1, 4, 3, generator=generator, dtype=torch.float64)
        start, gradients = numbers[0], numbers[1:]
        parameters = [nn.Parameter(start.clone()) for _ in range(2)]
        theirs = info.optim_cls(parameters[:1], **options)
        mine = build_optimizer(find_optimizer(name)(**options), parameters[1:])
        expected, found = (
            walk(made, parameter, gradients)
            for made, parameter in zip((theirs, mine), parameters, strict=True)
        )
        for left, right in zip(found, expected, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-9)
        compared += 1
    assert compared > 2


def test_optimizers_without_an_equal_have_none() -> None:
    load_training()
    names = {cls.torch_name for cls in OPTIMIZER_WORDS.classes()}
    print("PyTorch's optimizers without an equal:", *sorted(WITHOUT_OPTIMIZERS))
    assert OPTIMIZERS.keys() - names == WITHOUT_OPTIMIZERS
