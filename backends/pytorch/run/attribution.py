"""What of an input decides a score of a net: gradients of its generated module.

Every net is in evaluation mode, and its rows are taken for independent: the gradient of the sum of
all rows' scores is then that of each row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.ir.graph import Graph, Output, Value
from compiler.ir.limits import find_limits
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[Any]
STEPS = 64
"""Points of the path that integrated gradients are summed over."""
SHARE = 0.2
"""The share of places that `measure_deletion` deletes."""
DRAWS = 16
"""How many random choices of places the marked ones are held against."""


@dataclass(frozen=True)
class ScoredNet:
    """A net with its weights, and the output that has its scores: `[rows]`, or `[rows, classes]`
    with further axes that are summed over. `tells_classes`: they are scores of classes, and no
    other numbers, of which there are no probabilities."""

    graph: Graph
    weights: Mapping[str, Array]
    output: Value
    tells_classes: bool = True

    def observe(self, inputs: Mapping[str, Array], values: Sequence[Value]) -> list[Array]:
        """What the net makes of inputs on its way, without gradients."""
        import torch

        with torch.no_grad():
            made = self._probe(*values)(self._give(inputs))
        return [tensor.numpy() for tensor in made]

    def score(self, inputs: Mapping[str, Array]) -> Array:
        """The scores, `f64[rows, classes]`."""
        (found,) = self.observe(inputs, [self.output])
        laid: Array = np.asarray(found, np.float64).reshape(*_lay_out(found.shape))
        return np.asarray(laid.sum(2))

    def find_probabilities(self, scores: Array) -> Array:
        """Probabilities of classes (`[rows, classes]`): the scores themselves where the net puts
        out what lies between 0 and 1, else their softmax, and the sigmoid of a single one. Without
        classes the scores as they are."""
        if not self.tells_classes:
            return scores
        low, high = find_limits(self.graph, self.output)
        if low >= 0 and high <= 1 and self.output.type.rank <= 2:
            return scores
        if scores.shape[1] == 1:
            return np.asarray(1 / (1 + np.exp(-scores)))
        powers = np.exp(scores - scores.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True))

    def compute_grad_cam(
        self, inputs: Mapping[str, Array], classes: Array, layer: Value
    ) -> Array | None:
        """Grad-CAM: where the channels of a layer that speak for a class are active.

            heat = relu(Σ_c w_c * layer_c),   w_c the mean of d score / d layer_c over all places

        Source: Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391

        Args:
            inputs: rows, by name.
            classes: the class of each row.
            layer: `[rows, channels, …places]`.

        Returns:
            `f32[rows, …places]`, not scaled; None where the score does not follow from the layer.
        """
        import torch

        scores, features = self._probe(self.output, layer)(self._give(inputs, marked=True))
        total = _choose(scores, classes).sum()
        if not total.requires_grad:
            return None
        (slope,) = torch.autograd.grad(total, features, allow_unused=True)
        if slope is None:
            return None
        places = tuple(range(2, features.ndim))
        heat = (slope.mean(places, keepdim=True) * features).sum(1).relu()
        found: Array = heat.detach().float().numpy()
        return found

    def compute_slopes(self, inputs: Mapping[str, Array], classes: Array) -> dict[str, Array]:
        """The gradient of each row's score by its floating-point inputs (Simonyan et al. 2014,
        https://arxiv.org/abs/1312.6034), by name."""
        import torch

        names = self.differentiable
        if not names:
            return {}
        given = self._give(inputs, marked=True)
        (scores,) = self._probe(self.output)(given)
        slopes = torch.autograd.grad(
            _choose(scores, classes).sum(), [given[n] for n in names], allow_unused=True
        )
        return {
            name: np.zeros(inputs[name].shape, np.float32) if slope is None else slope.numpy()
            for name, slope in zip(names, slopes, strict=True)
        }

    def integrate_slopes(self, inputs: Mapping[str, Array], classes: Array) -> dict[str, Array]:
        """Integrated gradients: the input times the mean of the gradient on the way from zeros to
        it, so that the sum over a row is nearly `score(x) - score(0)`.

            y = x * (1 / K) Σ_k d score(x (k - 1/2) / K) / d x,   k = 1..K

        Source: Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365
        """
        total = {name: np.zeros(inputs[name].shape) for name in self.differentiable}
        for step in range(STEPS):
            share = (step + 0.5) / STEPS
            point = {n: a * share if n in total else a for n, a in inputs.items()}
            given = {n: np.asarray(a, inputs[n].dtype) for n, a in point.items()}
            for name, slope in self.compute_slopes(given, classes).items():
                total[name] += slope
        found = {n: inputs[n] * summed / STEPS for n, summed in total.items()}
        return {name: array.astype(np.float32) for name, array in found.items()}

    @cached_property
    def differentiable(self) -> tuple[str, ...]:
        """The inputs that have gradients."""
        return tuple(i.name for i in self.graph.inputs if i.value.type.dtype.is_float)

    @cached_property
    def _modules(self) -> dict[tuple[str, ...], Any]:
        return {}

    def _probe(self, *values: Value) -> _Probe:
        """What computes these values; its module is made once."""
        key = tuple(value.name for value in values)
        if key not in self._modules:
            outputs = tuple(Output(f"probe{i}", value) for i, value in enumerate(values))
            part = DeadCode().run(replace(self.graph, outputs=outputs), Context())
            module = load_module(emit_module([part], title=part.name), part)
            assign_weights(module, {p.path: self.weights[p.path] for p in part.parameters})
            self._modules[key] = _Probe(part, module)
        probe: _Probe = self._modules[key]
        return probe

    def _give(self, inputs: Mapping[str, Array], *, marked: bool = False) -> dict[str, Tensor]:
        """Inputs as tensors; where they are `marked`, gradients are taken by them."""
        import torch

        found = {n: torch.from_numpy(np.array(a, order="C")) for n, a in inputs.items()}
        for name in self.differentiable if marked else ():
            found[name].requires_grad_()
        return found


