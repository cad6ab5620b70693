"""Functions that specs apply to nets: `lora`, small products beside dense layers."""

from __future__ import annotations

from typing import final

from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.layers import option_out_of_range
from compiler.vocabulary.signature import Described, Registry

LOAD = "load"
"""The name of the function on nets that reads weights; its arguments are patterns."""


class NetFunction(Described):
    """Base of functions that specs apply to nets, besides `load`."""


NET_FUNCTIONS: Registry[NetFunction] = Registry("function on nets")
"""Functions on nets by name."""


@NET_FUNCTIONS.register
@final
@dataclass(frozen=True)
class Lora(NetFunction):
    """Low-rank adapters for fine-tuning: `y = W x + b + alpha / rank * B A x`.

    Each dense layer that is adapted gets a matrix A `[rank, in]`, drawn as dense layers are, and
    B `[out, rank]` of zeros, so that the net starts as it was. Trains of the net update A and B
    only; everything else is frozen, but what `train` names. A layer at `q` keeps its paths, its
    adapter lives at `q_lora.0.weight` and `q_lora.1.weight`. When the net is deployed, the
    products are added to the weights: the file has no trace of adapters.

    - `rank`: the numbers between A and B.
    - `alpha`: the scale of the adapters is alpha / rank; `rank` where it is left out.
    - `dropout`: of what goes into the adapters, while training.
    - `only`, `except`: path patterns of dense layers that get, or do not get, one.
    - `train`: path patterns of parameters that are trained too, such as a new head.

    Errors: W1132 where no dense layer is adapted, W0353 for numbers out of range.
    Example:

        model Net {
            input x: f32[n, 64]
            output y = x -> dense(64) as hidden -> relu -> dense(10) as head
        }

        net tuned = Net() -> lora(rank=8, only=["hidden"])

    Source: Hu et al. (2021), https://arxiv.org/abs/2106.09685; defaults as in peft.
    """

    name = "lora"
    rank: int = 8
    alpha: float | None = None
    dropout: float = 0.0
    only: tuple[str, ...] | None = None
    except_: tuple[str, ...] = ()
    train: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rank < 1:
            self._refuse("rank", self.rank, "at least 1")
        if self.alpha is not None and self.alpha <= 0:
            self._refuse("alpha", self.alpha, "more than 0")
        if not 0 <= self.dropout < 1:
            self._refuse("dropout", self.dropout, "a share from 0% to under 100%")

    def _refuse(self, option: str, value: float, needed: str) -> None:
        raise Fault(
            lambda where: option_out_of_range(
                where.argument(option), self.name, option, value, needed, None
            )
        )

    @property
    def scale(self) -> float:
        """alpha / rank."""
        return 1.0 if self.alpha is None else self.alpha / self.rank
