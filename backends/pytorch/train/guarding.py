"""What a training script does about a loss that is no number: where it came from.

A step looks at nothing, for reading makes a GPU wait. Where the losses of an epoch are not finite,
the epoch runs again from the state that it began with, up to that step, which is watched.
"""

from __future__ import annotations

from collections.abc import Iterator

from backends.pytorch.train.batches import CHOSEN
from backends.pytorch.train.code import Function, Statement, suite, when
from backends.pytorch.train.models import emit_replica
from backends.pytorch.train.script_spec import ScriptSpec

SHOWN = 8
"""Rows of a batch that are named."""


def write_watch(script: ScriptSpec) -> Iterator[Function]:
    """`watch_layers`, which finds the layer that makes numbers that are none."""
    if not script.guards:
        return
    check = Function(
        "check",
        ("name: str", "module: nn.Module", "given: Any", "result: Any"),
        "None",
        (),
    )
    yield Function(
        "watch_layers",
        ("model: nn.Module", "rows: Tensor"),
        "None",
        (
            "",
            suite(
                f"def {check.name}({', '.join(check.parameters)}) -> None:",
                [
                    "results = result if isinstance(result, tuple | list) else [result]",
                    suite("for tensor in filter(torch.is_tensor, results):", _check_tensor(script)),
                ],
            ),
            "",
            suite(
                "for name, module in model.named_modules():",
                ['module.register_forward_hook(partial(check, name or "the net"))'],
            ),
        ),
        ("Ends the next step at the first layer whose results are not finite.",),
    )


def _check_tensor(script: ScriptSpec) -> list[Statement]:
    rows = "rows of the batch" if script.data.members else "training rows"
    by_row = "tensor.isfinite().reshape(len(rows), -1)"
    return [
        suite("if tensor.isfinite().all():", ["continue"]),
        "found = rows",
        suite("if tensor.shape[:1] == rows.shape:", [f"found = rows[~{by_row}.all(1)]"]),
        'text = f"{name} is the first layer whose results are not finite"',
        f'text += f", in {rows} {{found[:{SHOWN}].tolist()}}"',
        suite(
            "if not all(x.isfinite().all() for x in filter(torch.is_tensor, given)):",
            ['text += ", nor is what it is given"'],
        ),
        suite(
            "if not all(p.isfinite().all() for p in module.parameters()):",
            ['text += ", nor are its weights"'],
        ),
        "raise FloatingPointError(text)",
    ]


def write_find_fault(script: ScriptSpec) -> Iterator[Function]:
    """`find_fault`, which runs an epoch again up to the step whose loss is not finite."""
    if not script.guards:
        return
    replica = ", replica" if script.replicated else ""
    kept = script.train.checkpoint is not None
    eager = 'torch.compiler.set_stance("force_eager")  # a compiled net calls no hooks'
    yield Function(
        "find_fault",
        ("fault: FloatingPointError", "columns: list[Tensor]", "epoch: int", "last: Path"),
        "NoReturn",
        (
            "text, step = fault.args",
            "parts = make_parts(str(columns[0].device))",
            *when(kept, "begun: dict[str, Any] = {}"),
            suite(
                "if last.exists():",
                [f"{'_, begun = ' * kept}load(last, parts{', longer=True' * script.extends})"],
            ),
            *when(script.replicated, 'model = parts["model"]'),
            *emit_replica(script),
            *when(script.train.compiled, eager),
            suite(
                "try:",
                [f"train_epoch(parts{replica}, columns, epoch{', begun, None' * kept}, step)"],
            ),
            suite(
                "except FloatingPointError as found:",
                [suite("if len(found.args) == 1:  # of a layer", ['text += f": {found}"'])],
            ),
            "sys.exit(text)",
        ),
        (
            "Ends the process where a loss is not finite, and says where that begins: the epoch",
            "runs again up to that step, from the state that it began with.",
        ),
    )


def watch_step(script: ScriptSpec) -> list[Statement]:
    """Statements at the head of a step that watch it where that was asked for. Of several data sets
    rows are counted in the batch: each has numbers of its own."""
    if not script.guards:
        return []
    shared = script.distributed and script.augmentation is None
    rows = f"{CHOSEN}{'[RANK::WORLD]' * shared}"
    if script.data.members:
        rows = f"torch.arange(len({rows}), device=device)"
    return [suite("if step == watched:", [f"watch_layers(model, {rows})"])]


def take_watched(script: ScriptSpec) -> tuple[str, ...]:
    """The parameter of `train_epoch` that says which step is watched."""
    return when(script.guards, "watched: int | None = None")


def check_weights() -> Statement:
    """What keeps a state from being saved that has no numbers any more."""
    ending = 'sys.exit(f"{name} is not finite after epoch {epoch}")'
    return suite(
        "for name, value in model.named_parameters():",
        [suite("if not value.isfinite().all():", [ending])],
    )
