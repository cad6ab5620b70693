"""Contracts that speak of outputs which the file does not have that they are measured on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from compiler.compression.attach import find_net, find_same_calls
from compiler.compression.requirements import find_all
from compiler.ir.subgraph import extract_subgraph
from compiler.program.deploy import Deploy
from compiler.program.requirement import Figure
from compiler.program.train import Train
from compiler.program.variant import Variant
from compiler.report.diagnostics import Message
from compiler.report.messages.deployments import figure_of_dropped_output


def find_dropped(
    variants: Mapping[str, Variant], deploys: Sequence[Deploy], trains: Mapping[str, Train]
) -> Iterator[Message]:
    """The figures of contracts that read an output which `outputs` leaves out of the file. That
    of a variant is written as its first deployment says, and so is the net before any pass that
    it is compared with."""
    for variant in variants.values():
        for figure in (f for r in variant.requires for f in find_all(r)):
            judged = variants.get(figure.owner or variant.name)
            if figure.owner == variant.train:
                judged = variant
            deploy = next((d for d in deploys if judged and d.variant == judged.name), None)
            if figure.split is None or judged is None or deploy is None or not deploy.outputs:
                continue
            train = trains.get(judged.train or "")
            if train is not None and _reads_dropped(train, judged.net, deploy.outputs, figure):
                yield figure_of_dropped_output(
                    figure.span, figure.name, figure.owner or variant.name
                )


def _reads_dropped(train: Train, name: str, kept: Sequence[str], figure: Figure) -> bool:
    """Whether a figure takes more of a net than the outputs that are kept: its weights."""
    net = find_net(train, name)
    starts = [
        call.values[output.value.name]
        for call in find_same_calls(train, name)
        for output in net.net.graph.outputs
        if output.name in kept and output.value.name in call.values
    ]
    reads = next((use.reads for use in train.metrics if use.name == figure.name), (figure.name,))
    wanted = [output for output in train.graph.outputs if output.name in reads]
    part = extract_subgraph(train.graph, starts, wanted)
    return any(p.path.removeprefix(net.prefix) in net.net.graph.parameter for p in part.parameters)
