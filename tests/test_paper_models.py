"""Published networks that torchvision does not have, beside plain PyTorch of their papers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device, open_session
from backends.pytorch.modules import emit_module, root_class
from backends.pytorch.run.load import assign_weights, load_module, run_source
from compiler.ir.graph import Graph
from tests.elaborating import elaborate_file
from tests.paper_models import attending, generative, plain
from tests.test_arguments_other_values import spell

MODELS = Path(__file__).resolve().parents[1] / "specs" / "models"
Values = dict[str, Any]
Arrays = Mapping[str, Tensor]


class Case(NamedTuple):
    """A model: its file, its name, who knows better, what it is given at two batches and sizes,
    and arguments with which it is small, and others."""

    file: str
    model: str
    oracle: Callable[..., nn.Module]
    draw: Callable[[int, int, Values], Arrays]
    sizes: tuple[int, int]
    several: tuple[Values, ...]


def draw_rows(size: str, usual: int) -> Callable[[int, int, Values], Arrays]:
    return lambda batch, _, values: {"image": torch.randn(batch, values.get(size, usual))}


def draw_images(channels: int, name: str = "image") -> Callable[[int, int, Values], Arrays]:
    return lambda batch, size, values: {
        name: torch.randn(batch, values.get("channels", channels), size, size)
    }


def draw_vae(batch: int, _: int, values: Values) -> Arrays:
    noise = torch.randn(batch, values.get("latent", 20))
    return {"image": torch.rand(batch, values.get("size", 784)), "noise": noise}


def draw_labelled(name: str, size: int) -> Callable[[int, int, Values], Arrays]:
    return lambda batch, _, values: {
        name: torch.randn(batch, values.get("latent", size)),
        "label": torch.arange(batch) * 3 % 10,
    }


def draw_diffused(batch: int, size: int, values: Values) -> Arrays:
    steps = torch.tensor([999, 0, 500])[:batch]
    return {"sample": torch.randn(batch, 3, size, size), "timestep": steps}


def draw_sentences(batch: int, size: int, values: Values) -> Arrays:
    lengths = torch.tensor([size, 2, 1])[:batch]
    source = torch.randint(0, values.get("source_vocab", 30_000), (batch, size))
    target = torch.randint(0, values.get("target_vocab", 30_000), (batch, size + 1))
    return {"source": source, "lengths": lengths, "target": target}


def draw_jets(batch: int, size: int, values: Values) -> Arrays:
    seen = torch.arange(size) < torch.tensor([size, size - 2, 3])[:batch, None]
    return {"jets": torch.randn(batch, size, values.get("features", 6)), "seen": seen}


def draw_particles(batch: int, size: int, values: Values) -> Arrays:
    pt, rapidity = torch.rand(batch, size) * 9 + 1, torch.randn(batch, size)
    phi, mass = (torch.rand(batch, size) * 2 - 1) * np.pi, torch.rand(batch, size)
    seen = torch.arange(size) < torch.tensor([size, size - 2, 1])[:batch, None]
    return {
        "particles": torch.randn(batch, values.get("features", 17), size),
        "kinematics": torch.stack([pt, rapidity, phi, mass], 1),
        "seen": seen,
    }


def give_momenta(particles: Tensor, kinematics: Tensor, seen: Tensor) -> tuple[Tensor, ...]:
    """What weaver-core's network is given: four-momenta."""
    pt, rapidity, phi, mass = kinematics.double().unbind(1)
    energy = torch.sqrt(pt**2 + mass**2)
    momenta = [pt * phi.cos(), pt * phi.sin(), energy * rapidity.sinh(), energy * rapidity.cosh()]
    return particles, torch.stack(momenta, 1), seen


