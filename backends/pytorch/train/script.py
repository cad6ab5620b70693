"""Writes the training script of a train: the template, filled with what the spec asks for."""

from __future__ import annotations

from backends.pytorch.train import script_template
from backends.pytorch.train.functions import emit_column_function, emit_objective
from backends.pytorch.train.layout import break_lines
from backends.pytorch.train.loading import (
    emit_columns,
    emit_loading,
    emit_split,
    load_arguments,
    reads_folder,
)
from backends.pytorch.train.measuring import (
    emit_additions,
    emit_figures,
    emit_outputs,
    emit_sizes,
    measure,
    start_sums,
)
from backends.pytorch.train.models import (
    emit_model,
    emit_replica,
    find_classes,
    model_argument,
)
from backends.pytorch.train.optimizing import (
    emit_definitions,
    emit_gradients,
    emit_optimizers,
    emit_split_parameters,
    emit_step,
)
from backends.pytorch.train.ranges import (
    computes_places,
    emit_range_functions,
)
from backends.pytorch.train.rates import (
    emit_plateau_steps,
    emit_plateaus,
    emit_rates,
    emit_schedules,
    group_of,
    name_plateaus,
)
from backends.pytorch.train.regularizing import (
    emit_penalty,
    emit_shrink_calls,
    emit_shrinking,
    emit_strengths,
)
from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.settings import RESULTS, emit_settings
from backends.pytorch.train.template_slots import Slots, fill
from compiler.program.train import Clip
from compiler.writing.imports import sort_names, write_imports
from compiler.writing.python import (
    quote_docstring,
    show,
    write_formatted,
    write_literal,
    write_long_docstring,
    write_string,
)

Lines = list[str]


FIRST = (
    "import sys",
    "",
    "sys.path.append(sys.path.pop(0))  # no file beside this one, json.py say, hides a module",
)
"""The first lines of code: `python train.py` would look for every module in the script's folder
first, where anyone may have put a file."""

LOADED_EARLY = "import torch.distributed.nn  # loaded later, it would keep the process group alive"
"""PyTorch loads it in a first step otherwise, and the defaults of its functions are the group that
exists then: threads of Gloo would outlive Python's end, which can abort the process."""


def emit_script(script: ScriptSpec) -> str:
    """The text of `train.py`: it stands alone beside `model.py`."""
    train = script.train
    blocks = [
        fill(script_template.CONSTANTS, _constant_slots(script), script.switches),
        fill(script_template.LOAD_COLUMNS, _data_slots(script)),
        emit_column_function(script),
        break_lines(emit_split(script)),
        emit_range_functions(script),
        fill(script_template.LOAD_SPLITS, _data_slots(script)),
        emit_objective(script),
        *emit_definitions(script),
        *map(break_lines, emit_schedules(script)),
        break_lines(emit_split_parameters(script)),
        break_lines(emit_penalty(script)),
        *map(break_lines, emit_shrinking(script)),
        fill(script_template.MEASURE, _measure_slots(script), script.switches)
        if script.evaluates
        else [],
        fill(script_template.SOLVE_EPOCH, _solving_slots(script))
        if script.solves
        else fill(script_template.TRAIN_EPOCH, _epoch_slots(script), script.switches),
        _emit_average(script),
        *(text.splitlines() for text in script.functions.values()),
        fill(script_template.EVALUATE, _evaluation_slots(script), script.switches),
        fill(script_template.CHECKPOINTS, _checkpoint_slots(script), script.switches),
        fill(script_template.TRAIN, _train_slots(script), script.switches),
        fill(script_template.MAIN, _main_slots(script), _main_switches(script)),
    ]
    body = "\n\n\n".join("\n".join(block) for block in blocks if block)
    models = ", ".join(sort_names(set(find_classes(script))))
    imports = write_imports(body, [LOADED_EARLY, *train.data.source.imports()])
    imports.remove("import sys")
    head = [*_docstring(script), "", *FIRST, "", *imports, "", f"from model import {models}", ""]
    return "\n".join(head) + "\n" + body + "\n"


