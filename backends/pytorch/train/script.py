"""Writes the training script of a train: what the spec asks for, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator

from backends.pytorch.terms.helpers import find_helpers
from backends.pytorch.train.averaging import emit_decays, write_averaging
from backends.pytorch.train.batches import write_batches, write_repeating
from backends.pytorch.train.checkpoints import write_checkpoints
from backends.pytorch.train.choosing import write_balancing
from backends.pytorch.train.code import Function, Statement, suite, write_function, write_statements
from backends.pytorch.train.entry import write_main
from backends.pytorch.train.epoch import (
    write_epoch,
    write_measure,
    write_solving_epoch,
)
from backends.pytorch.train.epochs import write_train
from backends.pytorch.train.fitting import write_fitting
from backends.pytorch.train.functions import (
    emit_column_functions,
    emit_condition_functions,
    emit_objective_function,
)
from backends.pytorch.train.judging import write_judging
from backends.pytorch.train.keeping import emit_interval
from backends.pytorch.train.loading import reads_folder, write_loaders
from backends.pytorch.train.measuring import write_evaluation
from backends.pytorch.train.models import find_classes
from backends.pytorch.train.optimizing import emit_definitions, write_split_parameters
from backends.pytorch.train.processes import CONSTANTS, ENDING, LOADED_EARLY, write_sharing
from backends.pytorch.train.ranges import write_range_functions
from backends.pytorch.train.rates import emit_rates, write_numbers, write_schedules
from backends.pytorch.train.regularizing import emit_shrinking, emit_strengths, write_penalty
from backends.pytorch.train.sampling import write_sampling
from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.settings import emit_settings
from backends.pytorch.train.steps import write_step_epoch
from backends.pytorch.train.streaming import WORKERS, write_reading, write_source
from backends.pytorch.train.tracking import emit_name
from backends.pytorch.train.updating import write_updates
from backends.pytorch.train.windows import write_window_functions
from compiler.program.train import Clip
from compiler.vocabulary.clauses import TRAIN, Positive, Whole, find_said
from compiler.writing.imports import sort_names, write_imports
from compiler.writing.python import show, write_literal, write_long_docstring

Lines = list[str]

FIRST = (
    "import sys",
    "",
    "sys.path.append(sys.path.pop(0))  # no file beside this one, json.py say, hides a module",
)
"""The first lines of code: `python train.py` would look for every module in the script's folder
first, where anyone may have put a file."""

ALWAYS = ("seed", "batch", "epochs")
"""Clauses with a number that every script has."""

TYPES = (
    "Parts = dict[str, Any]  # what a checkpoint holds the state of",
    "Splits = dict[str, list[Tensor]]  # the columns of the rows of each split",
    "History = list[dict[str, float]]  # what each finished epoch gave",
)


def emit_script(script: ScriptSpec, finder: Function | None = None) -> str:
    """The text of `train.py`: it stands alone beside `model.py`. With a `finder` in place of `main`
    that of a script which takes single steps, and evaluates and keeps nothing."""
    blocks = [list(write_statements(_write_constants(script, finds=finder is not None)))]
    blocks += [
        block if isinstance(block, list) else write_function(block)
        for block in _write_functions(script, finder)
        if block
    ]
    ending: tuple[Statement, ...] = ENDING if script.distributed else ("main()",)
    blocks.append(list(write_statements([suite('if __name__ == "__main__":', ending)])))
    text = "\n\n\n".join("\n".join(block) for block in blocks[1:])
    body = "\n\n\n".join(["\n".join(blocks[0]), *find_helpers(text), text])
    models = ", ".join(sort_names(set(find_classes(script))))
    early = [LOADED_EARLY] if script.distributed else []
    read = [line for line in script.data.source.imports() if _is_used(line, body)]
    imports = write_imports(body, [*early, *read])
    imports.remove("import sys")
    head = [
        *_docstring(script, finder),
        "",
        *FIRST,
        "",
        *imports,
        "",
        f"from model import {models}",
        "",
    ]
    return "\n".join(head) + "\n" + body + "\n"


def _is_used(line: str, body: str) -> bool:
    """Whether code names what an import brings: what a source reads some columns with may be of no
    use to others."""
    name = line.split()[-1]
    return re.search(rf"\b{re.escape(name)}\b", body) is not None


def _write_functions(script: ScriptSpec, finder: Function | None) -> Iterator[Function | Lines]:
    """The functions of the script in their order; those that come as text as their lines."""
    yield emit_condition_functions(script)
    yield emit_column_functions(script)
    yield from write_range_functions(script)
    yield from write_window_functions(script)
    yield from write_balancing(script)
    yield from write_source(script)
    yield from write_reading(script)
    yield from write_fitting(script)
    yield from write_loaders(script)
    yield from write_numbers(script)
    yield emit_objective_function(script)
    if finder is None or script.solves:
        yield from write_repeating(script)
    if script.train.learns:
        yield from _write_training(script)
    if finder is not None:
        yield from write_sharing(script)
        yield finder
        return
    yield from (text.splitlines() for text in script.functions.values())
    yield from write_evaluation(script)
    yield from write_sampling(script)
    if not script.train.learns:
        yield write_judging(script, _describe(script))
        return
    yield from write_sharing(script)
    yield from write_checkpoints(script)
    yield write_train(script)
    yield from write_main(script, _describe(script))


def _write_training(script: ScriptSpec) -> Iterator[Function | Lines]:
    """The functions of a step and an epoch, and what they call."""
    yield from emit_definitions(script)
    yield from write_schedules(script)
    yield from write_split_parameters(script)
    yield from write_penalty(script)
    yield from (list(write_statements(lines)) for lines in emit_shrinking(script))
    yield from write_measure(script)
    yield from write_averaging(script)
    yield from write_updates(script)
    yield from write_batches(script)
    if script.alternates:
        yield from write_step_epoch(script)
    else:
        yield write_solving_epoch(script) if script.solves else write_epoch(script)


def _docstring(script: ScriptSpec, finder: Function | None) -> Lines:
    train = script.train
    if finder is not None:
        said = "The learning rate grows with every step: where the loss falls, it is a good one."
        return write_long_docstring(said, ["python train.py   results in ./run/rates.json"])
    about = train.doc if train.doc.split() else _describe(script)
    usage = [("python train.py", "results in ./run")]
    if train.learns:
        usage = [
            ("python train.py", "a line per epoch, results in ./run"),
            ("python train.py --resume", "goes on after the last finished epoch"),
        ]
    if reads_folder(script):
        usage.insert(1, ("python train.py --data DIR", "where paths of data start from"))
    if script.distributed:
        usage.append(("torchrun --nproc-per-node 2 train.py", "shares every batch among processes"))
    width = max(len(command) for command, _ in usage) + 3
    return write_long_docstring(about, [f"{command:{width}}{what}" for command, what in usage])


def _describe(script: ScriptSpec) -> str:
    names = " and ".join(dict.fromkeys(net.net.model for net in script.train.nets))
    does = "Trains" if script.train.learns else "Evaluates"
    return f"{does} {names} on the data {script.data.name}."


def _write_constants(script: ScriptSpec, *, finds: bool) -> Iterator[Statement]:
    train = script.train
    rows = "rows a step" if train.learns else "rows at once"
    rows = "rows a step, of all processes together" if script.distributed else rows
    yield f"SEED = {train.seed}"
    yield f"BATCH = {train.batch}  # {rows}"
    if train.learns:
        yield f"EPOCHS = {train.epochs}"
    for word, value in find_said(TRAIN, train):
        if isinstance(word.setting, Whole | Positive) and word.word not in ALWAYS:
            yield f"{word.field.upper()} = {write_literal(value)}  # {word.doc}"
    yield from emit_rates(script) if train.learns else ()
    yield from emit_strengths(script)
    yield from emit_decays(script)
    if train.clip is not None:
        yield f"CLIP = {_bound(train.clip)}"
    if train.until is not None:
        better = f"epochs without a better {show(script.monitor.name)}"
        yield f"PATIENCE = {train.until.epochs}  # {better}"
    yield from emit_interval(script)
    yield from emit_name(script)
    if not finds:
        yield emit_settings(script)
    if script.charts:
        yield f"CHARTS = {write_literal(script.charts)}  # in results.json alone"
    yield ""
    if script.distributed:
        yield from (*CONSTANTS, "")
    if script.streams:
        yield from (WORKERS, "")
    types = (text for text in TYPES if train.learns or text.startswith("Splits"))
    for text in types:
        if text.startswith("Splits") and script.streams:
            yield 'Splits = dict[str, "Rows"]  # the rows of each split'
        elif not (finds and text.startswith("History")):
            yield text


def _bound(clip: Clip) -> str:
    """The bound of gradients, and what it bounds."""
    bounded = {"norm": "norm of all gradients together", "value": "of every entry of a gradient"}
    return f"{write_literal(clip.limit)}  # {bounded[clip.by]}"
