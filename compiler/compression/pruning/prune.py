"""The pass `prune`: fewer channels, or zeros in weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import prod
from typing import Literal, final

import numpy as np

from compiler.compression.base import COMPRESSION, CompressionContext, CompressionPass
from compiler.compression.effects import find_idle_pattern
from compiler.compression.pruning.alignment import MULTIPLES, align_widths
from compiler.compression.pruning.bounds import (
    count_channels_left,
    count_most_gone,
    count_sides_left,
)
from compiler.compression.pruning.cutting import cut_net
from compiler.compression.pruning.dead import remove_dead_neurons
from compiler.compression.pruning.groups import ChannelGroup, Channels, find_channels, is_vast
from compiler.compression.pruning.importance import L2, Importance, score_channels
from compiler.compression.pruning.notes import (
    explain_group,
    find_quantized,
    note_channels,
    note_weights,
)
from compiler.compression.pruning.unstructured import (
    count_dropped,
    drop_least,
    find_depthwise,
    find_weights,
    keep_pattern,
    put_zeros,
    read_pattern,
)
from compiler.compression.pruning.widths import (
    choose_by_trial,
    choose_global,
    choose_uniform,
    mark_least,
    round_widths,
)
from compiler.compression.selecting import KEPT_OUT, is_selected
from compiler.compression.wording import describe_pass
from compiler.ir.evaluate import Array
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.effects import pass_does_nothing
from compiler.report.messages.pruning import no_rows_to_judge_by, nothing_to_cut
from compiler.report.messages.wording import count as count_of
from compiler.report.source import Span
from compiler.training.settings import (
    refuse,
    refuse_together,
    require_at_least_zero,
    require_part,
)

SHARES = (0.25, 0.5, 0.75)
"""Shares of channels that a search tries on single layers."""
SCALE = tuple(n / 100 for n in range(1, 96))
"""Shares of channels from which a search takes the least for all layers that keeps its goals."""
MOST = 0.9
"""The share of a group that a ranking takes at most, where nothing else is said."""


@COMPRESSION.register
@final
@dataclass(frozen=True)
class Prune(CompressionPass):
    """Takes channels out of a net, or puts zeros into its weights.

    With `channels` layers get narrower: channels that belong together (through residual sums,
    norms, concatenation, splits, flattening, groups, heads of attention, states of loops, tied
    weights) go together, and the net computes less. Inputs and outputs keep their sizes. Whole
    heads of attention are dropped. With `weights` or `pattern` single weights become zero, and
    `finetune` keeps them so; ONNX Runtime computes as long as before, the file compresses better.

    - `channels`: the share of channels that go. With "uniform" a group of n channels keeps
      n (1 - share), rounded to the nearest number (a half up), and one at least.
    - `weights`: the share of weights that become zero.
    - `pattern`: `"2:4"` leaves the two most important of every four neighbours along the inputs
      of a layer, for hardware that multiplies such matrices faster.
    - `zeros`: removes the channels that add nothing because they, or all weights that read them,
      are zero; outputs stay as they are.
    - `tolerance`: for `zeros`, numbers up to this size count as zero.
    - `importance`: what is taken first, by a measure such as `taylor`.
    - `ranking`: "uniform" takes the same share of every group of channels (or of every weight),
      "global" the least important anywhere, "layer" tries each group by itself and takes where
      the loss suffers least.
    - `most`: the share of a group that "global" and "layer" take at most; 90% without it.
    - `round_to`: the widths of groups that are cut become the nearest multiples of this number,
      but not 0; a group that is narrower than it stays whole. "fastest" measures on the target:
      multiples of 8 or 16 where the net is then faster on the target by a tenth or more, with no
      more than a tenth more or fewer parameters, and widths as they fall elsewhere.
    - `only`, `except`: path patterns of the layers that may, or may not, lose outputs or weights.

    Example: `apply prune(channels=50%, importance=taylor) -> finetune(epochs=10)`
    Errors: W1110 without data to judge by, W1111 where nothing can be cut.
    Source: Fang et al. 2023, https://arxiv.org/abs/2301.12900
    """

    name = "prune"
    shares = ("channels", "weights", "most")
    needs_floats = True
    changes = "widths"
    channels: float | None = None
    weights: float | None = None
    pattern: str | None = None
    zeros: bool = False
    tolerance: float = 0.0
    importance: Importance = L2()
    ranking: Literal["uniform", "global", "layer"] = "uniform"
    most: float | None = None
    round_to: int | Literal["fastest"] = 1
    only: tuple[str, ...] | None = None
    except_: tuple[str, ...] = ()

    @classmethod
    def list_settings(cls) -> tuple[CompressionPass, ...]:
        """A few shares of the channels."""
        return tuple(cls(channels=share) for share in SHARES)

    @classmethod
    def list_scales(cls) -> tuple[tuple[CompressionPass, ...], ...]:
        """All shares of the channels."""
        return (tuple(cls(channels=share) for share in SCALE),)

    def count_least(self, shape: tuple[int, ...]) -> int:
        """The share that stays of both sides of a weight, as widths are rounded; all of it where
        zeros stay in it, 1 where what goes is found in the numbers."""
        if self.weights is not None or self.pattern is not None:
            return prod(shape)
        if self.channels is None:
            return 1
        uniform = self.ranking == "uniform"
        share = self.channels if uniform else self._limit
        return count_sides_left(shape, share, roundings=int(uniform) + int(self.round_to != 1))

    def count_all_least(self, graph: Graph) -> Mapping[str, int]:
        """What the groups of channels leave."""
        if self.channels is None:
            return {}
        multiples = self._multiples
        return count_channels_left(graph, self.channels, self._bound, multiples, self._allows)

    def check(self) -> None:
        """Refuses settings that mean nothing; raises `Fault`."""
        goals = {"channels": self.channels, "weights": self.weights, "pattern": self.pattern}
        given = [name for name, value in goals.items() if value is not None]
        given += ["zeros"] if self.zeros else []
        if len(given) != 1:
            names = "`channels`, `weights`, `pattern` or `zeros`"
            reason = f"it got {' and '.join(given)}" if given else "nothing says what goes"
            refuse_together(self.name, given[-1] if given else "", reason, f"give one of {names}")
        for name in ("channels", "weights", "most"):
            value = getattr(self, name)
            if value is not None:
                require_part(self.name, name, value)
        if self.pattern is not None and read_pattern(self.pattern) is None:
            refuse(self.name, "pattern", self.pattern, 'how many of how many stay, as `"2:4"`')
        require_at_least_zero(self.name, "tolerance", self.tolerance)
        if self.round_to != "fastest" and self.round_to < 1:
            refuse(self.name, "round_to", self.round_to, "at least 1")
        self._check_together()

    @property
    def _limit(self) -> float:
        """The share of a group that a ranking takes at most."""
        return MOST if self.most is None else self.most

    @property
    def _bound(self) -> float | None:
        """The same; None where every group loses the same share."""
        return None if self.ranking == "uniform" else self._limit

    @property
    def _multiples(self) -> Sequence[int]:
        """What widths may be multiples of."""
        return MULTIPLES if self.round_to == "fastest" else (self.round_to,)

    @property
    def keeps_layers(self) -> bool:
        """Where only single weights become zero."""
        return self.channels is None and not self.zeros

    @property
    def attaches(self) -> bool:
        """Where the importance asks for gradients of the train's loss."""
        return self.importance.of_gradients

    def find_dataless(self, span: Span | None) -> Message | None:
        """Nothing to try groups of channels on."""
        return no_rows_to_judge_by(span, 'ranking="layer"') if self.ranking == "layer" else None

    def find_fault(
        self, graph: Graph | None, bounded: Collection[str], span: Span | None
    ) -> Message | None:
        """A net of which no layer can be cut, or the patterns, the importance or the multiples of
        widths leave none."""
        if graph is None or self.zeros or is_vast(graph):
            return None  # a vast net is told when it is pruned
        if self.channels is not None:
            return self._find_uncut(graph, self.channels, span)
        return self._find_unzeroed(graph, span)

    def _find_unzeroed(self, graph: Graph, span: Span | None) -> Message | None:
        """Why no weight can get zeros, or none of those that a pattern of `only` names."""
        found = find_weights(graph, find_channels(graph))
        whole = self._explain_whole(graph, found)
        touched = [path for path in found if path not in whole]
        if not touched:
            return nothing_to_cut(span, "weights", _list_reasons(whole))
        named = {path: reason for path, reason in whole.items() if reason != KEPT_OUT}
        return find_idle_pattern(self.name, self.patterns, touched, named, span)

    def _explain_whole(self, graph: Graph, axes: Mapping[str, int]) -> dict[str, str]:
        """Why weights get no zeros, by their path; `axes` are the weights that layers sum products
        with, and the axes of their inputs."""
        shapes = {path: graph.parameter[path].value.type.known_shape or () for path in axes}
        allowed = {path: shape for path, shape in shapes.items() if self._allows(path)}
        reasons = dict.fromkeys(find_depthwise(graph), "it is depthwise")
        if self.pattern is not None:
            _, of = read_pattern(self.pattern) or (1, 1)
            for path, shape in allowed.items():
                if shape[axes[path]] % of:
                    reasons[path] = (
                        f"the number of its inputs, {shape[axes[path]]}, is not a multiple of {of}"
                    )
        elif self.weights is not None:
            sizes = {path: prod(shape) for path, shape in allowed.items()}
            gone = count_dropped(sizes, self.weights, globally=self.ranking == "global")
            for path in (path for path, count in gone.items() if not count):
                reasons[path] = f"of {count_of(sizes[path], 'number')} none goes"
        return reasons | {path: KEPT_OUT for path in axes if path not in allowed}

    def _find_uncut(self, graph: Graph, share: float, span: Span | None) -> Message | None:
        """Why no channel can go; None where some may."""
        channels = find_channels(graph)
        groups = [group for group in channels.groups if all(map(self._allows, group.makers))]
        if not groups:
            return nothing_to_cut(span, "channels", _list_reasons(channels.obstacles))
        makers = [path for group in groups for path in group.makers]
        tied = [path for group in channels.groups for path in group.makers if self._allows(path)]
        whole = {path: explain_group(path, channels, self._allows) for path in tied}
        whole |= channels.obstacles
        found = find_idle_pattern(self.name, self.patterns, makers, whole, span)
        if found is not None:
            return found
        scored = self.importance.find_scored(graph)
        if scored is not None:
            told = [g for g in groups if any(member.path in scored for member in g.members)]
            if not told:
                unscored = {path: self._silence for group in groups for path in group.makers}
                return nothing_to_cut(span, "channels", _list_reasons(unscored), unscored=True)
            groups = told
        gone = count_most_gone(groups, share, self._bound)
        if any(any(round_widths(groups, gone, multiple)) for multiple in self._multiples):
            return None
        multiple = f", in multiples of {self.round_to}" if self.round_to != 1 else ""
        reasons = (
            f"`{group.makers[0]}`: of its {count_of(group.size, 'channel')} none can go{multiple}"
            for group in groups
        )
        return pass_does_nothing(span, describe_pass(self), tuple(reasons))

    @property
    def _silence(self) -> str:
        return f"`{self.importance.name}` says nothing about its channels"

    def _check_together(self) -> None:
        self._check_most()
        if self.zeros and self.importance != L2():
            reason = "`zeros` takes what adds nothing, whatever its importance"
            refuse_together(self.name, "importance", reason, "leave it out")
        if self.channels is None and not self.zeros and not self.importance.of_weights:
            reason = f"`{self.importance.name}` says nothing about single weights"
            refuse_together(self.name, "importance", reason, "take `l1`, `taylor` or `activation`")
        if self.ranking == "layer" and self.channels is None:
            reason = "only channels are tried layer by layer"
            refuse_together(self.name, "ranking", reason, 'take "uniform" or "global"')
        if self.ranking == "global" and self.channels is None and self.weights is None:
            reason = "there is nothing to rank" if self.zeros else "of every few neighbours some go"
            refuse_together(self.name, "ranking", reason, "leave it out")
        if self.round_to != 1 and self.channels is None:
            refuse_together(self.name, "round_to", "only `channels` changes widths", "leave it out")
        if self.tolerance and not self.zeros:
            reason = "only `zeros` asks what counts as zero"
            refuse_together(self.name, "tolerance", reason, "leave it out")

    def _check_most(self) -> None:
        if self.channels is None or self.ranking == "uniform":
            if self.most is not None:
                reason = "only a ranking of channels asks how much of a group goes at most"
                advice = 'leave it out, or rank channels by `ranking="global"` or "layer"'
                refuse_together(self.name, "most", reason, advice)
            return
        if self.channels > self._limit:
            name = "channels" if self.most is None else "most"
            all_, each = (f"{100 * share:g}%" for share in (self.channels, self._limit))
            reason = f"`channels` takes {all_} of all channels, `most` {each} of a group"
            refuse_together(self.name, name, reason, "let `most` be as much as `channels` or more")

    def run(self, net: WeightedNet, context: CompressionContext) -> WeightedNet:
        """The net with fewer channels, or with zeros.

        Raises:
            CompileError: nothing can be cut (W1111), or the importance needs what the context does
                not have (W1110, W1101).
        """
        if self.channels is not None:
            return self._cut_channels(net, self.channels, context)
        if self.zeros:
            made = remove_dead_neurons(
                net, tolerance=self.tolerance, only=self.only, excluded=self.except_
            )
            note_channels(net, made, find_channels(net.graph), self._allows, context, {})
            return made
        return self._drop_weights(net, context)

    def _allows(self, path: str) -> bool:
        return is_selected(path, self.only, self.except_)

    def _cut_channels(
        self, net: WeightedNet, share: float, context: CompressionContext
    ) -> WeightedNet:
        channels = find_channels(net.graph)
        scores = score_channels(self.importance, net, channels, context)
        chosen = {
            i: found
            for i, (group, found) in enumerate(zip(channels.groups, scores, strict=True))
            if found is not None and all(map(self._allows, group.makers))
        }
        unscored = self._explain_unscored(channels, scores)
        if not chosen:
            known = {**unscored, **find_quantized(net.graph), **channels.obstacles}
            reasons = _list_reasons(known)
            raise CompileError(
                [nothing_to_cut(context.span, "channels", reasons, unscored=bool(unscored))]
            )
        counts = self._count_gone(net, channels, chosen, share, context)
        groups = [channels.groups[i] for i in chosen]

        def make(multiple: int) -> WeightedNet:
            rounded = round_widths(groups, counts, multiple)
            return _cut(net, channels, chosen, dict(zip(chosen, rounded, strict=True)))

        made = align_widths(make, context) if self.round_to == "fastest" else make(self.round_to)
        note_channels(net, made, channels, self._allows, context, unscored)
        return made

    def _explain_unscored(
        self, channels: Channels, scores: Sequence[Array | None]
    ) -> dict[str, str]:
        """The layers that may be touched and whose channels the importance says nothing about."""
        found: dict[str, str] = {}
        for group, score in zip(channels.groups, scores, strict=True):
            if score is None:
                found.update((path, self._silence) for path in group.makers if self._allows(path))
        return found

    def _count_gone(
        self,
        net: WeightedNet,
        channels: Channels,
        scores: Mapping[int, Array],
        share: float,
        context: CompressionContext,
    ) -> list[int]:
        """How many channels of each chosen group go."""
        sizes = [len(s) for s in scores.values()]
        if self.ranking == "uniform":
            return choose_uniform(sizes, share)
        if self.ranking == "global":
            return choose_global(list(scores.values()), share, self._limit)
        if context.evaluator is None:
            raise CompileError([no_rows_to_judge_by(context.span, 'ranking="layer"')])
        judge, places = context.evaluator, list(scores)

        def lose(group: int, count: int) -> float:
            if context.progress is not None:
                context.progress("prune: trying each group by itself", group, len(places))
            trial = _cut(net, channels, scores, {places[group]: count})
            return judge.score(trial)["loss"]

        return choose_by_trial(sizes, share, self._limit, lose)

    def _drop_weights(self, net: WeightedNet, context: CompressionContext) -> WeightedNet:
        channels = find_channels(net.graph)
        found_axes = find_weights(net.graph, channels)
        axes = {path: axis for path, axis in found_axes.items() if self._allows(path)}
        measured = self.importance.measure(net, channels, context)
        found = {path: measured(path) for path in axes}
        figures = {path: np.abs(array) for path, array in found.items() if array is not None}
        if self.weights is not None:
            masks = drop_least(figures, self.weights, globally=self.ranking == "global")
        else:
            masks = self._fit_pattern(figures, axes)
        reasons = self._explain_whole(net.graph, found_axes)
        silent = f"`{self.importance.name}` says nothing about its numbers"
        reasons.update((path, silent) for path in axes if path not in figures)
        if not found_axes and (quantized := find_quantized(net.graph)):
            reasons = quantized
        masks = {path: mask for path, mask in masks.items() if path not in reasons}
        if not masks:
            raise CompileError([nothing_to_cut(context.span, "weights", _list_reasons(reasons))])
        note_weights(figures, masks, reasons, context)
        return put_zeros(net, masks)

    def _fit_pattern(
        self, figures: Mapping[str, Array], axes: Mapping[str, int]
    ) -> dict[str, Array]:
        kept, of = read_pattern(self.pattern or "") or (1, 1)
        fitted = {p: keep_pattern(array, axes[p], kept, of) for p, array in figures.items()}
        return {path: mask for path, mask in fitted.items() if mask is not None}


def _cut(
    net: WeightedNet, channels: Channels, scores: Mapping[int, Array], counts: Mapping[int, int]
) -> WeightedNet:
    """The net without the least important channels of each group, as many as `counts` says."""
    choices = [
        mark_least(scores[i], counts.get(i, 0)) if i in scores else _none(group)
        for i, group in enumerate(channels.groups)
    ]
    return cut_net(net, channels, channels.mark(choices)) if any(counts.values()) else net


def _none(group: ChannelGroup) -> Array:
    return np.zeros(group.size, bool)


def _list_reasons(kept: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"`{path}`: {reason}" for path, reason in kept.items())
