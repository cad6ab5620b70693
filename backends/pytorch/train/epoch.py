"""One epoch of a training script: batches, steps, their mean loss."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from backends.pytorch.train.averaging import follow_nets
from backends.pytorch.train.batches import (
    PART,
    choose_columns,
    count_split,
    divide_rows,
    gather_columns,
    name_rows,
    place_split,
    read_split,
    shares_rows,
    spell_parts,
    spell_rows,
    take_split,
    unpack_batch,
    unpack_columns,
)
from backends.pytorch.train.code import Function, Statement, suite, when
from backends.pytorch.train.computed import StepSpec
from backends.pytorch.train.draws import COUNT
from backends.pytorch.train.functions import call_computed, inline_objective
from backends.pytorch.train.inlining import Inlined
from backends.pytorch.train.keeping import (
    begin_losses,
    begin_step,
    end_step,
    seed_epoch,
    take_kept,
)
from backends.pytorch.train.matching import spell_match
from backends.pytorch.train.optimizing import (
    emit_backward,
    emit_gradients,
    emit_step,
    list_optimizers,
)
from backends.pytorch.train.rates import compute_numbers
from backends.pytorch.train.regularizing import emit_shrink_calls
from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.updating import (
    begin_parts,
    call_updates,
    collect_part,
    join_parts,
    weigh_part,
)
from compiler.writing.python import WIDTH, write_string


def write_epoch(script: ScriptSpec) -> Function:
    """`train_epoch`, which trains on the rows with the only objective."""
    drawn = ", as are draws," if script.draws_in_epochs or script.nets_draw else ""
    return Function(
        "train_epoch",
        (
            "parts: Parts",
            *when(script.replicated, "replica: nn.Module"),
            take_split(script),
            "epoch: int",
            *take_kept(script),
        ),
        "float",
        tuple(_write_body(script)),
        wrap_doc(f"{describe_epoch(script)}; the order{drawn} follows from seed and epoch."),
    )


LONGEST = 90
"""Characters of a docstring of one line."""


def wrap_doc(text: str) -> tuple[str, ...]:
    """The lines of the docstring of a function; the quotes stand before the first."""
    if len(text) <= LONGEST:
        return (text,)
    return tuple(line.strip() for line in textwrap.wrap(f"   {text}", WIDTH - 4))


def describe_epoch(script: ScriptSpec) -> str:
    """What an epoch is."""
    if script.train.epoch_steps is not None:
        return "Trains on EPOCH_STEPS full batches"
    if script.data.members:
        return "Trains on full batches of all rows of the first data set, and as many of each other"
    return "Trains on full batches of all rows"


def begin_epoch(script: ScriptSpec) -> list[Statement]:
    """Statements that put nets into their modes, and divide the rows among batches."""
    model = "replica" if script.replicated else "model"
    frozen = [
        f"model[{write_string(net.name)}].eval()"
        for net in script.train.nets
        if net.prefix and script.is_frozen(net)
    ]
    rank = " + RANK" if script.distributed else ""
    return [
        f"{model}.train()",
        *frozen,
        *_write_thaws(script),
        f"rows, device = {count_split(script)}, {place_split(script)}",
        *seed_epoch(script, rank),
        *divide_rows(script),
    ]


def _write_thaws(script: ScriptSpec) -> list[Statement]:
    """Statements that freeze parameters in the first epochs; nets that are frozen whole run in
    evaluation mode there."""
    thaws = script.train.thaws
    if not thaws:
        return []
    paths = [path for net in script.train.nets for path in script.paths(net)]
    choices = [
        suite(
            f"{'elif' if place else 'if'} {spell_match(thaw.patterns, paths)}:",
            [f"parameter.requires_grad = epoch > {thaw.epochs}"],
        )
        for place, thaw in enumerate(thaws)
    ]
    resting = [
        suite(f"if epoch <= {until}:", [f"model[{write_string(net.name)}].eval()"])
        for net in script.train.nets
        if net.prefix and (until := script.find_rest(net))
    ]
    return [suite("for name, parameter in model.named_parameters():", choices), *resting]


def _write_body(script: ScriptSpec) -> list[Statement]:
    # None is: where there is no terminal; a process without an error output has none to write to
    mean = "losses = all_sum(losses) / WORLD"
    return [
        unpack_parts(script, "model", *list_optimizers(script), *when(script.scales, "scaler")),
        *begin_epoch(script),
        "losses = torch.zeros(steps, device=device)",
        *begin_losses(script, counted=False),
        *when(script.distributed, "hidden = RANK > 0 or not sys.stderr or None"),
        show_progress(script, "first"),
        suite(
            f"for step, {spell_rows(script)} in {number_steps(script, '')}:",
            [
                *begin_step(script),
                *_write_step(script),
                *end_step(script, counted=False),
            ],
        ),
        *when(script.distributed, mean),
        suite(
            "if not losses.isfinite().all():",
            [
                "step = int(losses.isfinite().logical_not().nonzero()[0])",
                'sys.exit(f"the loss is {losses[step]:g} at epoch {epoch}, step {step + 1}")',
            ],
        ),
        "return losses.mean().item()",
    ]


def count_batch(script: ScriptSpec) -> str:
    """How many rows the batch of a step has, of all processes together."""
    if not script.streams:
        return "len(chosen)"
    return "len(columns[0])" if not shares_rows(script) else "min(rows, BATCH)"


def show_progress(script: ScriptSpec, taken: str) -> str:
    """The statement that makes a bar of the batches, or of those that are not `taken` yet where
    they are read."""
    hidden = "hidden" if script.distributed else "not sys.stderr or None"
    batches, shown = "batches", ""
    if script.streams:
        kept = script.train.checkpoint is not None
        rest = f"batches[{taken}:]" if kept else "batches"
        batches = read_split(script, rest, shared=shares_rows(script))
        shown = f" steps, initial={taken}," if kept else " steps,"
    return f'bar = tqdm({batches}, f"epoch {{epoch}}",{shown} leave=False, disable={hidden})'


def number_steps(script: ScriptSpec, first: str) -> str:
    """What a loop through the steps goes through: numbers from `first`, and batches."""
    if script.streams and script.train.checkpoint is not None:
        first = f"{first} + taken" if first else "first"
    return f"enumerate(bar, {first})" if first else "enumerate(bar)"


def unpack_parts(script: ScriptSpec, *names: str) -> str:
    """A statement that names the first of the parts of a training."""
    rest = len(script.parts) - len(names)
    ignored = [] if not rest else ["_"] if rest == 1 else ["*_"]
    line = f"{', '.join([*names, *ignored])} = parts.values()"
    return line if len(line) + 4 <= WIDTH else line.replace("parts.values()", "(parts.values())")


def _write_step(script: ScriptSpec) -> list[Statement]:
    if script.divides:
        return _write_divided_step(script)
    columns = choose_columns(script)
    loss = [] if script.evaluates else write_loss(script, columns)
    counted = script.distributed and script.draws_itself
    if script.evaluates:
        loss = [f"batch = {gather_columns(script, columns)}"]
    return [
        *compute_numbers(script),
        *when(counted, f"{COUNT} = {count_batch(script)}"),
        *loss,
        *when(not script.evaluates, "model.zero_grad()"),
        *when(not script.evaluates, *emit_gradients(script)),
        *emit_step(script),
        *emit_shrink_calls(script),
        *follow_nets(script, script.train.steps[0]),
        *call_updates(script, ""),
        "losses[step] = loss.detach()  # read once an epoch: reading makes a GPU wait",
    ]


def _write_divided_step(script: ScriptSpec) -> list[Statement]:
    """Statements of a step whose batch is taken in parts."""
    counted = script.distributed and script.draws_itself
    part = [
        *when(
            counted, f"{COUNT} = len(part){' * WORLD' * (script.streams and shares_rows(script))}"
        ),
        *write_loss(script, choose_columns(script, PART)),
        f"loss = loss * {weigh_part(script)}",
        emit_backward(script),
        "losses[step] += loss.detach()  # read once an epoch",
        *collect_part(script, ""),
    ]
    return [
        "model.zero_grad()",
        *compute_numbers(script),
        *begin_parts(script, ""),
        suite(f"for {', '.join(name_rows(script, PART))} in {spell_parts(script)}:", part),
        *emit_gradients(script)[1:],
        *emit_step(script),
        *emit_shrink_calls(script),
        *follow_nets(script, script.train.steps[0]),
        *join_parts(script, ""),
        *call_updates(script, ""),
    ]


def write_loss(script: ScriptSpec, columns: Sequence[str]) -> list[Statement]:
    """Statements from `columns` to the loss, of the batch's part of one column of each data set;
    from the columns of the batch where none is given."""
    model = "replica" if script.replicated else "model"
    inlined = inline_objective(script, ["loss"], model)
    if inlined is None:
        step = script.steps[0]
        batch = [*unpack_batch(script, columns), *augment_batch(script)] if columns else []
        loss: list[Statement] = [
            f"{name_results(script, step)} = {call_computed(script, step, model)}"
        ]
    else:
        batch = _unpack_read(script, inlined, columns) if columns else []
        (result,) = inlined.results
        loss = [*inlined.lines, *when(result != "loss", f"loss = {result}")]
    if script.autocast:
        loss = [suite(f"with torch.autocast(device.type, {script.autocast}):", loss)]
    penalty = when(script.penalties, "loss = loss + penalize(model)")
    return [*batch, *loss, *penalty]


def augment_batch(script: ScriptSpec, names: Sequence[str] = ()) -> list[Statement]:
    """Statements that change the columns of a batch at random; `names` are the variables of the
    columns where they have others than elsewhere, `_` those that nothing reads."""
    made = script.augmentation
    if made is None:
        return []
    given = dict(zip(script.columns, names, strict=True)) if names else script.argument_names
    outputs = ", ".join(given[output.name] for output in made.graph.outputs)
    inputs = [given[item.name] for item in made.graph.inputs]
    lines: list[Statement] = [f"{outputs} = {call_computed(script, made, inputs=inputs)}"]
    if script.distributed:
        read = [name for name in (given[column] for column in script.columns) if name != "_"]
        parts = ", ".join(f"{name}[RANK::WORLD]" for name in read)
        lines.append(f"{', '.join(read)} = {parts}")
    return lines


def _unpack_read(script: ScriptSpec, inlined: Inlined, columns: Sequence[str]) -> list[Statement]:
    """Statements that name, and change, the columns of a batch which an objective reads."""
    made = script.augmentation
    if made is None:
        return unpack_columns(script, inlined, columns)
    needed = {*(item.name for item in made.graph.inputs), *(o.name for o in made.graph.outputs)}
    names = dict(zip(script.columns, inlined.parameters[1:], strict=True))
    others = [names[name] for name in script.columns if name in needed]
    read = [name if inlined.reads(name) or name in others else "_" for name in names.values()]
    return [*unpack_columns(script, inlined, columns, *others), *augment_batch(script, read)]


def name_results(script: ScriptSpec, step: StepSpec) -> str:
    """What the results of the function of a step are assigned to while training."""
    handed = {script.handed[name].value.name: name for name in step.handed}
    names = [handed.get(output.value.name, "_") for output in step.graph.outputs[1:]]
    first = names.count("_")
    if first > 1 and set(names[:first]) == {"_"}:
        names = ["*_", *names[first:]]
    return ", ".join(("loss", *names))


def write_measure(script: ScriptSpec) -> list[Function]:
    """`measure`, which an optimizer calls that evaluates the loss several times a step."""
    if not script.evaluates:
        return []
    loss = write_loss(script, ())
    inlined = inline_objective(script, ["loss"])
    names = [script.argument_names[name] for name in script.columns]
    if inlined is not None:
        names = list(inlined.parameters[1:])
    batch = [f"{', '.join(names)} = batch" if len(names) > 1 else f"({names[0]},) = batch"]
    mean = "all_sum(loss.detach()) / WORLD" if script.distributed else "loss.detach()"
    return [
        Function(
            "measure",
            ("model: nn.Module", "batch: list[Tensor]"),
            "Tensor",
            (
                *when(script.autocast, "device = batch[0].device"),
                *batch,
                *loss,
                "model.zero_grad()",
                *emit_gradients(script),
                f"return {mean}",
            ),
            (
                "The loss of a batch, whose gradients the parameters have then. The optimizer",
                "asks for it several times a step.",
            ),
        )
    ]


def write_solving_epoch(script: ScriptSpec) -> Function:
    """`train_epoch` of an optimizer that solves for the weights over all rows."""
    lines = emit_step(script)
    return Function(
        "train_epoch",
        ("parts: Parts", "columns: list[Tensor]", "epoch: int"),
        "float",
        (
            unpack_parts(script, "model", *list_optimizers(script)),
            *when(script.data.members, "columns = repeat_rows(columns, len(columns[0]))"),
            *when(len(lines) > 1, "step, steps = 0, 1"),
            "model.double().eval()  # features are what they will be once the weights are used",
            "batch = [c.double() if c.is_floating_point() else c for c in columns]",
            *lines,
            "model.float()",
            suite(
                "if not loss.isfinite():", ['sys.exit(f"the loss is {loss:g} at epoch {epoch}")']
            ),
            "return loss.item()",
        ),
        ("Solves for the weights with the least loss over all rows, in double precision.",),
    )
