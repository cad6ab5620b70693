"""Calls of blocks and models: parameters bound, a frame opened, the body run, results handed
back."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.elaborate.calls.frames import open_frame
from compiler.elaborate.calls.parameters import bind_parameters
from compiler.elaborate.calls.replay import begin, find, keep, replay
from compiler.elaborate.calls.results import take_outputs, translate_result
from compiler.elaborate.calls.signatures import read_signature
from compiler.elaborate.calls.weights import claim_path, reserve_weights, write_picked
from compiler.elaborate.scopes.application import Application
from compiler.elaborate.scopes.context import MAX_DEPTH, Abandoned, Body, scope_of
from compiler.elaborate.scopes.paths import Path, join
from compiler.elaborate.scopes.ports import Ports
from compiler.elaborate.values.parts import holds_tensor
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    BlockLayer,
    NetValue,
    Poison,
    Val,
)
from compiler.ir.hint import Hint
from compiler.report.messages.nets import model_has_no, nothing_returned
from compiler.report.messages.values import recursion_too_deep
from compiler.text.tree.syntax import Model

CALL_WORK = 60
"""What a call costs by itself, in expressions evaluated."""


def apply_block(
    body: Body,
    layer: BlockLayer,
    given: Mapping[str, ArgumentValue],
    application: Application,
    net: NetValue | None = None,
) -> Val:
    """The result of a block or model on everything that was given to it; for a net, whose
    weights live under the net's path."""
    if any(isinstance(g.value, Poison) for g in given.values()):
        return POISON
    session = body.session
    session.spend(CALL_WORK, application.span)
    if session.depth >= MAX_DEPTH:
        name = layer.item.name
        body.report(recursion_too_deep(application.span, name.text, MAX_DEPTH, name.span))
        raise Abandoned
    session.depth += 1
    try:
        return _Call(body, layer, given, application, net).run()
    finally:
        session.depth -= 1


class _Call:
    """One call of a block or model."""

    def __init__(
        self,
        caller: Body,
        layer: BlockLayer,
        given: Mapping[str, ArgumentValue],
        application: Application,
        net: NetValue | None,
    ) -> None:
        self.caller = caller
        self.layer = layer
        self.given = given
        self.application = application
        self.net = net
        self.signature = read_signature(scope_of(layer), layer.item)
        self.hinted = caller.reads(layer.frame)
        self.body = Body(
            caller.session,
            scope_of(layer),
            caller.home,
            None,
            caller.session.engine.clauses_of(layer.item),
            reuse=caller.reuse if net is None else net.made,
            wanted=application.names,
            call=application.span,
            item=layer.item,
            caller=caller,
            ports=Ports(given) if isinstance(layer.item, Model) else None,
            given=given,
        )

    def run(self) -> Val:
        """The result of the call."""
        item = self.layer.item
        if not bind_parameters(self.caller, self.body, item, self.signature, self.given):
            return POISON
        claimed = None
        if self.caller.frame is not None:
            claimed = self.claim()
            if claimed is None and self.net is None:
                return POISON
            self.open_frame(claimed)
        self.execute()
        result = self.take_result()
        if claimed is not None and not holds_tensor(result) and not isinstance(result, Poison):
            own = join(self.caller.prefix, item.name.text)
            self.caller.paths.release(claimed.text, own)
        if self.net is not None and not self.net.nets:
            self.net.nets.update(self.body.nets)
        return translate_result(result, self.body, self.signature, self.given, hinted=self.hinted)

    def execute(self) -> None:
        """Runs the body, or makes again what it made of the same arguments before."""
        start = begin(self.body) if self.net is None else None
        found = find(self.body, start) if start is not None else None
        if found is not None:
            replay(self.body, found, self.application.span)
            return
        self.body.execute(self.layer.item.body)
        if start is not None:
            keep(self.body, start)

    def claim(self) -> Path | None:
        """The path of the call in its caller's frame; None for a net, which has its own, and
        where a label is taken."""
        if self.net is not None:
            return None
        application, own = self.application, self.layer.item.name.text
        return claim_path(self.caller, application.label, own, application.span)

    def open_frame(self, claimed: Path | None) -> None:
        """Opens the frame of the call, under its path or the net's."""
        assert self.caller.frame is not None
        if self.net is not None:
            path = self.net.path
        else:
            path = join(self.caller.frame.path, claimed.text if claimed is not None else "")
        if not path and self.caller.home is not None:  # `train f of Model`
            reserve_weights(self.caller.home.root.builder, self.layer.item)
        self.body.frame = open_frame(
            self.caller,
            self.body,
            self.layer.item,
            self.signature,
            self.given,
            path=path,
            hinted=self.hinted,
            origin=self.application.span,
            label=claimed.hint if claimed is not None else self.find_picked(),
        )

    def find_picked(self) -> Hint | None:
        """How the path of a net out of a list was written."""
        return None if self.net is None else write_picked(self.caller, self.net)

    def take_result(self) -> Val:
        """What the body handed back."""
        body, item = self.body, self.layer.item
        if body.ports is not None:
            if not body.ports.outputs and not body.ports.refused:
                body.report(model_has_no(item.name.span, item.name.text, "output"))
            return take_outputs(body.ports)
        if body.result is None:
            body.report(nothing_returned(item.name.span, item.name.text))
            return POISON
        return body.result
