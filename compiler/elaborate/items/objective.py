"""The clause `minimize`: the loss, and which parameters follow which optimizer in which step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.elaborate.calls.described import build_described, find_class
from compiler.elaborate.items.operands import read_word, refuse_word
from compiler.elaborate.items.settings import Pattern, read_patterns
from compiler.elaborate.scopes.application import ExpectedUse
from compiler.elaborate.scopes.context import Body, malformed
from compiler.elaborate.scopes.later import refuse_later
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import POISON, Known, Poison, Record, Tensor, Val
from compiler.ir.graph import Graph
from compiler.ir.weights import match_paths, path_matches
from compiler.program.train import ParameterGroup, TrainedNet, TrainStep
from compiler.records import dataclass
from compiler.report.messages.items import setting_range
from compiler.report.messages.training import (
    claimed_twice,
    group_is_empty,
    loss_is_not_a_number,
    no_group_holds,
    no_optimizer,
    nothing_trained,
    pattern_matches_nothing,
)
from compiler.report.messages.training_steps import step_changes_what
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Clause, Declare, Expr, Operand, Tail
from compiler.training.base import OPTIMIZERS, Optimizer
from compiler.training.registry import load_training


@dataclass
class Group:
    """`with OPT over "patterns"`, as it is written; without patterns the rest."""

    optimizer: Optimizer | None
    patterns: list[Pattern]
    span: Span
    limited: bool = False
    layer_decay: float = 1.0


@dataclass(frozen=True)
class Objective:
    """`minimize LOSS over … with …`, as it is written. `whole` limits everything. `name` and
    `every` are those of the step around."""

    loss: Tensor
    span: Span
    whole: tuple[Pattern, ...]
    groups: tuple[Group, ...]
    name: str = ""
    every: int = 1

    @property
    def made(self) -> TrainStep:
        """The step, before its patterns are held to the parameters that there are."""
        groups = tuple(
            ParameterGroup(g.optimizer, tuple(p.text for p in g.patterns), g.span, g.layer_decay)
            for g in self.groups
            if g.optimizer is not None
        )
        over = tuple(p.text for p in self.whole) if self.name else ()
        return TrainStep(groups, self.name, self.every, over, self.span)


def read_minimize(body: Body, clause: Clause) -> Objective | None:
    """The objective of a clause; None where it was refused, which is reported."""
    load_training()
    loss = _read_loss(body, clause)
    whole: list[Pattern] = []
    groups: list[Group] = []
    for tail in clause.tails:
        if tail.word == "with":
            groups.append(_read_group(body, clause, tail))
            continue
        patterns = read_over(body, clause, tail)
        if groups:
            groups[-1].patterns += patterns
            groups[-1].limited = True
        else:
            whole += patterns
    if not groups:
        body.report(no_optimizer(clause.word.span))
    if loss is None or not groups or any(g.optimizer is None for g in groups):
        return None
    return Objective(loss, clause.operands[0].span, tuple(whole), tuple(groups))


def _read_loss(body: Body, clause: Clause) -> Tensor | None:
    operands = clause.operands
    if clause.body is not None:
        malformed(body, clause, clause.word.span, "it has no body")
    if not operands or operands[0].name is not None or isinstance(operands[0].value, Declare):
        span = operands[0].span if operands else clause.word.span
        malformed(body, clause, span, "the objective comes after it, without a name")
        return None
    if len(operands) > 1:
        malformed(body, clause, operands[1].span, "one objective; add several: `a + 0.5 * b`")
        return None
    value = _only(body.evaluate(operands[0].value, ExpectedUse(("loss",))))
    if isinstance(value, Poison):
        return None
    span = operands[0].span
    if not isinstance(value, Tensor):
        body.report(loss_is_not_a_number(span, describe(value)))
        return None
    if value.type.rank:
        advice = "take its mean: `mean(…)`"
        body.report(loss_is_not_a_number(span, f"a tensor {value.type}", advice))
        return None
    if not value.type.dtype.is_float:
        body.report(loss_is_not_a_number(span, f"a tensor {value.type}", "it has no gradient"))
        return None
    return value


def _only(value: Val) -> Val:
    if isinstance(value, Record) and len(value.items) == 1:
        return value.values[0]
    return value


def _read_group(body: Body, clause: Clause, tail: Tail) -> Group:
    """`with adamw(lr=1e-3)`, `with adamw(lr=1e-3), layer_decay=75%`."""
    refused = Group(None, [], tail.span)
    first, *rest = tail.operands or (None,)
    decay = _read_decay(body, rest[0]) if len(rest) == 1 and is_decay(rest[0]) else 1.0
    named = first is None or first.name is not None or any(not is_decay(one) for one in rest)
    expression = first.value if first is not None and len(rest) <= 1 else None
    if named or expression is None or isinstance(expression, Declare):
        malformed(body, clause, tail.span, "one optimizer comes after `with`")
        return refused
    cls = find_class(expression, OPTIMIZERS)
    if cls is None:
        _refuse_optimizer(body, clause, expression)
        return refused
    return Group(build_described(body, expression, cls), [], tail.span, layer_decay=decay)


LAYER_DECAY = "layer_decay"


def is_decay(operand: Operand) -> bool:
    """Whether it says how much slower each layer learns than the next."""
    return operand.name is not None and operand.name.text == LAYER_DECAY


def _read_decay(body: Body, operand: Operand) -> float:
    """The number of `layer_decay=75%`; 1 where it is refused, which is reported."""
    expression = operand.value
    value = POISON if isinstance(expression, Declare) else body.evaluate(expression)
    match value:
        case Poison():
            return 1.0
        case Known(int() | float() as number) if value.is_number and 0 < number <= 1:
            return float(number)
    found = describe(value)
    body.report(
        setting_range(operand.span, LAYER_DECAY, "", found, "a number above 0, and 1 at most")
    )
    return 1.0


def _refuse_optimizer(body: Body, clause: Clause, expression: Expr) -> None:
    word = read_word(expression)
    if word is None:
        malformed(body, clause, expression.span, "an optimizer belongs here")
    elif (message := refuse_later(word)) is not None:
        body.report(message)
    else:
        refuse_word(body, word, "optimizer", OPTIMIZERS.names())


def read_over(body: Body, clause: Clause, tail: Tail) -> list[Pattern]:
    """`over "head.*"`, `over small`."""
    patterns: list[Pattern] = []
    for operand in tail.operands:
        if operand.name is not None or isinstance(operand.value, Declare):
            malformed(body, clause, operand.span, "a pattern in quotes, or a net, belongs here")
        else:
            patterns += read_patterns(body, clause, operand.value)
    return patterns


# --- parameters -------------------------------------------------------------------------------


def settle_steps(
    body: Body,
    objectives: Sequence[Objective],
    freeze: Sequence[Pattern],
    nets: Sequence[TrainedNet],
    graph: Graph,
    late: Sequence[Pattern] = (),
) -> tuple[tuple[TrainStep, ...] | None, tuple[str, ...]]:
    """The steps with their groups of parameters, and the patterns of what stays as it is; `late` is
    not trained at first. None in place of the steps where one was refused, which is reported."""
    paths = [net.prefix + p.path for net in nets for p in net.net.graph.parameters if p.trainable]
    frozen = [p.text for p in freeze]
    if all(objective.whole for objective in objectives):
        frozen += _leave_out([p.text for o in objectives for p in o.whole], nets)
    accepted = True
    for objective in objectives:
        patterns = [*objective.whole, *freeze, *late]
        patterns += [p for g in objective.groups for p in g.patterns]
        whole = [p.text for p in objective.whole] or ["*"]
        trained = [p for p in match_paths(paths, whole) if not match_paths([p], frozen)]
        accepted = (
            check_patterns(body, patterns, paths)
            and _check_thawed(body, objective.whole, freeze, paths)
            and _check_limited(body, objective, objectives, nets)
            and _check_reached(body, objective, graph, trained, paths)
            and _check_begun(body, objective, graph, trained, late)
            and _check_claims(body, objective.groups, trained)
            and accepted
        )
    steps = tuple(objective.made for objective in objectives)
    return steps if accepted else None, tuple(dict.fromkeys(frozen)) if accepted else ()


def _check_thawed(
    body: Body, whole: Sequence[Pattern], freeze: Sequence[Pattern], paths: Sequence[str]
) -> bool:
    """Whether nothing that is to be changed is frozen, or follows another net."""
    frozen = set(match_paths(paths, [p.text for p in freeze]))
    for pattern in whole:
        if frozen.issuperset(match_paths(paths, [pattern.text])):
            body.report(nothing_trained(pattern.span, f"`{pattern.span.text}` is frozen"))
            return False
    return True


def _check_limited(
    body: Body, objective: Objective, all_of: Sequence[Objective], nets: Sequence[TrainedNet]
) -> bool:
    """Whether a step among several says which of several nets it changes."""
    limited = objective.whole or all(group.limited for group in objective.groups)
    if limited or len(all_of) == 1 or len(nets) == 1:
        return True
    body.report(step_changes_what(objective.span, objective.name, tuple(n.name for n in nets)))
    return False


def check_patterns(
    body: Body, patterns: Sequence[Pattern], paths: Sequence[str], what: str = "parameter"
) -> bool:
    """Whether every pattern names one of these; `what` they are is told where it does not."""
    accepted = True
    for pattern in patterns:
        if not any(path_matches(path, pattern.text) for path in paths):
            accepted = False
            prefixes = dict.fromkeys(p for path in paths for p in _prefixes(path))
            near = did_you_mean(pattern.text.removesuffix(".*"), list(prefixes))
            if near is not None and pattern.text.endswith(".*") and near not in paths:
                near += ".*"
            shown = tuple(dict.fromkeys(paths))
            told = pattern_matches_nothing(pattern.span, pattern.text, shown, near, what)
            body.report(told)
    return accepted


def _prefixes(path: str) -> Iterator[str]:
    """`a.b.c`, `a.b`, `a`."""
    while path:
        yield path
        path = path.rpartition(".")[0]


def _leave_out(kept: Sequence[str], nets: Sequence[TrainedNet]) -> list[str]:
    """Patterns of what `over` does not name: whole nets where nothing of them is named."""
    patterns: list[str] = []
    for net in nets:
        paths = [net.prefix + p.path for p in net.net.graph.parameters if p.trainable]
        out = [p for p in paths if not any(path_matches(p, k) for k in kept)]
        if len(out) == len(paths) and net.prefix:
            patterns.append(f"{net.prefix}*")
        else:
            patterns += out
    return patterns


def _check_reached(
    body: Body, objective: Objective, graph: Graph, trained: Sequence[str], paths: Sequence[str]
) -> bool:
    """Whether the loss depends on a weight that is trained."""
    needed = _find_needed(objective, graph)
    if needed & set(trained):
        return True
    reason = "no net is applied" if not paths else "no weight of a net reaches it"
    if needed & set(paths):
        reason = "every weight that reaches it is frozen"
    body.report(nothing_trained(objective.span, reason))
    return False


def _find_needed(objective: Objective, graph: Graph) -> set[str]:
    """The values that a loss depends on."""
    loss = next(o for o in graph.outputs if o.name == objective.made.loss)
    needed = {loss.value.name}
    for node in reversed(graph.nodes):
        if any(v.name in needed for v in node.outputs):
            needed |= {v.name for v in node.inputs if v is not None}
    return needed


def _check_begun(
    body: Body,
    objective: Objective,
    graph: Graph,
    trained: Sequence[str],
    late: Sequence[Pattern],
) -> bool:
    """Whether the loss depends on a weight that is trained from the first epoch on."""
    begun = [p for p in trained if not any(path_matches(p, pattern.text) for pattern in late)]
    if not late or _find_needed(objective, graph) & set(begun):
        return True
    body.report(nothing_trained(objective.span, "every weight that reaches it is frozen at first"))
    return False


def _check_claims(body: Body, groups: Sequence[Group], trained: Sequence[str]) -> bool:
    """Whether every parameter follows one optimizer, and every optimizer has parameters."""
    claimed: dict[str, Span] = {}
    for group in groups:
        held = [_find_held(pattern, trained) for pattern in group.patterns]
        for pattern, paths in zip(group.patterns, held, strict=True):
            for path in paths:
                first = claimed.setdefault(path, group.span)
                if first is not group.span:
                    body.report(claimed_twice(pattern.span, path, first))
                    return False
        if group.limited and not any(held):
            body.report(group_is_empty(group.span))
            return False
    rest = [g for g in groups if not g.limited]
    left = [p for p in trained if p not in claimed]
    for index, group in enumerate(rest):
        if index > 0 or not left:
            body.report(group_is_empty(group.span))
            return False
    if left and not rest:
        body.report(no_group_holds(groups[-1].span, tuple(left)))
        return False
    return True


def _find_held(pattern: Pattern, trained: Sequence[str]) -> list[str]:
    return [path for path in trained if path_matches(path, pattern.text)]
