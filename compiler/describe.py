"""The stages of a compilation as text, for `--print-after`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from compiler.compression.wording import describe_requirement
from compiler.ir.graph import Graph
from compiler.ir.printer import print_graph
from compiler.program.data import DataSet
from compiler.program.deploy import Deploy
from compiler.program.program import Program
from compiler.program.train import Train
from compiler.program.variant import Variant
from compiler.report.source import Span
from compiler.text.tree.syntax import File


def describe_tree(file: File) -> str:
    """The syntax tree, one node a line, without places."""
    return "\n".join(line for item in file.items for line in _tree_lines(item, 0, ""))


def _tree_lines(node: object, depth: int, name: str) -> Iterator[str]:
    indent = "  " * depth + (f"{name}: " if name else "")
    if is_dataclass(node) and not isinstance(node, type):
        plain = [(f.name, getattr(node, f.name)) for f in fields(node) if f.name != "span"]
        plain = [(n, v) for n, v in plain if not isinstance(v, Span)]
        short = [f"{n}={v!r}" for n, v in plain if isinstance(v, str | int | float | bool)]
        yield f"{indent}{type(node).__name__}" + (f" {' '.join(short)}" if short else "")
        for field_name, value in plain:
            if value is not None and not isinstance(value, str | int | float | bool):
                yield from _tree_lines(value, depth + 1, field_name)
    elif isinstance(node, tuple):
        for item in node:
            yield from _tree_lines(item, depth, name)
    else:
        yield f"{indent}{node!r}"


def describe_program(program: Program) -> str:
    """The items with their settings, one item a paragraph."""
    parts = [f"model {n.name}: {_describe_graph(n.graph)}" for n in program.models.values()]
    parts += [f"net {n.name}: {_describe_graph(n.graph)}" for n in program.nets.values()]
    parts += ["\n".join(_describe_data(data)) for data in program.data.values()]
    parts += ["\n".join(_describe_train(train)) for train in program.trains.values()]
    parts += ["\n".join(_describe_variant(variant)) for variant in program.variants.values()]
    parts += ["\n".join(_describe_deploy(deploy)) for deploy in program.deploys]
    return "\n\n".join(parts)


def _describe_graph(graph: Graph) -> str:
    inputs = ", ".join(f"{i.name}: {i.value.type}" for i in graph.inputs)
    outputs = ", ".join(f"{o.name}: {o.value.type}" for o in graph.outputs)
    return f"({inputs}) -> ({outputs}), {len(graph.nodes)} nodes"


def _describe_data(data: DataSet) -> Iterator[str]:
    yield f"data {data.name} from {data.source.name}"
    for column in data.schema:
        yield f"  raw {column.name}: {column.type}"
    for output in data.columns.outputs:
        yield f"  column {output.name}: {output.value.type}"
    shares = ", ".join(f"{name}={share!r}" for name, share in data.split.shares)
    yield f"  split {data.split.method} seed={data.split.seed} {shares}".rstrip()
    for statistic in data.statistics:
        yield f"  {statistic.path} = {statistic.method} of {statistic.of}"


def _describe_train(train: Train) -> Iterator[str]:
    yield f"train {train.name} on {train.data.name}: {_describe_graph(train.step)}"
    for net in train.nets:
        yield f"  net {net.name} = {net.net.model} under {net.prefix or 'the root'}"
    for group in train.groups:
        patterns = ", ".join(group.patterns) or "the rest"
        yield f"  with {group.optimizer} over {patterns}"
    for use in train.metrics:
        given = ", ".join(name or "none" for name in use.arguments)
        better = f", {use.better} is better" if use.better is not None else ""
        yield f"  metric {use.name} = {use.metric}({given}){better}"
    yield f"  batch={train.batch} epochs={train.epochs} seed={train.seed}"
    yield f"  precision={train.precision} clip={train.clip} layout={train.layout}"
    if train.until is not None:
        until = train.until
        yield f"  until {until.split}.{until.metric} stalls for {until.epochs} epochs"
    if train.freeze:
        yield f"  freeze {', '.join(train.freeze)}"


def _describe_variant(variant: Variant) -> Iterator[str]:
    yield f"variant {variant.name} of {variant.train or variant.net}"
    for step in variant.steps:
        yield f"  apply {step.compression}"
    target = variant.target
    yield f"  target {target.device} threads={target.threads} sizes={dict(target.sizes)}"
    for requirement in variant.requires:
        yield f"  require {describe_requirement(requirement)}"


def _describe_deploy(deploy: Deploy) -> Iterator[str]:
    yield f"deploy {deploy.name} as {deploy.target}: {_describe_graph(deploy.graph)}"
    dynamic = "all" if deploy.dynamic is None else ", ".join(deploy.dynamic) or "none"
    yield f"  opset={deploy.opset} dynamic={dynamic} fixed={dict(deploy.fixed)}"
    if deploy.labels:
        yield f"  labels={list(deploy.labels)}"
    if deploy.preprocess is not None:
        yield f"  preprocess={deploy.preprocess.name}"


def describe_graphs(program: Program) -> str:
    """Every graph in the textual form of the IR."""
    graphs = [net.graph for net in (*program.models.values(), *program.nets.values())]
    graphs += [data.columns for data in program.data.values()]
    graphs += [train.step for train in program.trains.values()]
    graphs += [deploy.graph for deploy in program.deploys]
    return "\n".join(print_graph(graph) for graph in graphs)
