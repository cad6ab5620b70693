"""Losses of the library against PyTorch's, or their formulas written down with PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tests.elaborating import codes
from tests.std_blocks import compare_block

DRAWN = np.random.default_rng(3)
ROWS = 6


def draw(*shape: int) -> Any:
    return DRAWN.normal(size=(ROWS, *shape)).astype(np.float32)


LOGITS, OTHERS = draw(5), draw(5)
LABELS = DRAWN.integers(0, 5, ROWS)
PADDED = np.where(np.arange(ROWS) == 2, -100, LABELS)
SCORE, SECOND = draw(), draw()
BINARY = DRAWN.integers(0, 2, ROWS)
SIGNS = (2 * BINARY - 1).astype(np.float32)
WEIGHT = DRAWN.random(ROWS).astype(np.float32)
MAPS, MAP_LABELS = draw(3, 4, 5), DRAWN.integers(0, 3, (ROWS, 4, 5))
MASKS, MASK_TARGET = draw(1, 4, 5), DRAWN.integers(0, 2, (ROWS, 1, 4, 5))
POSITIVE = DRAWN.random((ROWS, 3)).astype(np.float32) + 0.1
A, B, C = draw(3), draw(3), draw(3)
GIVEN = {
    "logits": LOGITS,
    "others": OTHERS,
    "label": LABELS,
    "padded": PADDED,
    "score": SCORE,
    "second": SECOND,
    "binary": BINARY,
    "signs": SIGNS,
    "weight": WEIGHT,
    "maps": MAPS,
    "map_label": MAP_LABELS,
    "mask": MASKS,
    "mask_target": MASK_TARGET,
    "positive": POSITIVE,
    "a": A,
    "b": B,
    "c": C,
}


def focal(logits: Any, target: Any, gamma: float = 2.0, weight: Any = None) -> Any:
    kept = target != -100
    p = logits.softmax(1)[kept].gather(1, target[kept, None])[:, 0]
    loss = -((1 - p) ** gamma) * p.log()
    return loss.mean() if weight is None else (loss * weight).sum() / weight.sum()


def binary_focal(x: Any, t: Any, alpha: float = 0.25, gamma: float = 2.0) -> Any:
    """torchvision's sigmoid_focal_loss."""
    t, p = t.to(x.dtype), x.sigmoid()
    ce = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    p_t = p * t + (1 - p) * (1 - t)
    return (alpha * t + (1 - alpha) * (1 - t)) * ce * (1 - p_t) ** gamma


def overlap(
    logits: Any, target: Any, kind: str, *, start: int = 0, per_row: bool = False, eps: float = 1.0
) -> Any:
    shares, hot = logits.sigmoid(), target.to(logits.dtype)
    if logits.dim() > target.dim():
        shares, hot = logits.softmax(1), F.one_hot(target, logits.shape[1]).movedim(-1, 1)
        shares, hot = shares[:, start:], hot[:, start:].to(shares.dtype)
    ratios = []
    groups = range(shares.shape[1]) if logits.dim() > target.dim() else [slice(None)]
    rows: list[Any] = list(range(len(shares))) if per_row else [slice(None)]
    for group in groups:
        for row in rows:
            p, t = (x[row, group] if per_row else x[:, group] for x in (shares, hot))
            both, either = (p * t).sum(), p.sum() + t.sum()
            match kind:
                case "dice":
                    ratios.append((2 * both + eps) / (either + eps))
                case "iou":
                    ratios.append((both + eps) / (either - both + eps))
                case _:
                    alarms, misses = (p * (1 - t)).sum(), ((1 - p) * t).sum()
                    ratios.append((both + eps) / (both + 0.3 * alarms + 0.7 * misses + eps))
    return 1 - torch.stack(ratios).mean()


def kl_of_rows(p: Any, q: Any) -> Any:
    return torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=p), torch.distributions.Categorical(logits=q)
    )


def kl(p: Any, q: Any) -> Any:
    return kl_of_rows(p, q).mean()


def average(losses: Any, weight: Any) -> Any:
    return (losses * weight).sum() / weight.sum()


def jensen_shannon(a: Any, b: Any) -> Any:
    p, q = a.softmax(-1), b.softmax(-1)
    middle = ((p + q) / 2).log()
    halves = [F.kl_div(middle, x, reduction="batchmean") for x in (p, q)]
    return (halves[0] + halves[1]) / 2


def gaussian(mean: Any, log_variance: Any, prior: tuple[float, float] = (0.0, 0.0)) -> Any:
    made = torch.distributions.Normal(mean, (log_variance / 2).exp())
    before = torch.distributions.Normal(
        torch.full_like(mean, prior[0]), torch.full_like(mean, math.exp(prior[1] / 2))
    )
    return torch.distributions.kl_divergence(made, before).sum(-1).mean()


