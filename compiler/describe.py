"""The stages of a compilation as text, for `--print-after`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from itertools import chain

from compiler.compression.wording import describe_requirement
from compiler.data.base import DataSource
from compiler.data.splitting import Split
from compiler.ir.graph import Graph
from compiler.ir.printer import print_graph
from compiler.program.data import DataSet
from compiler.program.deploy import Deploy
from compiler.program.program import Program
from compiler.program.requirement import Requirement
from compiler.program.sweep import Sweep
from compiler.program.train import EarlyStop, MetricUse, ParameterGroup, Regularization, Train
from compiler.program.variant import Step, Target, Variant
from compiler.report.source import Span
from compiler.sweeping.base import write_value
from compiler.text.tree.syntax import File
from compiler.vocabulary.clauses import DATA, DEPLOY, SWEEP, TRAIN, VARIANT, ClauseHome


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
    parts += ["\n".join(_describe_sweep(sweep)) for sweep in program.sweeps.values()]
    parts += ["\n".join(_describe_deploy(deploy)) for deploy in program.deploys]
    return "\n\n".join(parts)


def _describe_graph(graph: Graph) -> str:
    inputs = ", ".join(f"{i.name}: {i.value.type}" for i in graph.inputs)
    outputs = ", ".join(f"{o.name}: {o.value.type}" for o in graph.outputs)
    return f"({inputs}) -> ({outputs}), {len(graph.nodes)} nodes"


def _describe_data(data: DataSet) -> Iterator[str]:
    yield f"data {data.name}"
    yield from _describe_clauses(DATA, data)
    for column in data.schema:
        yield f"  raw {column.name}: {column.type}"
    for output in data.columns.outputs:
        yield f"  column {output.name}: {output.value.type}"
    for statistic in data.statistics:
        yield f"  {statistic.path} = {statistic.method} of {statistic.of}"


def _describe_train(train: Train) -> Iterator[str]:
    yield f"train {train.name} on {train.data.name}: {_describe_graph(train.graph)}"
    for net in train.nets:
        yield f"  net {net.name} = {net.net.model} under {net.prefix or 'the root'}"
    yield from _describe_clauses(TRAIN, train)
    for thaw in train.thaws:
        yield f"  freeze {', '.join(thaw.patterns)} until epoch {thaw.epochs}"


def _describe_variant(variant: Variant) -> Iterator[str]:
    yield f"variant {variant.name} of {variant.train or variant.net}"
    yield from _describe_clauses(VARIANT, variant)


def _describe_sweep(sweep: Sweep) -> Iterator[str]:
    yield f"sweep {sweep.name} of {sweep.of}, {'chosen' if sweep.settled else 'not chosen yet'}"
    for searched in sweep.searched:
        yield f"  {searched.parameter} in {searched.space}"
    yield from (f"  {name} = {write_value(value)}" for name, value in sweep.values.items())
    yield from _describe_clauses(SWEEP, sweep)


def _describe_deploy(deploy: Deploy) -> Iterator[str]:
    yield f"deploy {deploy.name} as {deploy.target}: {_describe_graph(deploy.graph)}"
    yield from _describe_clauses(DEPLOY, deploy)


def _describe_clauses(home: ClauseHome, item: object) -> Iterator[str]:
    """What each clause comes to, where that is something; a line for each part of one that
    repeats."""
    for word in home.clauses.values():
        value = getattr(item, word.field) if word.field else None
        if value is None or value == ():
            continue
        parts = value if isinstance(value, tuple) and not isinstance(value[0], str) else (value,)
        yield from (f"  {word.word} {_describe_value(part)}" for part in parts)


def _describe_value(value: object) -> str:
    match value:
        case ParameterGroup():
            return f"with {value.optimizer} over {', '.join(value.patterns) or 'the rest'}"
        case Graph():
            return _describe_graph(value)
        case MetricUse():
            given = ", ".join(name or "none" for name in value.arguments)
            better = f", {value.better} is better" if value.better is not None else ""
            return f"{value.name} = {value.metric}({given}){better}"
        case EarlyStop():
            return f"{value.split}.{value.metric} stalls for {value.epochs} epochs"
        case Regularization():
            return f"{value.regularizer} over {', '.join(chain(*value.layers))}"
        case Split():
            shares = ", ".join(f"{name}={share!r}" for name, share in value.shares)
            return f"{value.method} seed={value.seed} {shares}".rstrip()
        case DataSource() | DataSet():
            return value.name
        case Step():
            return str(value.compression)
        case Target():
            return f"{value.device} threads={value.threads} sizes={dict(value.sizes)}"
        case Requirement():
            return describe_requirement(value)
        case tuple():
            return ", ".join(map(str, value))
    return str(value)


def describe_graphs(program: Program) -> str:
    """Every graph in the textual form of the IR."""
    graphs = [net.graph for net in (*program.models.values(), *program.nets.values())]
    graphs += [data.columns for data in program.data.values()]
    graphs += [train.graph for train in program.trains.values()]
    graphs += [deploy.graph for deploy in program.deploys]
    return "\n".join(print_graph(graph) for graph in graphs)