def _docstring(script: ScriptSpec) -> Lines:
    train = script.train
    about = train.doc if train.doc.split() else _describe(script)
    usage = [
        ("python train.py", "a line per epoch, results in ./run"),
        ("python train.py --resume", "goes on after the last finished epoch"),
        ("torchrun --nproc-per-node 2 train.py", "shares every batch among processes"),
    ]
    if reads_folder(script):
        usage.insert(1, ("python train.py --data DIR", "where paths of data start from"))
    return write_long_docstring(about, [f"{command:39}{what}" for command, what in usage])


def _names(script: ScriptSpec) -> str:
    return " and ".join(dict.fromkeys(net.net.model for net in script.train.nets))


def _describe(script: ScriptSpec) -> str:
    return f"Trains {_names(script)} on the data {script.train.data.name}."


def _model_type(script: ScriptSpec) -> str:
    return "nn.Module" if script.single else "nn.ModuleDict"


def _constant_slots(script: ScriptSpec) -> Slots:
    train, monitor = script.train, script.monitor
    scheduler = "torch.optim.lr_scheduler.ReduceLROnPlateau"
    return {
        "plateau_fields": [f"{name}: {scheduler}" for name in name_plateaus(script).values()],
        **{word: write_literal(value) for word, value in script.settings.items()},
        "clip": _bound(train.clip),
        "rate_constants": [*emit_rates(script), *break_lines(emit_strengths(script))],
        "patience": str(train.until.epochs if train.until else 0),
        "monitor": show(monitor.name),
        "model_type": _model_type(script),
        "settings_lines": emit_settings(script),
        "results": write_literal(RESULTS),
        "charts": write_literal(script.charts),
    }


def _bound(clip: Clip | None) -> str:
    """The bound of gradients, and what it bounds."""
    if clip is None:
        return ""
    bounded = {"norm": "norm of all gradients together", "value": "of every entry of a gradient"}
    return f"{write_literal(clip.limit)}  # {bounded[clip.by]}"


def _data_slots(script: ScriptSpec) -> Slots:
    folder = reads_folder(script)
    columns = [f"`{quote_docstring(name)}`" for name in script.columns]
    return {
        "folder_parameter": "folder: Path" if folder else "",
        "load_lines": emit_loading(script),
        "load_parameters": ", ".join(load_arguments(script).values()),
        "column_names": " and ".join(filter(None, [", ".join(columns[:-1]), columns[-1]])),
        "columns_lines": emit_columns(script),
    }


def _epoch_slots(script: ScriptSpec) -> Slots:
    train = script.train
    drawn = (
        "The order and random draws follow" if "random" in script.switches else "The order follows"
    )
    frozen = [
        f"model[{write_string(net.name)}].eval()"
        for net in train.nets
        if net.prefix and script.is_frozen(net)
    ]
    replica = f", replica: {_model_type(script)}" if script.replicated else ""
    return {
        "epoch_parameters": f"training: Training{replica}",
        "drawn_lines": [
            f"{drawn} from the seed and the epoch, so that a resumed",
            "training repeats them. Rows that fill no batch wait for another epoch.",
        ],
        "frozen_lines": frozen,
        "loss_lines": [] if script.evaluates else _emit_loss(script),
        "step_lines": [*emit_step(script), *emit_shrink_calls(script)],
    }


def _solving_slots(script: ScriptSpec) -> Slots:
    lines = emit_step(script)
    return {"count_lines": ["step, steps = 0, 1"] if len(lines) > 1 else [], "step_lines": lines}


def _emit_loss(script: ScriptSpec) -> Lines:
    """Lines from a batch to the loss, with no gradients left of the last one."""
    extra = len(script.step.outputs) - 1
    loss = ("loss", "loss, _")[extra] if extra < 2 else "loss, *_"
    net = "replica" if script.replicated else model_argument(script)
    model = "training.model" if script.replicated else "model"
    lines = [f"{loss} = compute_loss({net}, *batch)"]
    if _autocast(script):
        lines = [f"with torch.autocast(device.type, {_autocast(script)}):", f"    {lines[0]}"]
    if script.penalties:
        lines.append(f"loss = loss + penalize({model})")
    return [*lines, f"{model}.zero_grad()"]


def _measure_slots(script: ScriptSpec) -> Slots:
    return {"loss_lines": _emit_loss(script), "gradient_lines": emit_gradients(script)}


def _emit_average(script: ScriptSpec) -> Lines:
    """The function that shares gradients among processes where no replica does."""
    if script.replicated:
        return []
    return fill(script_template.AVERAGE_GRADIENTS, {"model_type": _model_type(script)})