def nt_xent(a: Any, b: Any, temperature: float) -> Any:
    rows = torch.cat([a, b])
    total = torch.zeros((), dtype=a.dtype)
    for i, row in enumerate(rows):
        scores = F.cosine_similarity(row[None], rows) / temperature
        keep = [j for j in range(len(rows)) if j != i]
        own = (i + len(a)) % len(rows)
        total = total + scores[keep].logsumexp(0) - scores[own]
    return total / len(rows)


def clip_loss(image: Any, text: Any, scale: float = 14.285714) -> Any:
    scores = scale * F.normalize(image) @ F.normalize(text).T
    own = torch.arange(len(image))
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


def contrastive(a: Any, b: Any, same: Any) -> Any:
    distance = F.pairwise_distance(a, b)
    return (same * distance**2 / 2 + (1 - same) * (1 - distance).clamp(min=0) ** 2 / 2).mean()


def multi_margin(scores: Any, label: Any, **options: Any) -> Any:
    return F.multi_margin_loss(scores, label, **options)


CASES: list[tuple[str, str, Callable[..., Any]]] = [
    ("focal(logits, label)", "logits label", focal),
    ("focal(logits, padded)", "logits padded", focal),
    ("focal(logits, label, gamma=0)", "logits label", F.cross_entropy),
    (
        "focal(logits, label, gamma=0.5, weight=weight)",
        "logits label weight",
        lambda x, t, w: focal(x, t, 0.5, w),
    ),
    ("binary_focal(score, binary)", "score binary", lambda x, t: binary_focal(x, t).mean()),
    (
        'binary_focal(mask, mask_target, alpha=0.6, gamma=1, reduction="none")',
        "mask mask_target",
        lambda x, t: binary_focal(x, t, 0.6, 1.0),
    ),
    ("soft_dice(maps, map_label)", "maps map_label", lambda x, t: overlap(x, t, "dice")),
    (
        "soft_dice(maps, map_label, background=false, eps=0.1)",
        "maps map_label",
        lambda x, t: overlap(x, t, "dice", start=1, eps=0.1),
    ),
    (
        "soft_dice(maps, map_label, per_row=true)",
        "maps map_label",
        lambda x, t: overlap(x, t, "dice", per_row=True),
    ),
    ("soft_dice(mask, mask_target)", "mask mask_target", lambda x, t: overlap(x, t, "dice")),
    ("soft_iou(maps, map_label)", "maps map_label", lambda x, t: overlap(x, t, "iou")),
    ("soft_iou(mask, mask_target)", "mask mask_target", lambda x, t: overlap(x, t, "iou")),
    ("tversky(maps, map_label)", "maps map_label", lambda x, t: overlap(x, t, "tversky")),
    ("kl_of_logits(logits, others)", "logits others", lambda x, t: kl(t, x)),
    ("kl_of_logits(logits, others, reverse=true)", "logits others", kl),
    (
        "kl_of_logits(logits, others, weight=weight)",
        "logits others weight",
        lambda x, t, w: average(kl_of_rows(t, x), w),
    ),
    (
        'kl_of_logits(logits, others, reduction="none")',
        "logits others",
        lambda x, t: kl_of_rows(t, x),
    ),
    ("jensen_shannon(logits, others)", "logits others", jensen_shannon),
    (
        'jensen_shannon(logits, others, reduction="sum")',
        "logits others",
        lambda x, t: jensen_shannon(x, t) * len(x),
    ),
    ("gaussian_kl(a, b)", "a b", gaussian),
    (
        "gaussian_kl(a, b, prior_mean=0.5, prior_log_variance=-1.5)",
        "a b",
        lambda x, t: gaussian(x, t, (0.5, -1.5)),
    ),
    ("gaussian_nll(a, b, positive)", "a b positive", F.gaussian_nll_loss),
    (
        'gaussian_nll(a, b, positive, full=true, reduction="none")',
        "a b positive",
        lambda x, t, v: F.gaussian_nll_loss(x, t, v, full=True, reduction="none"),
    ),
    (
        "laplace_nll(a, b, positive)",
        "a b positive",
        lambda x, t, s: -torch.distributions.Laplace(x, s).log_prob(t).mean(),
    ),
    ("poisson_nll(a, positive)", "a positive", F.poisson_nll_loss),
    (
        "bernoulli_nll(score, binary)",
        "score binary",
        lambda x, t: F.binary_cross_entropy_with_logits(x, t.to(x.dtype)),
    ),
    ("log_cosh(a, b)", "a b", lambda x, t: (x - t).cosh().log().mean()),
    (
        "quantile_loss(a, b, quantile=0.9)",
        "a b",
        lambda x, t: torch.where(t > x, 0.9 * (t - x), 0.1 * (x - t)).mean(),
    ),
    ("hinge(score, signs)", "score signs", lambda x, t: (1 - t * x).clamp(min=0).mean()),
    (
        'hinge(score, signs, squared=true, reduction="sum")',
        "score signs",
        lambda x, t: (1 - t * x).clamp(min=0).square().sum(),
    ),
    ("multi_margin(logits, label)", "logits label", multi_margin),
    (
        "multi_margin(logits, label, p=2, margin=0.5)",
        "logits label",
        lambda x, t: multi_margin(x, t, p=2, margin=0.5),
    ),
    ("contrastive(a, b, binary)", "a b binary", contrastive),
    ("triplet(a, b, c)", "a b c", F.triplet_margin_loss),
    (
        'triplet(a, b, c, margin=0.3, p=1, reduction="none")',
        "a b c",
        lambda x, y, z: F.triplet_margin_loss(x, y, z, margin=0.3, p=1, reduction="none"),
    ),
    (
        "cosine_embedding(a, b, signs, margin=0.1)",
        "a b signs",
        lambda x, y, t: F.cosine_embedding_loss(x, y, t, margin=0.1),
    ),
    (
        "margin_ranking(score, second, signs, margin=0.2)",
        "score second signs",
        lambda x, y, t: F.margin_ranking_loss(x, y, t, margin=0.2),
    ),
    ("nt_xent(a, b, temperature=0.7)", "a b", lambda x, y: nt_xent(x, y, 0.7)),
    (
        "info_nce(a, b, temperature=0.5)",
        "a b",
        lambda x, y: F.cross_entropy(F.normalize(x) @ F.normalize(y).T / 0.5, torch.arange(len(x))),
    ),
    (
        'nt_xent(a, b, temperature=0.7, reduction="sum")',
        "a b",
        lambda x, y: nt_xent(x, y, 0.7) * 2 * len(x),
    ),
    (
        'info_nce(a, b, temperature=0.5, reduction="none")',
        "a b",
        lambda x, y: F.cross_entropy(
            F.normalize(x) @ F.normalize(y).T / 0.5, torch.arange(len(x)), reduction="none"
        ),
    ),
    ('clip_loss(a, b, reduction="sum")', "a b", lambda x, y: clip_loss(x, y) * len(x)),
    ("clip_loss(a, b)", "a b", clip_loss),
    ("clip_loss(a, b, scale=2.0)", "a b", lambda x, y: clip_loss(x, y, 2.0)),
    *(
        (
            f'gan_discriminator(score, second, "{form}")',
            "score second",
            lambda r, f: -r.sigmoid().log().mean() - (1 - f.sigmoid()).log().mean(),
        )
        for form in ("saturating", "non_saturating")
    ),
    (
        'gan_discriminator(score, second, "least_squares")',
        "score second",
        lambda r, f: ((r - 1).square().mean() + f.square().mean()) / 2,
    ),
    (
        'gan_discriminator(score, second, "hinge")',
        "score second",
        lambda r, f: (1 - r).clamp(min=0).mean() + (1 + f).clamp(min=0).mean(),
    ),
    (
        'gan_discriminator(score, second, "wasserstein")',
        "score second",
        lambda r, f: f.mean() - r.mean(),
    ),
    ('gan_generator(score, "saturating")', "score", lambda f: (1 - f.sigmoid()).log().mean()),
    ("gan_generator(score)", "score", lambda f: -f.sigmoid().log().mean()),
    ('gan_generator(score, "least_squares")', "score", lambda f: (f - 1).square().mean() / 2),
    ('gan_generator(score, "hinge")', "score", lambda f: -f.mean()),
    ('gan_generator(score, "wasserstein")', "score", lambda f: -f.mean()),
]


@pytest.mark.parametrize(("call", "names", "oracle"), CASES, ids=[case[0] for case in CASES])
def test_a_loss_equals_its_oracle(call: str, names: str, oracle: Callable[..., Any]) -> None:
    compare_block("losses", call, {name: GIVEN[name] for name in names.split()}, oracle)


def test_settings_that_mean_nothing() -> None:
    head = "use std.losses\nmodel M {\n    input a: f32[batch, 3]\n    input b: f32[batch, 3]\n"
    for call in (
        'log_cosh(a, b, reduction="average")',
        'gan_generator(a, "unknown")',
        'gan_discriminator(a, b, form="lsgan")',
    ):
        assert codes(f"{head}    output y = {call}\n}}") != [], call