CASES = (
    Case(
        "mlp",
        "Mlp",
        plain.Mlp,
        draw_rows("size", 784),
        (1, 1),
        ({}, {"widths": [7], "size": 9}, {"widths": [8, 6, 5], "classes": 3}),
    ),
    Case(
        "linear_regression",
        "LinearRegression",
        plain.Regression,
        lambda batch, _, values: {"x": torch.randn(batch, values.get("features", 10))},
        (1, 1),
        ({}, {"features": 3}, {"features": 4, "outputs": 2}),
    ),
    Case(
        "polynomial_regression",
        "PolynomialRegression",
        lambda degree=3: plain.Regression(degree=degree),
        lambda batch, _, values: {"x": torch.randn(batch, 1)},
        (1, 1),
        ({}, {"degree": 1}, {"degree": 7}),
    ),
    Case(
        "logistic_regression",
        "LogisticRegression",
        plain.LogisticRegression,
        lambda batch, _, values: {"x": torch.randn(batch, values.get("features", 784))},
        (1, 1),
        ({}, {"features": 5}, {"features": 6, "classes": 2}),
    ),
    Case(
        "cifar10_net",
        "Cifar10Net",
        plain.Cifar10Net,
        draw_images(3),
        (32, 32),
        ({}, {"classes": 3}, {"classes": 100}),
    ),
    Case(
        "resnet1001",
        "ResNetPre",
        plain.PreResNet,
        draw_images(3),
        (16, 21),
        ({"blocks": 2}, {"blocks": 1, "width": 8}, {"blocks": 3, "width": 4, "classes": 7}),
    ),
    Case(
        "autoencoder",
        "Autoencoder",
        generative.Autoencoder,
        draw_rows("size", 784),
        (1, 1),
        ({}, {"size": 20, "widths": [9]}, {"widths": [8, 6, 5, 4], "code": 2}),
    ),
    Case(
        "vae",
        "Vae",
        generative.Vae,
        draw_vae,
        (1, 1),
        ({}, {"size": 12, "latent": 3}, {"hidden": 9}),
    ),
    Case(
        "dcgan",
        "Generator",
        generative.DcganGenerator,
        lambda batch, _, values: {"noise": torch.randn(batch, values.get("latent", 100), 1, 1)},
        (1, 1),
        ({"width": 8}, {"width": 4, "latent": 9}, {"width": 2, "channels": 1}),
    ),
    Case(
        "dcgan",
        "Discriminator",
        generative.DcganDiscriminator,
        draw_images(3),
        (64, 64),
        ({"width": 8}, {"width": 4, "channels": 1}, {"width": 2}),
    ),
    Case(
        "conditional_gan",
        "ConditionalGenerator",
        generative.ConditionalGenerator,
        draw_labelled("noise", 100),
        (1, 1),
        ({}, {"latent": 7}, {"noise_width": 30, "width": 40}),
    ),
    Case(
        "conditional_gan",
        "ConditionalDiscriminator",
        generative.ConditionalDiscriminator,
        draw_labelled("image", 784),
        (1, 1),
        ({}, {"image_width": 12, "pieces": 2}, {"joint_pieces": 3}),
    ),
    Case(
        "pix2pix",
        "Pix2PixGenerator",
        generative.Pix2PixGenerator,
        draw_images(3),
        (256, 256),
        (
            {"widths": [4, 6, 8, 8, 8, 8, 8, 8]},
            {"widths": [2, 3, 4, 5], "drops": [0.5, 0.0, 0.0]},
            {"widths": [2, 4, 4, 8, 9], "drops": [0.0, 0.5, 0.5, 0.0], "out_channels": 1},
        ),
    ),
    Case(
        "pix2pix",
        "Pix2PixDiscriminator",
        generative.Pix2PixDiscriminator,
        draw_images(6, "pair"),
        (40, 57),
        ({"width": 8}, {"width": 4, "channels": 4}, {"width": 2}),
    ),
    Case(
        "ddpm_unet",
        "DdpmUNet",
        generative.DdpmUNet,
        draw_diffused,
        (16, 24),
        (
            {"widths": [8, 12, 16, 16], "groups": 4, "rates": 6},
            {"widths": [8, 12], "attends": [False, True], "groups": 2, "rates": 3},
            {"widths": [8, 16, 8], "attends": [True, False, True], "blocks": 1, "groups": 8},
        ),
    ),
    Case(
        "seq2seq_attention",
        "Seq2Seq",
        attending.Seq2Seq,
        draw_sentences,
        (3, 6),
        (
            {"source_vocab": 40, "target_vocab": 30, "hidden": 16, "size": 8, "align": 9},
            {"source_vocab": 40, "target_vocab": 50, "hidden": 5, "size": 4, "readout": 7},
            {"source_vocab": 20, "target_vocab": 9, "hidden": 8},
        ),
    ),
    Case(
        "spanet",
        "SpaNet",
        attending.SpaNet,
        draw_jets,
        (6, 8),
        (
            {"widths": [8, 16], "layers": 2, "branch_layers": 1, "heads": 4},
            {"widths": [8], "layers": 1, "branch_embedding": 2, "heads": 2, "features": 4},
            {"widths": [4, 8, 16], "layers": 3, "branch_embedding": 0, "branch_layers": 2},
        ),
    ),
    Case(
        "particle_transformer",
        "ParticleTransformer",
        attending.ParticleTransformer,
        draw_particles,
        (5, 9),
        (
            {"widths": [16, 32, 16], "pair_widths": [8, 8], "heads": 4, "layers": 2},
            {"widths": [16], "pair_widths": [4], "heads": 2, "layers": 1, "cls_layers": 1},
            {"widths": [8, 8], "pair_widths": [4], "heads": 8, "layers": 3, "classes": 2},
        ),
    ),
)
NAMES = [f"{case.file}-{case.model}" for case in CASES]


