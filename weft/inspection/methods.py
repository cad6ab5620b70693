"""The ways of looking into a net: one function each, which draws what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.pytorch.run.attribution import SHARE, STEPS, measure_deletion
from compiler.ir.graph import Value
from weft.inspection.layers import (
    Attention,
    choose_features,
    choose_map,
    find_attention,
    find_filters,
)
from weft.inspection.pictures import (
    Picture,
    colour_heat,
    colour_signed,
    draw_filters,
    draw_grid,
    draw_image,
    draw_points,
    enlarge,
    lay_over,
    resize,
)
from weft.inspection.subject import Subject

Array = NDArray[Any]
MOST_POINTS = 2000
"""Rows that t-SNE places: its time grows faster than their number."""
LEAST_POINTS = 5
MOST_PLACES = 512
"""Places up to which attention is drawn."""


class NothingToShow(Exception):
    """A way of looking that shows nothing of a net; says why."""


@dataclass(frozen=True)
class Drawn:
    """A picture: what it shows, the row that it is of (None: of the net, or of all rows)."""

    name: str
    title: str
    picture: Picture
    row: int | None = None


@dataclass(frozen=True)
class Found:
    """What a way of looking gives: pictures, numbers by name, and what is to be said of it."""

    pictures: Sequence[Drawn]
    arrays: Mapping[str, Array] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


Method = Callable[[Subject], Found]


def show_grad_cam(subject: Subject) -> Found:
    """Grad-CAM: where the map of a layer speaks for the class."""
    layer = choose_map(subject.graph, subject.choice.layer)
    if layer is None:
        raise NothingToShow("no layer outside of loops has a map `[rows, channels, height, width]`")
    heat = subject.scored.compute_grad_cam(subject.inputs, subject.classes, layer.value)
    if heat is None:
        raise NothingToShow(f"its scores do not follow from the layer `{layer.path}`")
    notes: dict[str, Any] = {"layer": layer.path, "map": list(heat.shape[1:])}
    if heat.ndim > 3 or (shape := _find_plane(subject)) is None:
        pictures = [_strip(subject, i, one) for i, one in enumerate(heat) if one.ndim < 3]
        return Found(pictures, {"grad_cam": heat}, notes)
    planes = np.stack([resize(np.atleast_2d(one), *shape) for one in heat])
    images = subject.inputs[subject.image or ""]
    drawn = [
        Drawn("grad_cam", f"Grad-CAM at {layer.path}", lay_over(image, plane), index)
        for index, (image, plane) in enumerate(zip(images, planes, strict=True))
    ]
    return Found(drawn, {"grad_cam": heat}, notes | _judge(subject, planes))


def _strip(subject: Subject, index: int, heat: Array) -> Drawn:
    picture = enlarge(colour_heat(np.atleast_2d(heat)))
    return Drawn("grad_cam", "Grad-CAM", picture, index)


def show_saliency(subject: Subject) -> Found:
    """Saliency: how fast the score changes with each place of the input."""
    slopes = subject.scored.compute_slopes(subject.inputs, subject.classes)
    _need_slopes(slopes)
    name = subject.image
    if name is None:
        return Found([], {f"saliency.{n}": a for n, a in slopes.items()})
    marks = np.abs(slopes[name])
    marks = marks.max(1) if marks.ndim == 4 else marks
    drawn = [
        Drawn("saliency", "saliency", enlarge(colour_heat(np.atleast_2d(one))), index)
        for index, one in enumerate(marks)
    ]
    return Found(drawn, {f"saliency.{n}": a for n, a in slopes.items()}, _judge(subject, marks))


def show_integrated_gradients(subject: Subject) -> Found:
    """Integrated gradients: what each place of the input adds to the score, from zeros on."""
    parts = subject.scored.integrate_slopes(subject.inputs, subject.classes)
    _need_slopes(parts)
    arrays = {f"integrated_gradients.{n}": a for n, a in parts.items()}
    rows = np.arange(len(subject.rows))
    zeros = {n: np.zeros_like(a) if n in parts else a for n, a in subject.inputs.items()}
    change = subject.scores - subject.scored.score(zeros)
    summed = np.stack([a.reshape(len(rows), -1).sum(1) for a in parts.values()]).sum(0)
    off = np.abs(summed - change[rows, subject.classes]).max()
    notes: dict[str, Any] = {"steps": STEPS, "baseline": "zeros", "largest_error": float(off)}
    name = subject.image
    if name is None:
        return Found([], arrays, notes)
    marks = parts[name].sum(1) if parts[name].ndim == 4 else parts[name]
    drawn = [
        Drawn(
            "integrated_gradients",
            "integrated gradients",
            enlarge(colour_signed(np.atleast_2d(one))),
            index,
        )
        for index, one in enumerate(marks)
    ]
    return Found(drawn, arrays, notes | _judge(subject, marks))


def _need_slopes(slopes: Mapping[str, Array]) -> None:
    if not slopes:
        raise NothingToShow("its inputs are whole numbers, which have no gradients")
    if not any(np.any(slope) for slope in slopes.values()):
        raise NothingToShow("its scores have no gradient by its inputs")


def _find_plane(subject: Subject) -> tuple[int, int] | None:
    """Height and width of the input that marks are drawn over."""
    if subject.image is None or subject.inputs[subject.image].ndim < 3:
        return None
    height, width = subject.inputs[subject.image].shape[-2:]
    return height, width


def _judge(subject: Subject, marks: Array) -> dict[str, Any]:
    """What deleting the marked places does, in words of the page."""
    found = measure_deletion(
        subject.scored,
        subject.inputs,
        subject.classes,
        subject.image or "",
        marks,
        seed=subject.train.seed % 2**32,
    )
    figures = {"deleted": SHARE, "fall_marked": found.marked, "fall_random": found.random}
    return figures | {"fall_of": "probability" if subject.scored.tells_classes else "score"}


def show_attention(subject: Subject) -> Found:
    """Attention: which places each place looks at, head by head."""
    found = list(find_attention(subject.graph))
    if not found:
        raise NothingToShow("it has no attention outside of loops")
    drawn: list[Drawn] = []
    arrays = {}
    for one in found:
        shares = arrays[f"attention.{one.path}"] = _weigh(subject, one)
        if max(shares.shape[-2:]) > MOST_PLACES:
            continue
        laid = shares.reshape(len(shares), -1, *shares.shape[-2:])
        for index, heads in enumerate(laid):
            tiles = [enlarge(colour_heat(head), 96) for head in heads]
            page = draw_grid(tiles, min(8, len(tiles)))
            drawn.append(Drawn(f"attention-{one.path}", f"attention {one.path}", page, index))
    return Found(drawn, arrays, {"layers": [one.path for one in found]})


def _weigh(subject: Subject, attention: Attention) -> Array:
    """The weights of attention, `[rows, …, queries, keys]`: its weighted means of the rows of the
    identity matrix."""
    node, place = attention.node, attention.node.op.mixes
    assert place is not None, "it takes weighted means"
    given = {v.name: v for i, v in enumerate(node.inputs) if v is not None and i != place}
    values = node.inputs[place]
    assert values is not None, "weighted means are of something"
    wanted = [*given.values(), values]
    made = _observe(subject, wanted)
    numbers = dict(zip([v.name for v in wanted], made, strict=True))
    mixed = numbers[values.name]
    places = mixed.shape[-2]
    unit = np.broadcast_to(np.eye(places, dtype=mixed.dtype), (*mixed.shape[:-1], places))
    inputs = [
        unit if i == place else numbers[v.name] if v is not None else None
        for i, v in enumerate(node.inputs)
    ]
    (shares,) = node.op.evaluate(*inputs)
    return np.asarray(shares)


def _observe(subject: Subject, values: Sequence[Value]) -> list[Array]:
    return subject.scored.observe(subject.inputs, values)


def show_filters(subject: Subject) -> Found:
    """Filters: the weights of the first layer, as images."""
    weight = find_filters(subject.graph)
    if weight is None:
        raise NothingToShow("its first layer with weights is no convolution over an image")
    numbers = np.asarray(subject.scored.weights[weight.path])
    title = f"{weight.path}, {numbers.shape[0]} filters of {numbers.shape[2]} x {numbers.shape[3]}"
    return Found([Drawn("filters", title, draw_filters(numbers))], notes={"weight": weight.path})


def show_features(subject: Subject) -> Found:
    """Features: what the last layer is given of all rows of the split, and two pictures of them."""
    layer = choose_features(subject.graph, subject.choice.features, subject.scored.output)
    rows = np.arange(subject.count_rows())
    parts = [_read_features(subject, layer.value, part) for part in _divide(subject, rows)]
    features = np.concatenate(parts)
    labels = subject.read_labels(rows)
    arrays = {"features": features, "rows": rows}
    if labels is not None:
        arrays["labels"] = labels
    drawn, notes = _place_points(subject, features, labels)
    notes = {"of": layer.path, "rows": len(features), "numbers": features.shape[1], **notes}
    return Found(drawn, arrays, notes)


def _divide(subject: Subject, rows: Array) -> Iterator[Array]:
    size = max(1, subject.train.batch)
    yield from (rows[start : start + size] for start in range(0, len(rows), size))


def _read_features(subject: Subject, value: Value, rows: Array) -> Array:
    """Features of rows, `[rows, numbers]`: of a map the mean of each channel."""
    (found,) = subject.scored.observe(subject.read_inputs(rows), [value])
    found = found.mean(tuple(range(2, found.ndim))) if found.ndim >= 4 else found
    return np.asarray(found.reshape(len(found), -1), np.float32)


def _place_points(
    subject: Subject, features: Array, labels: Array | None
) -> tuple[list[Drawn], dict[str, Any]]:
    """Pictures of rows as points: principal components, and neighbourhoods (t-SNE)."""
    if len(features) < LEAST_POINTS or features.shape[1] < 2:
        return [], {"points": "too few rows or numbers to draw"}
    if not np.isfinite(features).all():
        return [], {"points": "some features are not finite"}
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    seed = subject.train.seed % 2**32
    components = PCA(2, random_state=seed)
    flat = components.fit_transform(features)
    shares = components.explained_variance_ratio_
    chosen = np.random.default_rng(seed).permutation(len(features))[:MOST_POINTS]
    chosen.sort()
    near = TSNE(perplexity=min(30.0, (len(chosen) - 1) / 3), init="random", random_state=seed)
    spread = near.fit_transform(features[chosen])
    picked = labels[chosen] if labels is not None else None
    explained = f"{shares.sum():.0%} of the variance" if np.isfinite(shares).all() else "all equal"
    drawn = [
        Drawn("pca", f"PCA, {explained}", draw_points(flat, labels, subject.words)),
        Drawn("tsne", f"t-SNE of {len(chosen):,} rows", draw_points(spread, picked, subject.words)),
    ]
    return drawn, {"variance_explained": [float(share) for share in shares]}


METHODS: Mapping[str, Method] = {
    "grad-cam": show_grad_cam,
    "integrated-gradients": show_integrated_gradients,
    "saliency": show_saliency,
    "attention": show_attention,
    "filters": show_filters,
    "features": show_features,
}
"""By the name that `--only` takes, in the order of the page."""


def draw_inputs(subject: Subject) -> list[Drawn]:
    """The rows themselves, where they are images."""
    if subject.image is None:
        return []
    images = subject.inputs[subject.image]
    return [Drawn("input", "input", draw_image(one), i) for i, one in enumerate(images)]
