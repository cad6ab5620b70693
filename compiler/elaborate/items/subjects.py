"""What deploy and variant items name: the net of a train, a variant, a net, or a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace

from compiler.compression.attach import find_net
from compiler.compression.given import find_given
from compiler.elaborate.api import evaluate_constant
from compiler.elaborate.bodies.models import elaborate_layer
from compiler.elaborate.items.references import find_head, report_missing, resolve
from compiler.elaborate.scopes.context import Body, FileNet, FileScope
from compiler.elaborate.scopes.files import items_by_kind
from compiler.elaborate.values.values import BlockLayer
from compiler.ir.graph import Graph
from compiler.program.net import Net
from compiler.program.train import Train, TrainedNet
from compiler.program.variant import Variant as MadeVariant
from compiler.records import dataclass
from compiler.report.messages.deployments import several_nets
from compiler.report.messages.item_clauses import no_such_item
from compiler.report.messages.names import not_available
from compiler.report.messages.training import unknown_word
from compiler.report.suggestions import did_you_mean
from compiler.rows.preprocess import prefix_parameters
from compiler.text.tree.syntax import Attribute, Call, Expr, Model, Reference, Sweep
from compiler.text.tree.syntax import Deploy as DeployItem
from compiler.text.tree.syntax import Train as TrainItem
from compiler.text.tree.syntax import Variant as VariantItem


@dataclass(frozen=True)
class Subject:
    """What is deployed: a graph whose weights are called as they are stored, and where they come
    from. `columns` says which column of the train's data each input was given, `computed` how
    the train made the others. `trained` is its name in the train. `source` is the train behind it,
    whose data settles `sizes`; `made_by` is that train."""

    graph: Graph
    net: Net | None
    train: str | None
    columns: Mapping[str, str]
    variant: MadeVariant | None = None
    computed: Graph | None = None
    trained: str = ""
    source: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    made_by: Train | None = None


PYTORCH = (
    "PyTorch needs no deployment: `weft build` writes model.py and weights for every train, "
    "`weft compile --pytorch` writes model.py for any net"
)
"""What to do instead of `deploy … as torch`."""


@dataclass(frozen=True)
class Base:
    """What a variant changes: a net, and the train that made it, which stores its weights under
    `prefix`. Without a train the net says where its weights come from."""

    net: Net
    train: Train | None
    prefix: str
    columns: Mapping[str, str]


OpenVariant = Callable[[VariantItem | Sweep, Reference], MadeVariant | None]
"""The variant of an item, or the best of a sweep, with the arguments of a reference to it."""
OpenTrain = Callable[[TrainItem | Sweep, Reference, Body | None], Train | None]
"""The train of an item, or the best of a sweep, with the arguments of a reference to it, evaluated
in a body or at file level."""


@dataclass(frozen=True)
class Subjects:
    """What items of a file may name: the trains that were made so far, the nets at file level,
    and what makes a train or a variant with other arguments."""

    scope: FileScope
    trains: Mapping[str, Train]
    nets: Mapping[str, Net]
    open_train: OpenTrain
    open_variant: OpenVariant


def find_base(
    scope: FileScope,
    reference: Reference,
    nets: Mapping[str, Net],
    open_train: OpenTrain,
) -> Base | None:
    """What `variant … of REFERENCE` names; None where it is nothing that can be compressed, or
    was refused."""
    first = find_head(scope, reference)
    found = resolve(scope, first)
    inside = replace(reference, path=reference.path[len(first.path) - 1 :])
    if found is not None and _is_train(*found):
        train = open_train(found[1], reference, None)  # type: ignore[arg-type]
        chosen = _find_trained(scope, inside, train) if train is not None else None
        if train is None or chosen is None:
            return None
        return Base(chosen.net, train, chosen.prefix, find_given(train, chosen).columns)
    found = resolve(scope, reference)
    if found is None or not isinstance(found[1], Model | FileNet):
        known = (*items_by_kind(scope, TrainItem), *nets, *items_by_kind(scope, Model))
        report_missing(scope, reference, found, "train, net or model", tuple(dict.fromkeys(known)))
        return None
    subject = _find_untrained(scope, reference, found[1], nets)
    if subject is None or subject.net is None:
        return None
    return Base(subject.net, None, "", {})


def find_subject(subjects: Subjects, item: DeployItem) -> Subject | None:
    """What a deploy item names; None where it is nothing that can be deployed, or was refused."""
    reference, scope, nets = item.subject, subjects.scope, subjects.nets
    if not _check_target(scope, item.target):
        return None
    first = find_head(scope, reference)
    found = resolve(scope, first)
    inside = replace(reference, path=reference.path[len(first.path) - 1 :])
    if found is not None and _is_train(*found):
        train = subjects.open_train(found[1], reference, None)  # type: ignore[arg-type]
        chosen = _find_trained(scope, inside, train) if train is not None else None
        return None if train is None or chosen is None else _take_trained(train, chosen)
    found = resolve(scope, reference)
    if found is None or not isinstance(found[1], Model | FileNet | VariantItem | Sweep):
        made_here = (*items_by_kind(scope, TrainItem), *items_by_kind(scope, VariantItem))
        known = tuple(dict.fromkeys((*made_here, *nets, *items_by_kind(scope, Model))))
        report_missing(scope, reference, found, "train, variant, net or model", known)
        return None
    if isinstance(found[1], VariantItem | Sweep):
        if found[0] is not scope:
            purpose = "be deployed from another file"
            scope.session.report(not_available(reference.span, found[1].name.text, purpose))
            return None
        made = subjects.open_variant(found[1], reference)
        return _take_variant(made, subjects.trains) if made is not None else None
    return _find_untrained(scope, reference, found[1], nets)


def _is_train(scope: FileScope, entry: object) -> bool:
    """Whether an item stands for a train: it is one, or a sweep of one."""
    passed: list[object] = []
    while isinstance(entry, Sweep) and entry not in passed:
        passed.append(entry)
        entry = scope.entries.get(entry.of.path[0].text)
    return isinstance(entry, TrainItem)


def _take_trained(train: Train, chosen: TrainedNet) -> Subject:
    """A net of a train, as it is deployed."""
    given = find_given(train, chosen)
    return Subject(
        prefix_parameters(chosen.net.graph, chosen.prefix),
        None,
        train.name,
        given.columns,
        computed=given.computed,
        trained=chosen.name,
        source=train.name,
        sizes=given.sizes,
        made_by=train,
    )


def _take_variant(made: MadeVariant, trains: Mapping[str, Train]) -> Subject:
    """A variant, with what the train behind it gives to its net, if there is one."""
    plain = Subject(made.graph, None, None, made.columns, made, trained=made.net)
    if made.train is None:
        return plain
    train = trains[made.train]
    given = find_given(train, find_net(train, made.net))
    sized = replace(plain, computed=given.computed, sizes=given.sizes)
    return replace(sized, source=train.name, made_by=train)


def _check_target(scope: FileScope, target: Reference) -> bool:
    name = target.path[-1]
    if len(target.path) == 1 and name.text == "onnx" and not target.arguments:
        return True
    known = ("onnx",)
    near = did_you_mean(name.text, known)
    hint = PYTORCH if name.text in ("torch", "pytorch") else None
    scope.session.report(unknown_word(target.span, "target", name.text, known, near, hint))
    return False


def _find_trained(scope: FileScope, reference: Reference, train: Train) -> TrainedNet | None:
    """The net of a train: its only one, or `train.net`."""
    report = scope.session.report
    names = tuple(n.name for n in train.nets)
    if len(reference.path) == 1:
        if len(train.nets) != 1:
            report(several_nets(reference.span, train.name, names))
            return None
        return train.nets[0]
    word = ".".join(part.text for part in reference.path[1:])
    net = next((n for n in train.nets if n.name == word), None)
    if net is None:
        span = reference.path[-1].span
        near, owner = did_you_mean(word, names), f"the train `{train.name}`"
        report(no_such_item(span, "net", word, "", names, near, owner))
    return net


def _find_untrained(
    scope: FileScope, reference: Reference, entry: Model | FileNet, nets: Mapping[str, Net]
) -> Subject | None:
    """A net at file level, or a model with fresh weights."""
    name = reference.path[-1].text
    if isinstance(entry, FileNet) and reference.arguments is None:
        net = nets.get(name)
        return Subject(net.graph, net, None, {}) if net is not None else None
    function: Expr = reference.path[0]
    for part in reference.path[1:]:
        function = Attribute(function.span.to(part.span), function, part)
    called = Call(reference.span, function, reference.arguments or ())
    value = evaluate_constant(scope, called if reference.arguments else function)
    if not isinstance(value, BlockLayer):
        return None
    made = elaborate_layer(value, name, reference.span)
    return Subject(made.graph, made, None, {}) if made is not None else None