@cache
def find_graph(file: str, model: str, arguments: str, folder: Path) -> Graph:
    """The network of a model of a file, with arguments."""
    path = folder / f"{file}_other.weft"
    text = (MODELS / f"{file}.weft").read_text(encoding="utf-8")
    path.write_text(f"{text}\nnet other = {model}({arguments})\n", encoding="utf-8")
    nets, messages = elaborate_file(path)
    assert not messages
    return nets["other"].graph


def elaborate_with(case: Case, values: Values, folder: Path) -> Graph:
    arguments = ", ".join(f"{name}={spell(value)}" for name, value in values.items())
    return find_graph(case.file, case.model, arguments, folder)


def make_oracle(case: Case, values: Values) -> nn.Module:
    """The plain network with weights that leave no layer dead."""
    torch.manual_seed(1)
    oracle = case.oracle(**values).eval()
    with torch.no_grad():
        for path, tensor in oracle.state_dict().items():
            if path.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif tensor.is_floating_point() and tensor.dim() <= 1:
                tensor.add_(0.1 * torch.randn(tensor.shape))
    return oracle


def name_weights(case: Case, oracle: nn.Module, values: Values) -> dict[str, Any]:
    """The weights of an oracle by the spec's paths."""
    renamed: dict[str, str] = {}
    if case.model == "Pix2PixGenerator":
        renamed = generative.rename_levels(len(values.get("widths", range(8))))
    found = {}
    for path, tensor in oracle.state_dict().items():
        if not path.endswith("num_batches_tracked"):
            head, _, last = path.rpartition(".")
            found[f"{renamed.get(head, head)}.{last}".lstrip(".")] = tensor.numpy().copy()
    return found


def compute(module: nn.Module, given: Arrays, case: Case, *, oracle: bool) -> list[Any]:
    tensors = tuple(given.values())
    if oracle and case.model == "ParticleTransformer":
        tensors = give_momenta(*tensors)
    with torch.no_grad():
        made = module(*tensors)
    return [m.numpy() for m in (made if isinstance(made, tuple) else (made,))]


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_outputs_are_those_of_the_paper(case: Case, place: int, tmp_path: Path) -> None:
    """The spec with each set of arguments, as a module and as an ONNX file."""
    values = case.several[place]
    graph = elaborate_with(case, values, tmp_path)
    oracle = make_oracle(case, values)
    weights = name_weights(case, oracle, values)
    assert {p.path for p in graph.parameters} == weights.keys()
    module = load_module(emit_module([graph], title=case.model), graph).eval()
    assign_weights(module, weights)
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    session = open_session(tmp_path / "net.onnx", device=Device.CPU)
    for batch, size in zip((1, 3), case.sizes, strict=True):
        torch.manual_seed(batch)
        given = case.draw(batch, size, values)
        expected = compute(oracle, given, case, oracle=True)
        assert all(np.abs(array).max() > 1e-3 for array in expected), "the oracle says something"
        from_onnx = session.run({name: tensor.numpy() for name, tensor in given.items()})
        for found in (compute(module, given, case, oracle=False), from_onnx.values()):
            for mine, wanted in zip(found, expected, strict=True):
                np.testing.assert_allclose(mine, wanted, atol=1e-4)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_classes_with_other_arguments_are_the_papers(case: Case, tmp_path: Path) -> None:
    """The class of one set of arguments, made with those of the others that it has."""
    base = case.several[0]
    graph = elaborate_with(case, base, tmp_path)
    made = getattr(run_source(emit_module([graph], title=case.model)), root_class(graph))
    offered = inspect.signature(made).parameters
    for others in case.several[1:]:
        values = {**base, **{n: v for n, v in others.items() if n in offered}}
        module = made(**{n: v for n, v in values.items() if n in offered}).eval()
        oracle = make_oracle(case, values)
        assign_weights(module, name_weights(case, oracle, values))
        size = 2 ** len(values["widths"]) if case.model == "Pix2PixGenerator" else case.sizes[1]
        given = case.draw(3, size, values)
        expected = compute(oracle, given, case, oracle=True)
        for mine, wanted in zip(compute(module, given, case, oracle=False), expected, strict=True):
            np.testing.assert_allclose(mine, wanted, atol=1e-4)
