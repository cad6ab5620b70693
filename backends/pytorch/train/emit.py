"""Writes the training script of a train: the template, filled with what the spec asks for."""

from __future__ import annotations

from backends.pytorch.train import template
from backends.pytorch.train.facts import Facts
from backends.pytorch.train.filling import Slots, fill
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
    emit_optimizers,
    emit_rates,
    emit_schedules,
    emit_split_parameters,
    emit_step,
)
from backends.pytorch.train.ranges import (
    computes_places,
    emit_range_function,
)
from backends.pytorch.train.regularizing import (
    emit_shrink_calls,
    emit_shrinking,
    emit_strengths,
)
from backends.pytorch.train.settings import RESULTS, emit_settings
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


def emit_script(facts: Facts) -> str:
    """The text of `train.py`: it stands alone beside `model.py`."""
    train = facts.train
    blocks = [
        fill(template.CONSTANTS, _constant_slots(facts), facts.switches),
        fill(template.LOAD_COLUMNS, _data_slots(facts)),
        emit_column_function(facts),
        break_lines(emit_split(facts)),
        emit_range_function(facts),
        fill(template.LOAD_SPLITS, _data_slots(facts)),
        emit_objective(facts),
        *emit_definitions(facts),
        *map(break_lines, emit_schedules(facts)),
        break_lines(emit_split_parameters(facts)),
        *map(break_lines, emit_shrinking(facts)),
        fill(template.TRAIN_EPOCH, _epoch_slots(facts), facts.switches),
        _emit_average(facts),
        *(text.splitlines() for text in facts.functions.values()),
        fill(template.EVALUATE, _evaluation_slots(facts), facts.switches),
        fill(template.CHECKPOINTS, {}, facts.switches),
        fill(template.TRAIN, _train_slots(facts), facts.switches),
        fill(template.MAIN, _main_slots(facts), _main_switches(facts)),
    ]
    body = "\n\n\n".join("\n".join(block) for block in blocks if block)
    models = ", ".join(sort_names(set(find_classes(facts))))
    imports = write_imports(body, [LOADED_EARLY, *train.data.source.imports()])
    imports.remove("import sys")
    head = [*_docstring(facts), "", *FIRST, "", *imports, "", f"from model import {models}", ""]
    return "\n".join(head) + "\n" + body + "\n"


def _docstring(facts: Facts) -> Lines:
    train = facts.train
    about = train.doc if train.doc.split() else _describe(facts)
    usage = [
        ("python train.py", "a line per epoch, results in ./run"),
        ("python train.py --resume", "goes on after the last finished epoch"),
        ("torchrun --nproc-per-node 2 train.py", "shares every batch among processes"),
    ]
    if reads_folder(facts):
        usage.insert(1, ("python train.py --data DIR", "where paths of data start from"))
    return write_long_docstring(about, [f"{command:39}{what}" for command, what in usage])


def _names(facts: Facts) -> str:
    return " and ".join(dict.fromkeys(net.net.model for net in facts.train.nets))


def _describe(facts: Facts) -> str:
    return f"Trains {_names(facts)} on the data {facts.train.data.name}."


def _model_type(facts: Facts) -> str:
    return "nn.Module" if facts.single else "nn.ModuleDict"


def _constant_slots(facts: Facts) -> Slots:
    train, monitor = facts.train, facts.monitor
    return {
        **{word: write_literal(value) for word, value in facts.settings.items()},
        "clip": _bound(train.clip),
        "rate_constants": [*emit_rates(facts), *break_lines(emit_strengths(facts))],
        "patience": str(train.until.epochs if train.until else 0),
        "monitor": show(monitor.name),
        "model_type": _model_type(facts),
        "settings_lines": emit_settings(facts),
        "results": write_literal(RESULTS),
    }


def _bound(clip: Clip | None) -> str:
    """The bound of gradients, and what it bounds."""
    if clip is None:
        return ""
    bounded = {"norm": "norm of all gradients together", "value": "of every entry of a gradient"}
    return f"{write_literal(clip.limit)}  # {bounded[clip.by]}"


def _data_slots(facts: Facts) -> Slots:
    folder = reads_folder(facts)
    columns = [f"`{quote_docstring(name)}`" for name in facts.columns]
    return {
        "folder_parameter": "folder: Path" if folder else "",
        "load_lines": emit_loading(facts),
        "load_parameters": ", ".join(load_arguments(facts).values()),
        "column_names": " and ".join(filter(None, [", ".join(columns[:-1]), columns[-1]])),
        "columns_lines": emit_columns(facts),
    }


