"""Nets in a training script: how they are made, frozen, given weights and shared."""

from __future__ import annotations

from collections.abc import Sequence

from backends.pytorch.modules import constructor_call, root_class
from backends.pytorch.train.averaging import copy_nets
from backends.pytorch.train.buffers import emit_buffers
from backends.pytorch.train.code import Statement, suite, when
from backends.pytorch.train.matching import spell_match
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.ir.weights import match_paths
from compiler.writing.python import write_literal


def find_classes(script: ScriptSpec) -> list[str]:
    """The classes of the nets in model.py."""
    graphs = [net.net.graph for net in script.train.nets]
    return [root_class(graph, graphs) for graph in graphs]


def construct_nets(script: ScriptSpec) -> list[str]:
    """The call that makes each net."""
    graphs = [net.net.graph for net in script.train.nets]
    return [constructor_call(graph, graphs) for graph in graphs]


def emit_model(script: ScriptSpec) -> list[Statement]:
    """Statements that make `model` on the device, with loaded weights and without frozen ones."""
    layout = ", memory_format=torch.channels_last" if "layout" in script.said else ""
    nets = script.train.nets
    lines: list[Statement]
    placed = f".to(device{layout})"
    late = "" if script.train.buffers else placed
    if script.single:
        lines = [f"model = {construct_nets(script)[0]}{late}"]
    else:
        calls = zip(nets, construct_nets(script), strict=True)
        made = ", ".join(
            f"{write_literal(net.name)}: {call}" for net, call in calls if net.average is None
        )
        lines = _make_dictionary(script, made, late)
    if script.train.buffers:
        lines += [*emit_buffers(script), f"model{placed}"]
    path = f'Path(__file__).with_name("{START}")'
    loading = [f"model.load_state_dict(load_file({path}), strict=False)"] * bool(script.starts)
    copying = copy_nets(script)
    lines += [*copying, *loading] if script.starts_averages else [*loading, *copying]
    if script.train.freeze:
        paths = [path for net in nets for path in script.paths(net)]
        trained = f"parameter.requires_grad = {spell_trained(script.train.freeze, paths)}"
        lines.append(suite("for name, parameter in model.named_parameters():", [trained]))
    if script.masks:
        path = f'Path(__file__).with_name("{MASKS}")'
        lines += [
            "parameters = dict(model.named_parameters())",
            suite(
                f"for name, mask in load_file({path}).items():",
                [
                    "# Without a gradient, what pruning took out stays zero.",
                    "parameters[name].register_hook(mask.to(device).mul)",
                ],
            ),
        ]
    return [*lines, *_recompute_blocks(script), *_compile_nets(script)]


def _recompute_blocks(script: ScriptSpec) -> list[Statement]:
    """Statements after which blocks keep no results for the backward pass."""
    if not script.recomputed:
        return []
    return [
        suite(
            f"for name in {write_literal(script.recomputed)}:",
            [
                "block = model.get_submodule(name)",
                "# The backward pass computes again what is inside, in place of keeping it.",
                "block.forward = partial(checkpoint, block.forward, use_reentrant=False)",
            ],
        )
    ]


def _compile_nets(script: ScriptSpec) -> list[Statement]:
    """Statements that compile nets in place, so that paths of weights stay as they are."""
    if not script.train.compiled:
        return []
    if script.single:
        return ["model.compile()"]
    return [suite("for net in model.values():", ["net.compile()"])]


def _make_dictionary(script: ScriptSpec, made: str, placed: str) -> list[Statement]:
    if not script.has_taken_name:
        return [f"model = nn.ModuleDict({{{made}}}){placed}"]
    return [
        "model = nn.ModuleDict()",
        "# Not as arguments: a ModuleDict refuses names of its methods.",
        f"model._modules.update({{{made}}})",
        *when(placed, f"model{placed}"),
    ]


ADAPTER = "lora"
"""A part of the names of parameters that adapters have."""


def spell_trained(freeze: Sequence[str], paths: Sequence[str]) -> str:
    """A condition on `name` that holds for the parameters that are trained. Where these are
    adapters and little else, it names them and not all that is frozen."""
    frozen = set(match_paths(paths, freeze))
    trained = [path for path in paths if path not in frozen]
    others = tuple(path for path in trained if ADAPTER not in path)
    if len(others) < len(trained) and not any(ADAPTER in path for path in frozen):
        adapters = f'"{ADAPTER}" in name'
        return f"{adapters} or name in {write_literal(others)}" if others else adapters
    test = spell_match(freeze, paths)
    return f"not ({test})" if " or " in test else f"not {test}"


START = "start.safetensors"
"""The file beside the script with the weights that its nets start from."""
MASKS = "masks.safetensors"
"""The file beside the script that says which numbers of pruned weights may change."""


def emit_replica(script: ScriptSpec) -> list[Statement]:
    """Statements that make `replica`, which shares gradients among processes; none where they are
    averaged after each step."""
    if not script.replicated:
        return []
    made = "replica = DistributedDataParallel(model)"
    return ["replica = model", suite("if WORLD > 1:", [made])]
