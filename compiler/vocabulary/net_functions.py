"""Functions that specs apply to nets: `lora`, small products beside dense layers."""

from __future__ import annotations

from typing import final

from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.layers import option_out_of_range
from compiler.vocabulary.duration import ONE_EPOCH, Duration
from compiler.vocabulary.ramps import Ramp
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


class Average(NetFunction):
    """Base of functions that make nets which follow another net of a train."""

    @property
    def epochs(self) -> tuple[int, int] | None:
        """Of an equal average, the epochs that are left out, and how many lie between those that
        count; None of one that moves at every step."""
        return None


@NET_FUNCTIONS.register
@final
@dataclass(frozen=True)
class Ema(Average):
    """A moving average of a net that a train updates: a net of its own, which starts as a copy.

        m = d * m + (1 - d) * w

    w is a weight after a step that changed it, m that of the average, d the decay. The average is
    evaluated, never trained: no gradient reaches its weights, it runs in evaluation mode, and its
    running statistics are those of the net. It is a net of the train as any other: a teacher in
    an objective, what a sample or a metric looks at, what is deployed (`deploy ddpm.smooth`).

    - `net`: a net of the train.
    - `decay`: how much of the average stays at a step: a number, `cosine(0.996, 1.0)` or
      `linear(…)`.
    - `warmup`: whether the decay of the first steps is lower, min(decay, (1 + s) / (10 + s)) at
      step s, counted from 0, as diffusion models and TensorFlow's averages have it.

    Errors: W1484 outside of a train, and for what is no net of it; W0353 for a decay out of range.
    Example:

        model Net { input x: f32[n, 4]  output y = x -> dense(8) -> relu -> dense(3) }
        data iris { source sklearn("iris")  split random(seed=0), train=80%, val=20% }
        train fit on iris {
            net student = Net()
            net teacher = ema(student, decay=0.99)
            scores = student(features)
            target = teacher(features + 0.1) -> detach
            minimize cross_entropy(scores, label) + mse(scores, target) with adam(lr=1e-3)
            batch 16  epochs 3
        }

    Source: Polyak & Juditsky (1992); Tarvainen & Valpola (2017),
    https://arxiv.org/abs/1703.01780; torch.optim.swa_utils.get_ema_multi_avg_fn.
    """

    name = "ema"
    decay: float | Ramp = 0.999
    warmup: bool = False

    def __post_init__(self) -> None:
        bounds = (self.decay,) if isinstance(self.decay, float) else self.decay.bounds
        for bound in bounds:
            if not 0 <= bound <= 1:
                raise Fault(
                    lambda where, bound=bound: option_out_of_range(  # type: ignore[misc]
                        where.argument("decay"), self.name, "decay", bound, "0 to 1", None
                    )
                )


@NET_FUNCTIONS.register
@final
@dataclass(frozen=True)
class Swa(Average):
    """The equal average of what a net that a train updates was after some epochs (stochastic
    weight averaging): a net of its own, which starts as a copy.

        m = Σ_i w[i] / n

    w[i] is a weight after the i-th of the n epochs so far that count. Before the first of them the
    average is the net as it began. It is evaluated, never trained. Running statistics of batch
    norms fit no average of weights: they are computed anew after each epoch that counts, over all
    training rows in training mode, as `torch.optim.swa_utils.update_bn` does it. For that such a
    net has one input, and a train gives it a column there.

    - `net`: a net of the train.
    - `start`: how many epochs are left out, `start=10epochs`.
    - `every`: which epochs count after that, `every=2epochs`.

    Errors: W1484 outside of a train, W1485 for what is no net of it, W0353 for another unit.
    Example:

        model Net {
            input x: f32[n, 4]
            output y = x -> dense(8, bias=false) -> batch_norm -> relu -> dense(3)
        }
        data iris { source sklearn("iris")  split random(seed=0), train=80%, val=20% }
        train fit on iris {
            net student = Net()
            net smooth = swa(student, start=1epoch)
            minimize cross_entropy(student(features), label) with sgd(lr=0.1)
            metric accuracy = accuracy(smooth(features), label)
            batch 16  epochs 3
        }

    Source: Izmailov et al. (2018), https://arxiv.org/abs/1803.05407;
    torch.optim.swa_utils.AveragedModel.
    """

    name = "swa"
    start: Duration = Duration(0, "epochs")
    every: Duration = ONE_EPOCH

    def __post_init__(self) -> None:
        for option, given, least in (("start", self.start, 0), ("every", self.every, 1)):
            if given.unit != "epochs" or given.value != int(given.value) or given.value < least:
                raise Fault(
                    lambda where, option=option, given=given: option_out_of_range(  # type: ignore[misc]
                        where.argument(option),
                        self.name,
                        option,
                        str(given),
                        f"a whole number of epochs, {1 if option == 'every' else 0} or more",
                        None,
                    )
                )

    @property
    def epochs(self) -> tuple[int, int]:
        """The epochs that are left out, and how many lie between those that count."""
        return int(self.start.value), int(self.every.value)
