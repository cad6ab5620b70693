"""States that a training script keeps within an epoch: `checkpoint every=500steps`.

A state is what an epoch leaves, and the losses of the steps that were taken since. All draws of a
step follow from its number then, so that no state of a generator has to be kept.
"""

from __future__ import annotations

from collections.abc import Iterator

from backends.pytorch.train.code import Statement, suite, when
from backends.pytorch.train.draws import DRAWS, EPOCH_SEED
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.program.train import STEPS

STRIDE = "10**9"
"""What the seeds of one step lie apart from those of the next: more than those of epochs take."""


def emit_interval(script: ScriptSpec) -> Iterator[str]:
    """The constant that says how often."""
    found = script.train.checkpoint
    if found is not None:
        counted = "steps" if found.unit == STEPS else "seconds"
        yield f"CHECKPOINT = {found.every:g}  # {counted} between states that are kept"


def take_kept(script: ScriptSpec) -> tuple[str, ...]:
    """The parameters of `train_epoch` that say what was done of an epoch before it was interrupted,
    and what keeps a state."""
    if script.train.checkpoint is None:
        return ()
    return "begun: dict[str, Any]", "keep: Callable[[dict[str, Any]], None] | None"


def seed_epoch(script: ScriptSpec, rank: str) -> list[Statement]:
    """Statements that seed the draws of an epoch, where those of a step do not follow from it."""
    if script.train.checkpoint is not None:
        return [*when(script.draws_in_epochs, f"{DRAWS} = torch.Generator(device)")]
    return [
        *when(script.nets_draw, f"torch.manual_seed(SEED + 1000 * epoch{rank})"),
        *when(
            script.draws_in_epochs, f"{DRAWS} = torch.Generator(device).manual_seed({EPOCH_SEED})"
        ),
    ]


def begin_step(script: ScriptSpec) -> list[Statement]:
    """Statements at the head of a step: those that were taken are left out, draws are seeded."""
    if script.train.checkpoint is None:
        return []
    rank = " + RANK" if script.distributed else ""
    return [
        *when(
            not script.streams,
            suite("if step < first:", ["continue  # it was taken before the interruption"]),
        ),
        *when(
            script.nets_draw,
            f"torch.manual_seed(SEED + 1000 * epoch + {STRIDE} * (step + 1){rank})",
        ),
        *when(script.draws_in_epochs, f"{DRAWS}.manual_seed({EPOCH_SEED} + {STRIDE} * (step + 1))"),
    ]


def begin_losses(script: ScriptSpec, *, counted: bool) -> list[Statement]:
    """Statements before the steps that go on with the losses of an interrupted epoch; of steps that
    are `counted` over the whole training, the first is the one behind those of earlier epochs."""
    if script.train.checkpoint is None:
        return []
    if counted:
        moved = "{s: v.to(device) for s, v in found.items()}"
        taken = f'losses = {{name: {moved} for name, found in begun["losses"].items()}}'
        lines: list[Statement] = ['first = begun.get("step", 0)', suite("if first:", [taken])]
        left = "taken = max(0, first - 1 - (epoch - 1) * steps)  # before the interruption"
        lines += [left] if script.streams else []
    else:
        lines = [
            'first = begun.get("step", 0)',
            suite("if first:", ['losses[:first] = begun["losses"]']),
        ]
    timed = script.train.checkpoint.unit != STEPS
    return [*lines, *when(timed, "saved = time.monotonic()")]


def end_step(script: ScriptSpec, *, counted: bool) -> list[Statement]:
    """Statements behind a step that keep the state where it is time to."""
    found = script.train.checkpoint
    if found is None:
        return []
    timed = found.unit != STEPS
    number = "step" if counted else "((epoch - 1) * steps + step + 1)"
    test = "time.monotonic() - saved >= CHECKPOINT" if timed else f"{number} % CHECKPOINT == 0"
    kept = "losses" if counted else "losses[: step + 1].clone()"
    if script.distributed and counted:
        one = "{s: all_sum(v.clone()) / WORLD for s, v in found.items()}"
        kept = f"{{name: {one} for name, found in losses.items()}}"
    elif script.distributed:
        kept = "all_sum(losses[: step + 1].clone()) / WORLD"
    values = "*(v for found in kept.values() for v in found.values())" if counted else "kept"
    finite = f"all(t.isfinite().all() for t in ({values}, *model.parameters()))"
    test_kept = f"if {'RANK == 0 and ' * script.distributed}{finite}:"
    return [
        suite(
            f"if keep and {test}:",
            [
                f"kept = {kept}",
                suite(test_kept, ['keep({"step": step + 1, "losses": kept})']),
                *when(timed, "saved = time.monotonic()"),
            ],
        )
    ]
