"""Settings of a train: batch, epochs, seed, precision, clipping, layout, early stop, freezing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import field

from compiler.elaborate.calls.nets import place_net
from compiler.elaborate.items.metrics import MetricEntry
from compiler.elaborate.items.operands import (
    malformed,
    read_operands,
    read_single,
    read_texts,
    read_whole,
)
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.arithmetic import whole
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import DTypeValue, Known, NetValue, Poison
from compiler.program.train import EarlyStop
from compiler.records import dataclass
from compiler.report.diagnostics import did_you_mean
from compiler.report.messages.items import SettingRange
from compiler.report.messages.metrics import DirectionNeeded
from compiler.report.messages.names import NotAvailable
from compiler.report.messages.training import BadUntil, UnknownFigure
from compiler.report.source import Span
from compiler.text.tree.syntax import Attribute, Call, Clause, Declare, Expr, Group, Name
from compiler.types.tensor import DType

PRECISIONS = {DType.F32: "f32", DType.BF16: "bf16", DType.F16: "f16"}
LAYOUTS = ("contiguous", "channels_last")
LARGEST_SEED = 2**63 - 1
"""PyTorch takes no larger one."""


@dataclass(frozen=True)
class Pattern:
    """A pattern of parameter paths, and where it stands. A net stands for all of its own."""

    text: str
    span: Span


@dataclass
class Settings:
    """What the clauses say; the fields start with what is meant without them."""

    batch: int = 1
    epochs: int = 1
    seed: int = 0
    precision: str = "f32"
    clip: float | None = None
    layout: str = "contiguous"
    freeze: list[Pattern] = field(default_factory=list)
    until: tuple[Name, Name, int, Span] | None = None

    def take_batch(self, body: Body, clause: Clause) -> None:
        """`batch 64`."""
        self.batch = read_whole(body, clause, 1) or 1

    def take_epochs(self, body: Body, clause: Clause) -> None:
        """`epochs 30`."""
        self.epochs = read_whole(body, clause, 1, ("epoch", "epochs")) or 1

    def take_seed(self, body: Body, clause: Clause) -> None:
        """`seed 0`."""
        number = read_whole(body, clause, 0)
        if number is not None and number > LARGEST_SEED:
            span = clause.operands[0].span
            body.report(SettingRange(span, "seed", "", str(number), f"below {LARGEST_SEED + 1}"))
        self.seed = number or 0

    def take_precision(self, body: Body, clause: Clause) -> None:
        """`precision bf16`."""
        expression = read_single(body, clause)
        if expression is None:
            return
        value = body.evaluate(expression)
        if isinstance(value, DTypeValue) and value.dtype in PRECISIONS:
            self.precision = PRECISIONS[value.dtype]
        elif not isinstance(value, Poison):
            found = describe(value)
            malformed(body, clause, expression.span, f"bf16, f16 or f32 belongs here, not {found}")

    def take_clip(self, body: Body, clause: Clause) -> None:
        """`clip 1.0`."""
        expression = read_single(body, clause)
        if expression is None:
            return
        value = body.evaluate(expression)
        number = value.value if isinstance(value, Known) and value.is_number else None
        if isinstance(value, Poison):
            return
        if not isinstance(number, int | float):
            found = describe(value)
            malformed(body, clause, expression.span, f"a number belongs here, not {found}")
        elif not 0 < number < float("inf"):
            body.report(SettingRange(expression.span, "clip", "", f"{number:g}", "above 0"))
        else:
            self.clip = float(number)

    def take_layout(self, body: Body, clause: Clause) -> None:
        """`layout "channels_last"`."""
        expression = read_single(body, clause)
        if expression is None:
            return
        if isinstance(expression, Name) and expression.text in LAYOUTS:
            expected = f'a choice stands in quotes: "{expression.text}"'
            malformed(body, clause, expression.span, expected)
            return
        value = body.evaluate(expression)
        if isinstance(value, Known) and value.value in LAYOUTS:
            self.layout = str(value.value)
        elif not isinstance(value, Poison):
            malformed(body, clause, expression.span, '"channels_last" or "contiguous" belongs here')

    # --- freeze -----------------------------------------------------------------------------

    def take_freeze(self, body: Body, clause: Clause) -> None:
        """`freeze "stem.*", m`: patterns of parameters, or whole nets."""
        for operand in read_operands(body, clause):
            if operand.name is not None and operand.name.text == "until":
                purpose = "end the freezing after some epochs"
                body.report(NotAvailable(operand.name.span, "until", purpose))
            elif operand.name is not None or isinstance(operand.value, Declare):
                malformed(body, clause, operand.span, "a pattern in quotes, or a net, belongs here")
            else:
                self.freeze += read_patterns(body, clause, operand.value)

    # --- until ------------------------------------------------------------------------------

    def take_until(self, body: Body, clause: Clause) -> None:
        """`until stalled(val.accuracy, epochs=8)`."""
        expression = read_single(body, clause)
        if expression is None:
            return
        while isinstance(expression, Group):
            expression = expression.inner
        if not isinstance(expression, Call) or expression.function.span.text != "stalled":
            expected = "it stops when a figure no longer improves: `stalled(…)`"
            body.report(BadUntil(expression.span, expected))
            return
        figure: Attribute | None = None
        patience: Expr | None = None
        for index, argument in enumerate(expression.arguments):
            name = argument.name.text if argument.name is not None else ("", "epochs")[index > 0]
            if name == "" and isinstance(argument.value, Attribute):
                figure = argument.value
            elif name == "epochs":
                patience = argument.value
            else:
                body.report(BadUntil(argument.span, "this is neither a figure nor `epochs`"))
                return
        epochs = self.read_patience(body, patience) if patience is not None else None
        if figure is None or not isinstance(figure.base, Name):
            expected = "a figure is a split and a metric: `val.loss`"
            body.report(BadUntil(expression.span, expected))
        elif patience is None:
            body.report(BadUntil(expression.span, "for how many epochs? `epochs=8`"))
        elif epochs is not None:
            self.until = (figure.base, figure.name, epochs, clause.span)

    def read_patience(self, body: Body, expression: Expr) -> int | None:
        """The number of epochs without a better figure."""
        value = body.evaluate(expression)
        number = whole(value) if isinstance(value, Known) else None
        if isinstance(number, int) and number >= 1:
            return number
        if not isinstance(value, Poison):
            body.report(BadUntil(expression.span, f"a whole number from 1, not {describe(value)}"))
        return None

    def settle_until(
        self,
        body: Body,
        splits: Sequence[str],
        metrics: Sequence[MetricEntry],
        refused: Collection[str],
    ) -> EarlyStop | None:
        """The early stop, where its split and its metric exist; else it is reported, unless the
        metric is one of those that were refused."""
        if self.until is None or self.until[1].text in refused:
            return None
        split, metric, epochs, span = self.until
        figures = (*(m.name for m in metrics), "loss")
        for kind, name, known in (("split", split, tuple(splits)), ("metric", metric, figures)):
            if name.text not in known:
                near = did_you_mean(name.text, known)
                body.report(UnknownFigure(name.span, kind, name.text, known, near))
                return None
        entry = next((m for m in metrics if m.name == metric.text), None)
        if entry is not None and entry.better is None:
            body.report(DirectionNeeded(metric.span, metric.text, "`until`", entry.span))
            return None
        return EarlyStop(split.text, metric.text, epochs, span)


def read_patterns(body: Body, clause: Clause, expression: Expr) -> list[Pattern]:
    """Patterns of one operand: a string, a list of strings, or a net, which stands for all of
    its parameters."""
    value = body.evaluate(expression)
    if isinstance(value, Poison):
        return []
    if isinstance(value, NetValue):
        value = place_net(body, value)
        return [Pattern(f"{value.path}.*" if value.path else "*", expression.span)]
    texts = read_texts(value)
    if texts is None:
        found = describe(value)
        expected = f"a pattern in quotes, or a net, belongs here, not {found}"
        malformed(body, clause, expression.span, expected)
        return []
    return [Pattern(text, expression.span) for text in texts]