def _epoch_slots(facts: Facts) -> Slots:
    train = facts.train
    drawn = (
        "The order and random draws follow" if "random" in facts.switches else "The order follows"
    )
    frozen = [
        f"model[{write_string(net.name)}].eval()"
        for net in train.nets
        if net.prefix and facts.is_frozen(net)
    ]
    extra = len(facts.step.outputs) - 1
    replica = f", replica: {_model_type(facts)}" if facts.replicated else ""
    return {
        "epoch_parameters": f"training: Training{replica}",
        "drawn_lines": [
            f"{drawn} from the seed and the epoch, so that a resumed",
            "training repeats them. Rows that fill no batch wait for another epoch.",
        ],
        "frozen_lines": frozen,
        "autocast": _autocast(facts),
        "loss": ("loss", "loss, _")[extra] if extra < 2 else "loss, *_",
        "net": "replica" if facts.replicated else model_argument(facts),
        "step_lines": [*emit_step(facts), *emit_shrink_calls(facts)],
    }


def _emit_average(facts: Facts) -> Lines:
    """The function that shares gradients among processes where no replica does."""
    if facts.replicated:
        return []
    return fill(template.AVERAGE_GRADIENTS, {"model_type": _model_type(facts)})


def _autocast(facts: Facts) -> str:
    return {"bf16": "torch.bfloat16", "f16": "torch.float16"}.get(facts.train.precision, "")


def _evaluation_slots(facts: Facts) -> Slots:
    measured = measure(facts)
    return {
        "model_type": _model_type(facts),
        "evaluated": "Loss and metrics" if facts.train.metrics else "The loss",
        "size_lines": emit_sizes(facts),
        "sum_lines": list(start_sums(measured)),
        "autocast": _autocast(facts),
        "outputs": emit_outputs(facts),
        "model": model_argument(facts),
        "addition_lines": emit_additions(facts),
        "figure_lines": emit_figures(facts),
    }


def _train_slots(facts: Facts) -> Slots:
    unfinished = "training.epoch < EPOCHS"
    if facts.train.until is not None:
        unfinished += " and training.epoch - training.best_epoch < PATIENCE"
    evaluation = [
        line
        for split in facts.evaluated
        for line in (
            f"for name, value in evaluate(model, splits[{write_string(split)}]).items():",
            f'    record[f"{write_formatted(split)}.{{name}}"] = value',
        )
    ]
    averaged = [
        "for buffer in model.buffers():  # running statistics: each process has its own",
        "    if buffer.is_floating_point():",
        "        all_sum(buffer).div_(WORLD)",
    ]
    many = "groups" in facts.switches
    names = (*facts.splits, *(metric.name for metric in facts.train.metrics))
    plain = all(name.isprintable() for name in names)
    return {
        "shown_name": "name" if plain else "name!r",  # a terminal would obey what they hold
        "replica_lines": emit_replica(facts),
        "unfinished": unfinished,
        "buffer_lines": averaged if facts.has_buffers else [],
        "evaluation_lines": evaluation,
        "first_optimizer": "training.optimizers[0]" if many else "training.optimizer",
        "score": _score(facts),
    }


def _score(facts: Facts) -> str:
    """A tuple that is greater for better weights: of equal metrics the lower loss wins."""
    monitor = facts.monitor
    if facts.keeps_last:
        return "(training.epoch,)"
    loss = f"-record[{write_string(f'{monitor.split}.loss')}]"
    if monitor.metric == "loss":
        return f"({loss},)"
    sign = "" if monitor.higher else "-"
    return f"({sign}record[{write_string(monitor.name)}], {loss})"


def _main_switches(facts: Facts) -> frozenset[str]:
    asked = {"folder": reads_folder(facts), "places": computes_places(facts)}
    return facts.switches | {name for name, on in asked.items() if on}


def _main_slots(facts: Facts) -> Slots:
    optimizer = "optimizers" if "groups" in facts.switches else "optimizer"
    scaler = ", torch.amp.GradScaler(device.type)" if "scaler" in facts.switches else ""
    measured = tuple(name for name in facts.splits if name != "train") or ("train",)
    return {
        "description": write_string(
            show(_describe(facts)).replace("%", "%%")
        ),  # argparse fills it in
        "load_arguments": ", ".join(load_arguments(facts)),
        "model_lines": emit_model(facts),
        "optimizer_lines": emit_optimizers(facts),
        "training_lines": [f"training = Training(model, {optimizer}{scaler}, settings)"],
        "unreadable": ", ".join(facts.train.data.source.unreadable),
        "unmeasured": write_string(f"{show(facts.monitor.name)} was not a number in any epoch"),
        "final_splits": write_literal(measured),
    }
