"""Measures the nets of a search, each once: loss, latency, size; kept across interruptions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

import numpy as np

from compiler.compression.base import Array, CompressionContext, CompressionPass
from compiler.compression.context import Goal, LayerNote, Trainer, Tuning
from compiler.compression.search.knapsack import Offer
from compiler.compression.search.sites import Site
from compiler.compression.sizes import choose_sizes
from compiler.compression.wording import describe_pass
from compiler.ir.cost import summarize
from compiler.ir.evaluate import evaluate
from compiler.ir.printer import print_graph
from compiler.ir.weighted_net import WeightedNet
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError

FIGURES = ("latency", "size", "params", "flops")
"""Figures that a search can bound; the others are held by the build alone."""
ROWS = 256
"""Rows on which outputs are compared where there is no evaluator."""
SHARE = 0.25
"""Of the epochs that follow the search: how long a choice is tuned before it is judged."""
STEP = "search"


@dataclass(frozen=True)
class Tried:
    """A measured choice for the whole net, what it is called in the journal, and what its passes
    say of it."""

    name: str
    passes: Sequence[CompressionPass]
    net: WeightedNet
    figures: Mapping[str, float]
    notes: Sequence[LayerNote]

    @property
    def net_hash(self) -> str:
        """What nets are told apart by."""
        return _hash_net(self.net)


class Trials:
    """The nets measured so far. `base` are the figures of the net before the search.

    Every net is measured as the passes behind the search leave it, up to the next one that
    chooses by goals itself. Passes that train are left out, but where a net is tuned.
    """

    def __init__(
        self, net: WeightedNet, context: CompressionContext, goals: Sequence[Goal], seed: int
    ) -> None:
        self.net = net
        self.goals = goals
        self.figures = tuple(goal.figure for goal in goals)
        self.context = replace(context, seed=seed, following=())
        self.tail = tuple(takewhile(lambda step: not step.reads_goals, context.following))
        self.start = _hash_net(net)
        self.finished = self.finish(net, self.context)
        self.together: list[Tried] = []
        self.base = self.measure([], net)
        self.base_latency = self.base.get("latency", 0.0)

    def try_alone(self, site: Site, setting: CompressionPass) -> Offer | None:
        """What one setting changes by itself; None where the layer does not take it, or nothing
        changes, for the reason that the journal then gives."""
        figures = self.recall([setting])
        try:
            figures = self.measure_alone(setting) if figures is None else figures
        except CompileError as error:
            reason = "; ".join(message.text.title for message in error.messages)
            self.note(site.path, "", f"{describe_setting(setting)}: {reason}")
            return None
        if not figures:
            self.note(site.path, "", f"{describe_setting(setting)} changes nothing")
            return None
        changes = tuple(figures[name] - self.base[name] for name in self.figures)
        return Offer(max(0.0, figures["loss"] - self.base["loss"]), changes)

    def measure_alone(self, setting: CompressionPass) -> Mapping[str, float]:
        """Figures of the net after one setting; none where it leaves the net as it is."""
        made, _ = self.apply([setting])
        if _hash_net(made) != self.start:
            return self.measure([setting], made)
        if self.context.trial_store is not None:
            self.context.trial_store.remember(self.key([setting]), {})
        return {}

    def try_together(self, name: str, passes: Sequence[CompressionPass]) -> Tried:
        """The net after all chosen passes, and its figures; they are in the journal then."""
        made, notes = self.apply(passes)
        figures = self.recall(passes)
        if figures is None:
            figures = self.measure(passes, made)
        tried = Tried(name, passes, made, figures, notes)
        missed = ", ".join(goal.figure for goal in self.find_missed(figures))
        reason = f"misses {missed}" if missed else "keeps every goal"
        self.note("", name, reason, tuple(figures.items()))
        self.together.append(tried)
        return tried

    def find_missed(self, figures: Mapping[str, float]) -> list[Goal]:
        """The goals that figures do not keep."""
        return [goal for goal in self.goals if figures[goal.figure] > goal.bound]

    @property
    def trains(self) -> bool:
        """Whether nets are trained on behind the search."""
        return self.context.trainer is not None and any(step.trains for step in self.tail)

    def tune(self, tried: Tried, number: int) -> float:
        """The loss of a choice after a short training: the passes behind the search are run, with
        a share of their epochs. The files of the training are kept under the number."""
        key = self.key(tried.passes, tuned=True)
        known = (
            self.context.trial_store.recall(key) if self.context.trial_store is not None else None
        )
        if known is None:
            assert self.context.trainer is not None, "asked for only where nets are trained on"
            trainer = _TrialTrainer(self.context.trainer, f"search_{number}")
            made = self.finish(tried.net, replace(self.context, trainer=trainer), share=SHARE)
            known = {"loss": self.judge(made)}
            if self.context.trial_store is not None:
                self.context.trial_store.remember(key, known)
        loss = known["loss"]
        self.note("", f"tuned {tried.name}", f"for {SHARE:.0%} of the epochs", (("loss", loss),))
        return loss

    def finish(
        self, net: WeightedNet, context: CompressionContext, share: float = 0.0
    ) -> WeightedNet:
        """What the passes behind the search make of a net, with a share of their training."""
        context = replace(context, journal=[])
        for step in self.tail:
            if not step.trains:
                net = step.run(net, context)
            elif share:
                net = step.shorten(share).run(net, context)
        return net

    def recall(self, passes: Sequence[CompressionPass]) -> Mapping[str, float] | None:
        """Figures that an earlier run measured."""
        memory = self.context.trial_store
        return memory.recall(self.key(passes)) if memory is not None else None

    def apply(self, passes: Sequence[CompressionPass]) -> tuple[WeightedNet, list[LayerNote]]:
        """The net after passes, and what they say: part of the report only where the net is."""
        net, context = self.net, replace(self.context, journal=[])
        for step in passes:
            net = step.run(net, context)
        return net, context.journal

    def measure(self, passes: Sequence[CompressionPass], net: WeightedNet) -> Mapping[str, float]:
        """Loss and every figure that is bounded. Latency is that of the first net, times the
        ratio of the two measured in turns: what disturbs the machine disturbs both."""
        finished = self.finished if net is self.net else self.finish(net, self.context)
        figures: dict[str, float] = {"loss": self.judge(finished)}
        for name in self.figures:
            figures[name] = self.read(name, finished)
        if self.context.trial_store is not None:
            self.context.trial_store.remember(self.key(passes), figures)
        return figures

    def count(self, passes: Sequence[CompressionPass]) -> Mapping[str, float]:
        """What the net after all chosen passes weighs and computes, as far as a goal bounds it:
        figures that take no data and no meter. Multiply-adds are always among them."""
        key = self.key(passes, counted=True)
        known = (
            self.context.trial_store.recall(key) if self.context.trial_store is not None else None
        )
        if known is not None:
            return known
        made, _ = self.apply(passes)
        finished = self.finish(made, self.context)
        names = dict.fromkeys((*(name for name in self.figures if name != "latency"), "flops"))
        figures = {name: self.read(name, finished) for name in names}
        if self.context.trial_store is not None:
            self.context.trial_store.remember(key, figures)
        return figures

    def judge(self, net: WeightedNet) -> float:
        """The loss on held-out rows; the relative error of the outputs where nothing judges."""
        if self.context.evaluator is not None:
            return float(self.context.evaluator.score(net)["loss"])
        return measure_error(net, self.finished, self.context)

    def read(self, figure: str, net: WeightedNet) -> float:
        """One bounded figure of a net."""
        match figure:
            case "latency":
                return self.read_latency(net)
            case "size":
                assert self.context.size_meter is not None, "a goal on size comes with a meter"
                return float(self.context.size_meter.weigh(net))
            case "params":
                return float(summarize(net.graph).parameters)
            case _:
                return count_flops(net, self.context)

    def read_latency(self, net: WeightedNet) -> float:
        """Seconds of one call."""
        assert self.context.latency_meter is not None, "a goal on latency comes with a meter"
        if net is self.finished:
            (seconds,) = self.context.latency_meter.compare([net])
            return seconds
        before, after = self.context.latency_meter.compare([self.finished, net])
        return self.base_latency * after / before

    def key(
        self, passes: Sequence[CompressionPass], *, tuned: bool = False, counted: bool = False
    ) -> str:
        """What a trial is remembered by."""
        behind = [step for step in self.tail if tuned or not step.trains]
        text = f"{self.start} {self.context.target} {self.context.seed} {self.figures} {passes!r}"
        text += f" {behind!r} {SHARE if tuned else 0}{' counted' if counted else ''}"
        return hashlib.sha256(text.encode()).hexdigest()

    # --- what the user is told ---------------------------------------------------------------

    def tell(self, what: str, done: int, total: int) -> None:
        """Reports progress."""
        if self.context.progress is not None:
            self.context.progress(what, done, total)

    def note_setting(self, site: Site, setting: CompressionPass, change: Offer) -> None:
        """Puts a trial of one setting into the journal."""
        figures = dict(zip(self.figures, change.changes, strict=True))
        pairs = (("loss", change.loss), *figures.items())
        self.note(site.path, f"tried {describe_setting(setting)} alone", "", pairs)

    def note(
        self, path: str, done: str, reason: str, figures: tuple[tuple[str, float], ...] = ()
    ) -> None:
        """Puts a line about a trial into the journal."""
        self.context.note(LayerNote(STEP, path, done, reason, figures, trial=True))


@dataclass(frozen=True)
class _TrialTrainer:
    """A trainer that keeps the files of a trial apart from those of the variant itself."""

    trainer: Trainer
    name: str

    def train(self, net: WeightedNet, tuning: Tuning, label: str) -> WeightedNet:
        return self.trainer.train(net, tuning, f"{self.name}_{label}")

    def gradients(self, net: WeightedNet, rows: int) -> Mapping[str, Array]:
        return self.trainer.gradients(net, rows)


def describe_setting(setting: CompressionPass) -> str:
    """A setting without the layer that it is restricted to: `prune(channels=50%)`."""
    return describe_pass(setting, hidden=("only",))


def measure_error(net: WeightedNet, base: WeightedNet, context: CompressionContext) -> float:
    """Root of the mean squared difference of the outputs, relative to the base's outputs.

    Raises:
        AssertionError: there are no samples, not even synthetic ones.
    """
    assert context.samples is not None, "outputs are compared on samples"
    wrong = total = 0.0
    for inputs in context.samples.batches(ROWS):
        expected = evaluate(base.graph, base.weights, inputs)
        found = evaluate(net.graph, net.weights, inputs)
        for name, array in expected.items():
            wrong += float(np.square(found[name] - array, dtype=np.float64).sum())
            total += float(np.square(array, dtype=np.float64).sum())
    return (wrong / total) ** 0.5 if total else 0.0


def count_flops(net: WeightedNet, context: CompressionContext) -> float:
    """Twice the multiply-adds at the sizes at which the build counts them."""
    sizes = choose_sizes(net.graph, context.target)
    count = summarize(net.graph).multiply_adds.substitute(sizes).known
    assert count is not None, "every symbol of the inputs has a size"
    return 2.0 * count


def _hash_net(net: WeightedNet) -> str:
    digest = hashlib.sha256(print_graph(net.graph).encode())
    for path in sorted(net.weights):
        digest.update(path.encode())
        digest.update(np.ascontiguousarray(net.weights[path]).tobytes())
    return digest.hexdigest()
