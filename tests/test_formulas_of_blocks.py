"""Blocks of the library against the formulas of their pages: the meaning, and the generated module,
with options and operands in several combinations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.weights import draw_weights
from compiler.manual.pages import find_pages
from tests.elaborating import build
from tests.formulas import blocks_arrays, blocks_layers, blocks_losses

Array = NDArray[Any]
MODULES = (blocks_layers, blocks_losses, blocks_arrays)
FUNCTIONS = {name: f for module in MODULES for name, f in module.FORMULAS.functions.items()}
DRAWN = np.random.default_rng(11)
ROWS = 6


def draw(*shape: int) -> Array:
    return DRAWN.normal(size=shape).astype(np.float32)


def draw_boxes(count: int) -> Array:
    low, size = DRAWN.random((2, count, 2))
    return np.concatenate([low, low + size / 2], axis=1).astype(np.float32)


class Word(str):
    """An option that is a name in a call: `act=gelu`."""


@dataclass(frozen=True)
class Case:
    """A call of a block: operands by place, or by name behind a `=`, and options."""

    block: str
    operands: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The inputs that it takes."""
        return [operand.rpartition("=")[2] for operand in self.operands.split()]

    @property
    def call(self) -> str:
        given = [*self.operands.split(), *(f"{k}={spell(v)}" for k, v in self.options.items())]
        return f"{self.block}({', '.join(given)})"