def _autocast(script: ScriptSpec) -> str:
    return {"bf16": "torch.bfloat16", "f16": "torch.float16"}.get(script.train.precision, "")


def _evaluation_slots(script: ScriptSpec) -> Slots:
    measured = measure(script)
    return {
        "model_type": _model_type(script),
        "figure_type": "float | list[list[float]]" if script.charts else "float",
        "evaluated": "Loss and metrics" if script.train.metrics else "The loss",
        "size_lines": emit_sizes(script),
        "sum_lines": list(start_sums(measured)),
        "autocast": _autocast(script),
        "outputs": emit_outputs(script),
        "model": model_argument(script),
        "addition_lines": emit_additions(script),
        "figure_lines": emit_figures(script),
    }


def _checkpoint_slots(script: ScriptSpec) -> Slots:
    names = name_plateaus(script).values()
    return {
        "kept_lines": [f'progress["{name}"] = training.{name}.state_dict()' for name in names],
        "restored_lines": [f'restore_rates(training.{name}, progress["{name}"])' for name in names],
    }


def _train_slots(script: ScriptSpec) -> Slots:
    unfinished = "training.epoch < EPOCHS"
    if script.train.until is not None:
        unfinished += " and training.epoch - training.best_epoch < PATIENCE"
    condition = ["    if name not in CHARTS:"] if script.charts else []
    evaluation = [
        line
        for split in script.evaluated
        for line in (
            f"for name, value in evaluate(model, splits[{write_string(split)}]).items():",
            *condition,
            f'{"    " * len(condition)}    record[f"{write_formatted(split)}.{{name}}"] = value',
        )
    ]
    averaged = [
        "for buffer in model.buffers():  # running statistics: each process has its own",
        "    if buffer.is_floating_point():",
        "        all_sum(buffer).div_(WORLD)",
    ]
    names = (*script.splits, *(metric.name for metric in script.train.metrics))
    plain = all(name.isprintable() for name in names)
    return {
        "shown_name": "name" if plain else "name!r",  # a terminal would obey what they hold
        "replica_lines": emit_replica(script),
        "unfinished": unfinished,
        "buffer_lines": averaged if script.has_buffers else [],
        "evaluation_lines": evaluation,
        "plateau_lines": emit_plateau_steps(script),
        "rate_lines": [
            f'record["lr{f".{number}" if number else ""}"] = {group_of(script, number)}["lr"]'
            for number in range(len(script.train.groups))
        ],
        "score": _score(script),
    }


def _score(script: ScriptSpec) -> str:
    """A tuple that is greater for better weights: of equal metrics the lower loss wins."""
    monitor = script.monitor
    if script.keeps_last:
        return "(training.epoch,)"
    loss = f"-record[{write_string(f'{monitor.split}.loss')}]"
    if monitor.metric == "loss":
        return f"({loss},)"
    sign = "" if monitor.higher else "-"
    return f"({sign}record[{write_string(monitor.name)}], {loss})"


def _main_switches(script: ScriptSpec) -> frozenset[str]:
    asked = {"folder": reads_folder(script), "places": computes_places(script)}
    return script.switches | {name for name, on in asked.items() if on}


def _main_slots(script: ScriptSpec) -> Slots:
    optimizer = "optimizer" if script.shares_optimizer else "optimizers"
    plateaus = "".join(f", {name}" for name in name_plateaus(script).values())
    scaler = ", torch.amp.GradScaler(device.type)" if "scaler" in script.switches else ""
    measured = tuple(name for name in script.splits if name != "train") or ("train",)
    return {
        "description": write_string(
            show(_describe(script)).replace("%", "%%")
        ),  # argparse fills it in
        "load_arguments": ", ".join(load_arguments(script)),
        "model_lines": emit_model(script),
        "optimizer_lines": [*emit_optimizers(script), *emit_plateaus(script)],
        "training_lines": [f"training = Training(model, {optimizer}{scaler}{plateaus}, settings)"],
        "unreadable": ", ".join(script.train.data.source.unreadable),
        "unmeasured": write_string(f"{show(script.monitor.name)} was not a number in any epoch"),
        "final_splits": write_literal(measured),
    }
