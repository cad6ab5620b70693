"""The closed form of a linear model: weights of the least squares, solved for at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.training.base import OPTIMIZERS, Optimizer, Schedule
from compiler.training.schedules import CONSTANT
from compiler.training.settings import refuse, require_at_least_zero

_DEFINITION = '''
class LeastSquares(torch.optim.Optimizer):
    """Solves for the parameters with the least loss, a square of what is linear in them:
    its gradients at 0 and at each unit vector say where it is level."""

    def __init__(self, params: Iterable[Tensor], lr: float = 1.0) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:
        (group,) = self.param_groups
        parameters = [p for p in group["params"] if p.requires_grad]

        def measure_slope(place: Tensor) -> Tensor:
            nn.utils.vector_to_parameters(place, parameters)
            with torch.enable_grad():
                closure()
            for parameter in parameters:
                if parameter.grad is None:  # nothing reads it
                    parameter.grad = torch.zeros_like(parameter)
            return nn.utils.parameters_to_vector(p.grad for p in parameters)

        start = nn.utils.parameters_to_vector(parameters)
        slope = measure_slope(torch.zeros_like(start))
        units = torch.eye(len(start), dtype=start.dtype, device=start.device)
        curvature = torch.stack([measure_slope(unit) - slope for unit in units])
        # Features of any scale weigh the same, and directions that nothing tells of stay at 0.
        scale = curvature.diagonal().clamp(min=0).sqrt()
        scale = torch.where(scale > 0, scale, 1)
        values, axes = torch.linalg.eigh(curvature / scale / scale[:, None])
        if values[0] < -1e-6 * values.abs().max():
            sys.exit("the loss is not convex: no weights have the least")
        told = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
        axes = axes[:, told] / scale[:, None]
        found = axes @ (axes.T @ -slope / values[told])
        place = start + group["lr"] * (found - start)
        nn.utils.vector_to_parameters(place, parameters)
        with torch.enable_grad():
            return closure()
'''


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class LeastSquares(Optimizer):
    """The closed form of a linear model (Legendre 1805): the weights of the least squared error
    over all rows of the training split, whatever `batch` is, solved for in double precision.

        w = (Xᵀ X + c I)⁻¹ Xᵀ t

    w are the weights of the prediction `X w`, t the targets; c is 0 for biases, and else `ridge`
    (Hoerl and Kennard 1970) where the loss is a sum of squares, and `ridge` times the numbers in t
    where it is a mean.

    The loss is `mse`, or a sum or mean of squares of what is linear in the weights that are
    trained: layers before them are frozen or have no weights. One epoch is enough. Of several
    solutions it takes one; each weight takes a pass over the rows, and 10,000 are the most.

    - `lr`: how far it goes to the solution; 1 is all the way. The schedule multiplies it.
    - `ridge`: this times the sum of the squares of the weights is added to the loss, without biases
      and other parameters of one axis, as `regularize l2(ridge)` does. It is the alpha of
      scikit-learn's `Ridge` where the loss is a sum, and alpha over the number of targets where it
      is a mean.
    - `schedule`: how `lr` changes.

    Example: `minimize mse(line, target) with least_squares(ridge=1e-3)`
    Errors: W1403 where the loss is no square of what is linear in the weights, or the negative of
    one, W1404 where a clause asks for what has no closed form. A training whose loss turns out not
    to be convex ends with an error.
    Source: https://numpy.org/doc/stable/reference/generated/numpy.linalg.lstsq.html
    """

    name: ClassVar[str] = "least_squares"
    torch_name: ClassVar[str] = "LeastSquares"
    evaluates: ClassVar[bool] = True
    solves: ClassVar[bool] = True
    usual: ClassVar[tuple[float, float] | None] = (1e-2, 1.0)
    lr: float = 1.0
    ridge: float = 0.0
    schedule: Schedule = CONSTANT

    def check(self) -> None:
        if not 0 < self.lr <= 1:
            refuse(self.name, "lr", self.lr, "above 0 and at most 1")
        require_at_least_zero(self.name, "ridge", self.ridge)

    @classmethod
    def order(cls) -> Sequence[str]:
        return []  # `ridge` is a term of the loss

    @property
    def definition(self) -> str:
        return _DEFINITION.strip()