def spell(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case Word():
            return str(value)
        case str():
            return f'"{value}"'
        case _:
            return f"{value}"


def case(block: str, operands: str = "", **options: Any) -> Case:
    return Case(block, operands, options)


GIVEN: dict[str, Array] = {
    "beside": draw(2),
    "x": draw(ROWS, 8),
    "sequence": draw(2, 5, 8),
    "memory": draw(2, 4, 8),
    "shorter": draw(2, 4, 6),
    "values": draw(2, 4, 3),
    "heads": draw(2, 3, 5, 8),
    "signal": draw(2, 4, 9),
    "image": draw(2, 4, 6, 7),
    "full": draw(2, 3, 6, 6),
    "turned": draw(2, 3, 6, 6),
    "volume": draw(1, 2, 4, 4, 4),
    "wave": draw(2, 900),
    "short": draw(2, 7),
    "other": draw(2, 7),
    "matrix": draw(ROWS, 5, 5),
    "y": draw(ROWS, 3),
    "z": draw(ROWS, 3),
    "rows": draw(4, 8),
    "known": draw(4, 2),
    "theta": draw(ROWS, 2, 3),
    "boxes": draw_boxes(5),
    "others": draw_boxes(4),
    "v": draw(4, 3, 2),
    "g": draw(4, 1, 1),
    "lengths": np.array([0, 3, 5, 2, 4, 1]),
    "scores": draw(2, 5, 4),
    "mask": np.concatenate([np.ones((2, 5, 1), bool), DRAWN.random((2, 5, 3)) < 0.5], axis=2),
    "blind": np.arange(5)[:, None] + np.arange(4) * np.ones((2, 1, 1), int) < 3,
    "bias": draw(2, 5, 4),
    "head_mask": DRAWN.random((2, 1, 5, 5)) < 0.7,
    "head_bias": draw(2, 1, 5, 5),
    "memory_mask": DRAWN.random((2, 1, 5, 4)) < 0.7,
    "logits": draw(ROWS, 5),
    "second": draw(ROWS, 5),
    "label": DRAWN.integers(0, 5, ROWS),
    "padded": np.array([1, -100, 4, 0, -100, 2]),
    "several": np.array([[1, 4, -1, 2, 0]] * 3 + [[0, 1, 2, 3, 4], [-1] * 5, [3, -1, 3, 1, 1]]),
    "flags": DRAWN.integers(0, 2, (ROWS, 5)).astype(np.float32),
    "score": draw(ROWS),
    "score_2": draw(ROWS),
    "binary": np.array([0, 1, 1, 0, 1, 0]),
    "share": DRAWN.random(ROWS).astype(np.float32),
    "signs": np.array([-1, 1, 1, -1, 1, -1], np.float32),
    "weight": DRAWN.random(ROWS).astype(np.float32),
    "maps": draw(ROWS, 3, 4, 5),
    "map_label": DRAWN.integers(0, 3, (ROWS, 4, 5)),
    "shape": draw(ROWS, 4, 5),
    "shape_mask": DRAWN.integers(0, 2, (ROWS, 4, 5)),
    "map_mask": DRAWN.random((ROWS, 4, 5)) < 0.7,
    "positive": (DRAWN.random((ROWS, 3)) * 4).astype(np.float32),
    "count": DRAWN.integers(0, 6, (ROWS, 3)).astype(np.float32),
    "small": np.array([1e-9, 0.5, 1, 2, 1e-7, 3], np.float32),
    "row_weight": DRAWN.random((ROWS, 1)).astype(np.float32),
}
GIVEN["void_label"] = np.where(GIVEN["map_label"] == 1, 255, GIVEN["map_label"])
GIVEN["void_mask"] = np.where(GIVEN["map_label"] == 1, -1, GIVEN["shape_mask"])
GIVEN["several"][:, 1] = [4, 3, 2, 1, -1, -1]
for name in ("head_mask", "memory_mask"):
    GIVEN[name][..., 0] = True

FORMS = ("saturating", "non_saturating", "least_squares", "hinge", "wasserstein")
LOSSES_OF_ROWS = (
    ("bernoulli_nll", "score share", {}),
    ("binary_focal", "score binary", {"alpha": 0.6, "gamma": 0.5}),
    ("contrastive", "y z binary", {"margin": 3.0}),
    ("cosine_embedding", "y z signs", {"margin": 0.1}),
    ("focal", "logits padded", {"gamma": 0.5}),
    ("gaussian_nll", "score score_2 small", {"eps": 0.1, "full": True}),
    ("hinge", "score signs", {"squared": True}),
    ("hinge_embedding", "small signs", {"margin": 2.5}),
    ("jensen_shannon", "logits second", {}),
    ("kl_of_logits", "logits second", {"reverse": True}),
    ("laplace_nll", "score score_2 small", {"eps": 0.1}),
    ("log_cosh", "score score_2", {}),
    ("margin_ranking", "score score_2 signs", {"margin": 0.3}),
    ("multi_label_margin", "logits several", {}),
    ("multi_label_soft_margin", "logits flags", {}),
    ("multi_margin", "logits label", {"p": 2, "margin": 0.5}),
    ("poisson_nll", "small share", {"log_input": False, "full": True, "eps": 0.01}),
    ("quantile_loss", "score score_2", {"quantile": 0.9}),
    ("soft_margin", "score signs", {}),
    ("triplet", "y z positive", {"margin": 0.3, "p": 1.0}),
)
"""Losses of one number a row, with options that are no defaults."""

LOSSES = [
    case("reduce_loss", "y"),
    case("reduce_loss", "y weight=row_weight"),
    case("reduce_loss", "y weight=row_weight", reduction="sum"),
    *(case(name, operands) for name, operands, _ in LOSSES_OF_ROWS),
    *(case(name, operands, **options) for name, operands, options in LOSSES_OF_ROWS),
    *(case(name, f"{operands} weight=weight") for name, operands, _ in LOSSES_OF_ROWS),
    *(
        case(name, f"{operands} weight=weight", reduction=how)
        for name, operands, _ in LOSSES_OF_ROWS
        for how in ("sum", "none")
    ),
    case("focal", "logits label", ignore_index=2),
    case("poisson_nll", "y count", full=True),
    *(
        case(name, operands, **options)
        for name in ("soft_dice", "soft_iou")
        for operands, options in (
            ("maps map_label", {}),
            ("maps map_label", {"background": False, "eps": 0.1}),
            ("maps map_label", {"per_row": True}),
            ("shape shape_mask", {}),
            ("shape shape_mask", {"per_row": True}),
            ("maps void_label", {"ignore_index": 255, "background": False}),
            ("maps map_label mask=map_mask", {"per_row": True}),
            ("maps void_label mask=map_mask", {"ignore_index": 255}),
            ("shape shape_mask mask=map_mask", {"eps": 0.5}),
            ("shape void_mask", {"ignore_index": -1, "per_row": True}),
        )
    ),
    case("tversky", "maps map_label"),
    case("tversky", "maps map_label", alpha=0.6, beta=0.2, eps=0.1, per_row=True),
    case("tversky", "shape shape_mask"),
    case("tversky", "maps void_label mask=map_mask", ignore_index=255, alpha=0.6),
    case("tversky", "shape void_mask", ignore_index=-1),
    case("kl_of_logits", "logits second", axis=0, reverse=True),
    case("jensen_shannon", "logits second", axis=0),
    case("gaussian_kl", "y z"),
    case("gaussian_kl", "y z", prior_mean=0.5, prior_log_variance=-1.5, reduction="none"),
    case("nt_xent", "y z"),
    case("nt_xent", "y z", temperature=0.9),
    case("info_nce", "y z"),
    case("info_nce", "y z", temperature=0.9),
    case("clip_loss", "y z"),
    case("clip_loss", "y z", scale=2.0),
    *(
        case(name, "y z", reduction=how)
        for name in ("nt_xent", "info_nce", "clip_loss")
        for how in ("sum", "none")
    ),
    case("gan_discriminator", "score score_2"),
    case("gan_generator", "score"),
    *(case("gan_discriminator", "score score_2", form=form) for form in FORMS),
    *(case("gan_generator", "score", form=form) for form in FORMS),
]

LAYERS = [
    *(
        case(name, operands, **options)
        for name in ("swiglu", "geglu", "reglu")
        for operands, options in (
            ("x", {}),
            ("image", {"axis": 1, "gate_last": True}),
        )
    ),
    case("gated_feed_forward", "sequence", hidden=6),
    case("gated_feed_forward", "x", hidden=4, act=Word("gelu"), bias=True),
    case("squared_relu", "x"),
    case("quick_gelu", "x"),
    case("log_softmin", "x", axis=-1),
    case("log_softmin", "image", axis=1),
    case("snake", "x"),
    case("snake", "image", start=0.5),
    case("maxout", "x", out=3),
    case("maxout", "x", out=2, pieces=4, bias=False),
    case("bilinear", "x y", out=3),
    case("bilinear", "x y", out=2, bias=False),
    case("padding_mask", "lengths", t=5),
    case("window_mask", t=6, size=2),
    case("window_mask", t=6, size=3, causal=False),
    case("sinusoidal_positions", t=7, d=6),
    case("sinusoidal_positions", t=7, d=6, base=50.0, interleaved=False),
    case("rotary", "heads"),
    case("rotary", "heads", base=20.0, interleaved=True, start=3),
    case("rotary", "heads", part=4),
    case("rotary", "heads", part=6, interleaved=True),
    case("alibi", t=5, heads=4),
    case("attention_weights", "scores"),
    case("attention_weights", "scores mask=bias"),
    case("attention_weights", "scores mask=blind"),
    *(
        case("attend", operands, score=score, temperature=0.7)
        for score in ("scaled_dot", "dot", "cosine", "mahalanobis")
        for operands in ("sequence memory values", "sequence memory values mask=mask")
    ),
    case("attend", "sequence memory values mask=bias"),
    case("additive_attention", "sequence shorter values", hidden=5),
    case("additive_attention", "sequence shorter values mask=mask", hidden=3),
    case("mahalanobis_attention", "sequence memory values"),
    case("mahalanobis_attention", "sequence memory values mask=mask", rank=3),
    case("kernel_regression", "x rows known"),
    case("kernel_regression", "x rows known", width=2.5),
    case("multi_head_attention", "sequence", heads=2),
    case("multi_head_attention", "sequence mask=head_mask", heads=2, causal=True, drop=0.3),
    case("multi_head_attention", "sequence", heads=4, causal=True, bias=False),
    case("multi_head_attention", "sequence mask=head_mask", heads=2, causal=True),
    case("multi_head_attention", "sequence mask=head_bias", heads=2),
    case("multi_head_attention", "sequence memory", heads=2),
    case("multi_head_attention", "sequence memory mask=memory_mask", heads=4, weights=True),
    case("multi_head_attention", "sequence", heads=2, weights=True, causal=True),
    case("multi_head_attention", "sequence mask=head_bias", heads=1, weights=True, causal=True),
    case("multi_head_attention", "sequence memory memory mask=memory_mask", heads=2),
    case("self_attention", "sequence", heads=2),
    case("self_attention", "sequence mask=head_mask", heads=4),
    case("self_attention", "sequence", heads=1, causal=True),
    case("mlp", "sequence", hidden=5),
    case("mlp", "x", hidden=9, act=Word("silu"), drop=0.5),
    case("encoder_block", "sequence", heads=2, hidden=11),
    case("encoder_block", "sequence", heads=4, hidden=3, eps=0.5, drop=0.2, causal=True),
    case("pre_norm_block", "sequence", heads=2),
    case(
        *("pre_norm_block", "sequence mask=head_bias"),
        **{"heads": 4, "hidden": 6, "act": Word("silu"), "eps": 0.5, "drop": 0.2},
    ),
    case("pre_norm_block", "sequence", heads=2, causal=True),
    case("add_sinusoidal", "sequence"),
    case("add_sinusoidal", "sequence", base=20.0),
    case("add_learned", "sequence", longest=5),
    case("add_learned", "sequence", longest=9, std=0.5),
    case("transformer_encoder_layer", "sequence", heads=2, hidden=7),
    case(
        *("transformer_encoder_layer", "sequence mask=head_mask"),
        **{"heads": 4, "hidden": 7, "act": Word("gelu"), "drop": 0.3, "norm_first": True},
    ),
    case("transformer_encoder_layer", "sequence", heads=2, hidden=5, causal=True, bias=False),
    case("squeeze_excite", "image", reduction=2),
    case("squeeze_excite", "image", reduction=1),
    case("grouped_query_attention", "sequence", heads=4),
    case("grouped_query_attention", "sequence", heads=4, kv_heads=2, base=20.0, bias=True),
    case("grouped_query_attention", "sequence mask=head_mask", heads=2, base=0.0, causal=False),
    case("grouped_query_attention", "sequence", heads=2, kv_heads=1, head_size=6, normalize=True),
    case("scale_rows", "v g"),
    case("weight_norm_dense", "x", out=4),
    case("weight_norm_dense", "sequence", out=3, start=1.5),
    case("weight_norm_conv1d", "signal", out=6, kernel=3),
    case(
        "weight_norm_conv1d",
        "signal",
        out=6,
        kernel=2,
        stride=2,
        padding=3,
        dilation=3,
        groups=2,
        start=1.5,
    ),
    *(
        case(name, "image", out=4, kernel=2, stride=2, padding=2, dilation=2, groups=2, **options)
        for name, options in (
            ("weight_norm_conv2d", {"start": 1.5}),
            ("spectral_norm_conv2d", {"bias": False, "iterations": 3}),
        )
    ),
    case("weight_norm_conv2d", "image", out=6, kernel=3),
    case("spectral_norm_conv2d", "image", out=6, kernel=3),
    case("spectral_norm_dense", "x", out=4),
    case("spectral_norm_dense", "sequence", out=3, bias=False, iterations=2),
]

ARRAYS = [
    case("center_to_edges", "boxes"),
    case("edges_to_center", "boxes"),
    case("box_area", "boxes"),
    case("box_overlaps", "boxes others"),
    case("box_iou", "boxes others"),
    case("generalized_box_iou", "boxes others"),
    case("hann_window", n=7),
    case("hamming_window", n=8),
    case("power_spectrum", "wave"),
    case("power_spectrum", "wave", n_fft=50, hop_length=30, center=False),
    case("mel_filters", bins=65, mels=8, rate=8000.0),
    case("mel_filters", bins=33, mels=5, rate=16000.0, low=100.0, high=3000.0),
    case("log_mel", "wave", mels=10),
    case(
        "log_mel",
        "wave",
        mels=6,
        n_fft=128,
        hop_length=50,
        rate=8000.0,
        low=50.0,
        high=3500.0,
        floor=2.0,
    ),
    case("cross_correlation", "short other"),
    case("autocorrelation", "short", lags=4),
    case("autocorrelation", "short", lags=6, normalized=True),
    case("diff", "x"),
    case("diff", "image", n=3, axis=1),
    case("eye", n=4),
    *(case("diagonal", "matrix", offset=offset) for offset in (-4, -1, 2)),
    case("diagonal", "matrix"),
    case("diag_embed", "y"),
    case("trace", "matrix"),
    case("outer", "y x"),
    case("cross", "y z"),
    case("cross", "full turned", axis=1),
    case("cdist", "sequence memory"),
    case("cdist", "sequence memory", p=1.0),
    case("cdist", "rows x", p=3.0),
    case("pair_distance", "y z"),
    case("pair_distance", "y z", p=3.0, eps=0.1),
    case("channel_shuffle", "image", groups=2),
    case("channel_shuffle", "signal", groups=4),
    case("lp_pool", "image", kernel=2),
    case("lp_pool", "signal", kernel=3, stride=2, p=3.0),
    case("lp_pool", "image", kernel=3, stride=2, p=1.0, ceil_mode=True),
    case("lp_pool", "volume", kernel=2, p=4.0),
    case("pixel_places", size=5),
    case("pixel_places", size=5, align_corners=True),
    case("pixel_places", size=1, align_corners=True),
    case("affine_grid", "theta", h=3, w=4),
    case("affine_grid", "theta", h=2, w=3, align_corners=True),
]
PAIRS = {"attend", "additive_attention", "mahalanobis_attention", "kernel_regression"}
PAIRS |= {"box_overlaps"}
"""Blocks of two results."""

CASES = [*LAYERS, *LOSSES, *ARRAYS]
PLACES = {page.name: page.place for page in find_pages() if page.kind == "block"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.call)
def test_a_block_follows_the_formula(case: Case) -> None:
    graph = build_net(case)
    weights = fill_weights(graph)
    inputs = {name: GIVEN[name] for name in case.names or ["beside"]}
    wanted = compute(case, weights)
    meant = list(evaluate(graph, weights, inputs).values())
    module = load_module(emit_module([graph], title="M"), graph)
    assign_weights(module, weights)
    with torch.no_grad():
        made = module(*map(torch.tensor, inputs.values()))
    found = [y.numpy() for y in (made if isinstance(made, tuple) else (made,))]
    assert len(wanted) == len(meant) == len(found)
    for expected, one, other in zip(wanted, meant, found, strict=True):
        assert one.shape == other.shape == expected.shape
        slack = 2e-6 * max(1, np.abs(expected[np.isfinite(expected)]).max())
        np.testing.assert_allclose(one, expected, rtol=2e-5, atol=slack)
        np.testing.assert_allclose(other, expected, rtol=2e-5, atol=slack)


def build_net(case: Case) -> Graph:
    """A net that is a call of the block."""
    library = re.search(r"`(std\.\w+)`", PLACES[case.block])
    assert library, PLACES[case.block]
    lines = [f"    input {n}: {write_type(GIVEN[n])}" for n in dict.fromkeys(case.names)]
    if case.block in PAIRS or "weights" in case.options:
        lines += [f"    a, b = {case.call}", "    output first = a", "    output second = b"]
    else:
        lines.append(f"    output y = {case.call}")
    if not case.names:  # a net has an input
        lines += ["    input beside: f32[2]", "    output same = beside"]
    return build("\n".join([f"use {library[1]}", "model M {", *lines, "}"])).graph


def write_type(array: Array) -> str:
    dtype = {"float32": "f32", "int64": "i64", "bool": "bool"}[array.dtype.name]
    return f"{dtype}[{', '.join(map(str, array.shape))}]"


def fill_weights(graph: Graph) -> dict[str, Array]:
    """Weights none of which are all 0 or 1; buffers as they are drawn."""
    generator = np.random.default_rng(0)
    weights = draw_weights(graph)
    for parameter in graph.parameters:
        if parameter.trainable:
            drawn = weights[parameter.path]
            change = generator.uniform(0.2, 0.7, drawn.shape)
            weights[parameter.path] = (drawn + change).astype(np.float32)
    return weights


def compute(case: Case, weights: Mapping[str, Array]) -> list[Array]:
    """What the formula gives, in double precision."""
    operands, options = [], dict(case.options)
    for text in case.operands.split():
        name, _, given = text.rpartition("=")
        array = GIVEN[given]
        array = array.astype(np.float64) if array.dtype == np.float32 else array
        if name:
            options[name] = array
        else:
            operands.append(array)
    if weights:
        options["w"] = {
            path.removeprefix(f"{case.block}."): array.astype(np.float64)
            for path, array in weights.items()
        }
    result = FUNCTIONS[case.block](*operands, **options)
    beside = () if case.names else (GIVEN["beside"],)
    results = result if isinstance(result, tuple) else (result, *beside)
    return [np.asarray(y) for y in results]


def test_every_option_is_tried() -> None:
    """Each option of each block stands in a case, with another value than its default."""
    for page in find_pages():
        if page.kind != "block" or page.name not in FUNCTIONS:
            continue
        used = [case for case in CASES if case.block == page.name]
        assert used, page.name
        inside = page.signature.partition("(")[2].removesuffix(")")
        for text in re.split(r", (?=\w+(?::| ?=|,|$))", inside):
            name = re.match(r"\w+", text)
            assert name, text
            _, _, default = text.partition("= ")
            given = [spell(c.options[name[0]]) for c in used if name[0] in c.options]
            beside = [o for c in used for o in c.operands.split() if o.startswith(f"{name[0]}=")]
            placed = not default or text.startswith(("key=", "value="))
            assert placed or beside or set(given) - {default}, f"{page.name}: {text}"