@dataclass(frozen=True)
class _Probe:
    """A module that puts out values of a graph."""

    graph: Graph
    module: Any

    def __call__(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        made = self.module(*(inputs[item.name] for item in self.graph.inputs))
        names = [output.name for output in self.graph.outputs]
        if len(names) == 1:
            return [made]
        return [made[name] for name in names] if isinstance(made, Mapping) else list(made)


def _lay_out(shape: Sequence[int]) -> tuple[int, int, int]:
    """Rows, classes, and places of a class."""
    rows, classes, *places = (*shape, 1) if len(shape) == 1 else shape
    return rows, classes, int(np.prod(places))


def _choose(scores: Tensor, classes: Array) -> Tensor:
    """The score of each row's class, `[rows]`."""
    import torch

    laid = scores.reshape(_lay_out(scores.shape)).sum(2)
    return laid.gather(1, torch.from_numpy(np.asarray(classes, np.int64))[:, None])[:, 0]


@dataclass(frozen=True)
class Deletion:
    """How much the probability of its class falls, in the mean over rows, when a share of the
    places of an input is set to 0: those that are marked highest, and as many random ones."""

    marked: float
    random: float


def measure_deletion(
    net: ScoredNet,
    inputs: Mapping[str, Array],
    classes: Array,
    name: str,
    marks: Array,
    *,
    share: float = SHARE,
    seed: int = 0,
) -> Deletion:
    """Whether the places that are marked matter: they are deleted (Petsiuk et al. 2018,
    https://arxiv.org/abs/1806.07421).

    Args:
        net: the net.
        inputs: rows, by name.
        classes: the class of each row.
        name: the input of which places are deleted.
        marks: how much each place matters, `[rows, …places]`: the last axes of the input.
        share: how many places are deleted.
        seed: of the random ones.
    """
    rows = np.arange(len(marks))
    flat = marks.reshape(len(marks), -1)
    count = max(1, round(share * flat.shape[1]))
    generator = np.random.default_rng(seed)

    def find_fall(order: Array) -> float:
        kept = np.ones(flat.shape, bool)
        kept[rows[:, None], order[:, :count]] = False
        array = inputs[name]
        places = kept.reshape(len(marks), *(1,) * (array.ndim - marks.ndim), *marks.shape[1:])
        after = net.score({**inputs, name: array * places.astype(array.dtype)})
        return float(np.mean((before - net.find_probabilities(after))[rows, classes]))

    before = net.find_probabilities(net.score(inputs))
    # Of equal marks, as the zeros of a heat map, none goes before another by its place.
    shuffled = generator.random(flat.shape)
    marked = find_fall(np.lexsort((shuffled, -flat), axis=1))
    random = [find_fall(generator.random(flat.shape).argsort(1)) for _ in range(DRAWS)]
    return Deletion(marked, float(np.mean(random)))
