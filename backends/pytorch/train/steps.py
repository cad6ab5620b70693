"""An epoch of a training script whose steps take turns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from backends.pytorch.train.averaging import follow_nets
from backends.pytorch.train.batches import (
    CHOSEN,
    PART,
    choose_columns,
    count_split,
    name_rows,
    shares_rows,
    spell_parts,
    spell_rows,
    take_split,
    unpack_batch,
)
from backends.pytorch.train.code import Function, Statement, suite, when, write_statements
from backends.pytorch.train.computed import StepSpec
from backends.pytorch.train.draws import COUNT
from backends.pytorch.train.epoch import (
    augment_batch,
    begin_epoch,
    count_batch,
    describe_epoch,
    name_results,
    number_steps,
    show_progress,
    unpack_parts,
    wrap_doc,
)
from backends.pytorch.train.functions import call_computed
from backends.pytorch.train.keeping import begin_losses, begin_step, end_step, take_kept
from backends.pytorch.train.optimizing import list_optimizers
from backends.pytorch.train.rates import compute_numbers, emit_rate_updates
from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.updating import (
    begin_parts,
    call_updates,
    collect_part,
    join_parts,
    weigh_part,
)
from compiler.writing.python import write_string


def write_step_epoch(script: ScriptSpec) -> Iterator[Function]:
    """`train_epoch`, what it calls to take a step, and to read the losses of one."""
    if script.divides:
        yield _write_add_gradients(script)
    yield _write_update(script)
    drawn = ", as are draws," if script.draws_in_epochs or script.nets_draw else ""
    yield Function(
        "train_epoch",
        (
            "parts: Parts",
            take_split(script),
            "epoch: int",
            *take_kept(script),
        ),
        "dict[str, float]",
        tuple(_forget_device(script, list(_write_body(script)))),
        wrap_doc(
            f"{describe_epoch(script)} and returns the mean of each step's loss; the "
            f"order{drawn} follows from seed and epoch."
        ),
    )
    yield _write_read_mean(script)


def _write_update(script: ScriptSpec) -> Function:
    clip = script.train.clip
    clipped = [] if clip is None else [f"nn.utils.clip_grad_{clip.by}_(parameters, CLIP)"]
    taken = "scaler.step(optimizer)" if script.scales else "optimizer.step()"
    each = partial(_write_each, script)
    whole = not script.divides
    named = whole or script.averages or clip is not None
    doc = "Takes a step of an optimizer, for its own parameters alone; returns the loss."
    return Function(
        "update",
        (*when(whole, "loss: Tensor"), *_write_parameters(script)),
        "Tensor" if whole else "None",
        (
            *when(named, f"parameters = [{_list_parameters(script)}]"),
            *when(whole, each("optimizer.zero_grad()"), _write_backward(script)),
            *when(script.averages, suite("if WORLD > 1:", ["average_gradients(parameters)"])),
            *when(clip is not None and script.scales, each("scaler.unscale_(optimizer)")),
            *clipped,
            each(taken),
            *when(script.scales, "scaler.update()"),
            *when(whole, DETACHED),
            *when(not whole, each("optimizer.zero_grad()")),
        ),
        (doc if whole else "Takes a step of an optimizer with the gradients of all parts.",),
    )


DETACHED = "return loss.detach()  # not read here: reading makes a GPU wait"


def _write_add_gradients(script: ScriptSpec) -> Function:
    return Function(
        "add_gradients",
        ("loss: Tensor", *_write_parameters(script)),
        "Tensor",
        (f"parameters = [{_list_parameters(script)}]", _write_backward(script), DETACHED),
        ("Adds the gradients of a part of a batch, of an optimizer's own parameters alone.",),
    )


def _write_backward(script: ScriptSpec) -> str:
    scaled = "scaler.scale(loss)" if script.scales else "loss"
    return f"{scaled}.backward(inputs=parameters)"


def _write_parameters(script: ScriptSpec) -> tuple[str, ...]:
    """What functions of a step take: the scaler, and the optimizers."""
    several = "*optimizers: torch.optim.Optimizer"
    return (
        *when(script.scales, "scaler: torch.amp.GradScaler"),
        several if _takes_several(script) else several.replace("*optimizers", "optimizer"),
    )


def _list_parameters(script: ScriptSpec) -> str:
    """The parameters of the optimizers of a step."""
    parameters = 'p for group in optimizer.param_groups for p in group["params"]'
    if _takes_several(script):
        parameters = 'p for o in optimizers for group in o.param_groups for p in group["params"]'
    if script.train.freeze or script.train.thaws:
        parameters += " if p.requires_grad"
    return parameters


def _takes_several(script: ScriptSpec) -> bool:
    """Whether a step has more than one optimizer."""
    return len(script.optimizers) > len(script.steps)


def _write_each(script: ScriptSpec, statement: str) -> Statement:
    """A statement about each optimizer of a step."""
    if _takes_several(script):
        return suite("for optimizer in optimizers:", [statement])
    return statement


def _write_body(script: ScriptSpec) -> Iterator[Statement]:
    yield unpack_parts(script, "model", *list_optimizers(script), *when(script.scales, "scaler"))
    yield from begin_epoch(script)
    empty = ", ".join(f"{write_string(step.step.name)}: {{}}" for step in script.steps)
    yield f"losses: dict[str, dict[int, Tensor]] = {{{empty}}}"
    yield from begin_losses(script, counted=True)
    if script.distributed:
        yield "hidden = RANK > 0 or not sys.stderr or None"
    yield show_progress(script, "taken")
    numbered = number_steps(script, "1 + (epoch - 1) * steps")
    yield suite(f"for step, {spell_rows(script)} in {numbered}:", list(_write_steps(script)))
    read = "read_mean(name, values)"
    yield f'return {{f"{{name}}.loss": {read} for name, values in losses.items() if values}}'


def _forget_device(script: ScriptSpec, body: list[Statement]) -> list[Statement]:
    """The statements without the variable of the device where rows come to it by themselves, and
    nothing else asks for it."""
    named = ", device = "
    rest = [s for s in body if not (isinstance(s, str) and named in s)]
    if not script.streams or re.search(r"\bdevice\b", "\n".join(write_statements(rest))):
        return body
    return [s if s in rest else f"rows = {count_split(script)}" for s in body]


def _write_steps(script: ScriptSpec) -> Iterator[Statement]:
    """Statements from the rows of a batch through all steps."""
    yield from begin_step(script)
    yield from compute_numbers(script)
    if not script.divides:
        yield from _write_rows(script, CHOSEN)
    for step in script.steps:
        taken = list(_write_step(script, step))
        every = step.step.every
        yield from [suite(f"if step % {every} == 0:", taken)] if every > 1 else taken
    yield from call_updates(script, "")
    yield from end_step(script, counted=True)


def _write_rows(script: ScriptSpec, chosen: str) -> Iterator[Statement]:
    """Statements that name the columns of a batch, or a part of it."""
    if script.distributed and script.draws_itself:
        counted = count_batch(script)
        if script.streams and chosen != CHOSEN:
            counted = f"len({chosen}){' * WORLD' * shares_rows(script)}"
        yield f"{COUNT} = {counted if script.streams else f'len({chosen})'}"
    yield from unpack_batch(script, choose_columns(script, chosen))
    yield from augment_batch(script)


def _write_step(script: ScriptSpec, step: StepSpec) -> Iterator[Statement]:
    name = step.step.name
    computed: Statement = f"{name_results(script, step)} = {call_computed(script, step)}"
    if script.autocast:
        computed = suite(f"with torch.autocast(device.type, {script.autocast}):", [computed])
    optimizers = [o.name for o in script.optimizers if o.step == name]
    given = ", ".join([*when(script.scales, "scaler"), *optimizers])
    noted = f"losses[{write_string(name)}][step]"
    if script.divides:
        yield f"{noted} = torch.zeros((), device=device)"
        added = f"{noted} += add_gradients(loss * {weigh_part(script)}, {given})"
        yield from begin_parts(script, name)
        part = [*_write_rows(script, PART), computed, added, *collect_part(script, name)]
        yield suite(f"for {', '.join(name_rows(script, PART))} in {spell_parts(script)}:", part)
        yield from emit_rate_updates(script, name)
        yield f"update({given})"
    else:
        yield computed
        yield from emit_rate_updates(script, name)
        yield f"{noted} = update(loss, {given})"
    yield from follow_nets(script, step.step)
    yield from join_parts(script, name)
    yield from call_updates(script, name)


def _write_read_mean(script: ScriptSpec) -> Function:
    values = "torch.stack(list(losses.values()))"
    if script.distributed:
        values = f"all_sum({values}) / WORLD"
    return Function(
        "read_mean",
        ("name: str", "losses: dict[int, Tensor]"),
        "float",
        (
            f"values = {values}",
            suite(
                "if not values.isfinite().all():",
                [
                    "index = int(values.isfinite().int().argmin())",
                    "step = list(losses)[index]",
                    'sys.exit(f"the loss of {name} is {values[index]:g} at step {step}")',
                ],
            ),
            "return values.mean().item()",
        ),
        ("The mean of the losses of a step; ends the training where one is not finite.",),
    )
