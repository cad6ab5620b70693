"""What a compression pass is: a function from a trained net, and the context around it, to a
smaller one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray

from compiler.compression.context import (
    Evaluator,
    Goal,
    LatencyMeter,
    LayerNote,
    Samples,
    SizeMeter,
    Trainer,
    TrialStore,
)
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.program.variant import Step, Target
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.source import Span
from compiler.vocabulary.signature import Described, Registry

Array = NDArray[Any]


class CompressionPass(Described):
    """Base of compression passes. Subclasses are `@final @dataclass(frozen=True)`, live in
    `compiler/compression/`, and register with `@COMPRESSION.register`; their fields are their
    options in the spec (`prune(channels=50%)`), in Python and in the manual.

    A pass keeps the inputs and outputs of the graph (names, types, symbolic dims), the paths of
    parameters that it keeps, and copies `scope` and `origin` from the node it replaces. What it
    does to each layer, and why not more, it says to `context.journal`.
    """

    reads_goals: ClassVar[bool] = False
    """Whether what it does depends on `context.goals`: on what the variant must hold."""
    trains: ClassVar[bool] = False
    """Whether it trains the net on, which takes the time of a training."""

    needs_floats: ClassVar[bool] = False
    """Whether it works on weights in floats, and has nothing to do where none are left."""
    changes: ClassVar[Literal["widths", "layers", "bits"]] = "layers"
    """What it changes of a net; a search applies passes in this order."""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuses settings that mean nothing.

        Raises:
            Fault: which setting, and why.
        """

    @property
    def trained_epochs(self) -> int:
        """For how many epochs it follows the schedule of its train."""
        return 0

    @property
    def may_leave_whole(self) -> bool:
        """Whether it may find that the net is best left as it is: where it does nothing, that is
        an error otherwise."""
        return False

    @property
    def keeps_layers(self) -> bool:
        """Whether it leaves every layer as it was, with other numbers in its weights: what can be
        told of the net before it can be told of the net behind it."""
        return False

    def can_follow(self, before: CompressionPass) -> bool:
        """Whether it may find something to do behind another pass, as far as the calls say."""
        return before.leaves_floats or not self.needs_floats

    @property
    def attaches(self) -> bool:
        """Whether it puts the net back into its train, to train it on or to ask for gradients."""
        return self.trains

    def shorten(self, share: float) -> CompressionPass:
        """The same pass with a share of its training, where it trains: for judging candidates."""
        return self

    @classmethod
    def list_settings(cls) -> tuple[CompressionPass, ...]:
        """What a search tries of the bare word on single layers, weakest first."""
        return (cls(),)

    @classmethod
    def list_scales(cls) -> tuple[tuple[CompressionPass, ...], ...]:
        """What a search tries of the bare word with one strength for all layers, weakest first,
        by each of the options that say how far it goes."""
        return (cls.list_settings(),)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns of layers that it is asked to touch, where it has an `only`."""
        return tuple(getattr(self, "only", None) or ())

    def find_fault(
        self, graph: Graph | None, bounded: Collection[str], span: Span | None
    ) -> Message | None:
        """Why the pass cannot do its work in its variant; None where nothing is in its way.

        Args:
            graph: the net that it gets; None where that is not known before other work.
            bounded: the figures that the variant bounds from above.
            span: where the pass is called.
        """
        return None

    @property
    def may_round(self) -> bool:
        """Whether the net may round to steps behind it, as integer arithmetic does."""
        return False

    def find_unprepared(
        self, before: Sequence[CompressionPass], graph: Graph, span: Span | None
    ) -> Message | None:
        """What the pass needs and neither the net of its variant nor the passes `before` give it;
        None where nothing is missing."""
        return None

    def find_dataless(self, span: Span | None) -> Message | None:
        """What the pass has no rows for, where the variant is of no train; None where it needs
        none."""
        return None

    def find_idle_setting(self, step: Graph, span: Span | None) -> Message | None:
        """A setting of the pass that the objective of its train, the graph of a step, leaves
        without a meaning; None where there is none."""
        return None

    def find_target_fault(self, target: Target, span: Span | None) -> Message | None:
        """Why what is asked for cannot be done on a target; None where nothing is in its way."""
        return None

    def count_least(self, shape: tuple[int, ...]) -> int:
        """The fewest numbers that the pass leaves of a parameter of this shape, whatever it
        finds; for bounds on sizes before any work. 1 says that nothing is known."""
        return 1

    def count_all_least(self, graph: Graph) -> Mapping[str, int]:
        """The same by path, as far as more is known where the pass is the first of this graph."""
        return {}

    @property
    def may_leave_out_zeros(self) -> bool:
        """Whether numbers that are zero, or rounded to it, may take no bytes in the file."""
        return False

    @property
    def leaves_floats(self) -> bool:
        """Whether layers may still have weights in floats after it, as far as the call says."""
        return True

    @property
    def unpacks_weights(self) -> bool:
        """Whether every weight that the pass keeps in few bits has a node that unpacks it."""
        return False

    def find_least_bits(self, bits: float) -> float:
        """The fewest bits that the pass stores of a number that had so many."""
        return bits

    @abstractmethod
    def run(self, net: WeightedNet, context: CompressionContext) -> WeightedNet:
        """The net after the pass.

        Raises:
            CompileError: the net cannot be compressed like this, or the pass needs what the context
                does not have (data, a trainer, a meter); the message says which.
        """


@dataclass(frozen=True)
class CompressionContext:
    """The context as a pass sees it. What is None is not there: a pass that can do without does
    (and says so in its notes), one that cannot refuses with a message."""

    target: Target = field(default_factory=Target)
    samples: Samples | None = None
    evaluator: Evaluator | None = None
    latency_meter: LatencyMeter | None = None
    size_meter: SizeMeter | None = None
    trainer: Trainer | None = None
    trial_store: TrialStore | None = None
    goals: tuple[Goal, ...] = ()
    original: WeightedNet | None = None
    """The net before any pass: the teacher of `distill`, and what errors are measured against."""
    following: tuple[CompressionPass, ...] = ()
    """The passes that follow in the variant: what becomes of a net that this pass makes."""
    seed: int = 0
    span: Span | None = None
    """Of the pass's call in the spec, for messages."""
    journal: list[LayerNote] = field(default_factory=list)
    progress: Callable[[str, int, int], None] | None = None
    """Told what a long pass is doing, how many parts are done, and of how many."""

    def note(self, note: LayerNote) -> None:
        """Adds a note to the journal."""
        self.journal.append(note)


def pass_of(step: Step) -> CompressionPass:
    """The pass that a step of a variant calls; the program holds it as something that specs can
    name, and knows no more of it."""
    assert isinstance(step.compression, CompressionPass)
    return step.compression


COMPRESSION: Registry[CompressionPass] = Registry("compression pass")
"""Every compression pass by name; filled by `load_compression`."""
