"""What a training script needs to share a training among the processes of torchrun."""

from __future__ import annotations

from collections.abc import Iterator

from backends.pytorch.train.code import Function, Statement, suite
from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.updating import list_manners

LOADED_EARLY = "import torch.distributed.nn  # loaded later, it would keep the process group alive"
"""PyTorch loads it in a first step otherwise, and the defaults of its functions are the group that
exists then: threads of Gloo would outlive Python's end, which can abort the process."""

CONSTANTS = (
    'RANK = int(os.environ.get("RANK", "0"))  # torchrun sets these',
    'WORLD = int(os.environ.get("WORLD_SIZE", "1"))',
)

ENDING: tuple[Statement, ...] = (
    suite("try:", ["main()"]),
    suite(
        "finally:",
        [
            suite(
                "if dist.is_initialized():",
                [
                    "gc.collect()  # what holds the group would let its threads outlive it",
                    "dist.destroy_process_group()",
                ],
            )
        ],
    ),
)
"""What runs `main` and parts from the other processes, however it ends."""


def write_sharing(script: ScriptSpec) -> Iterator[Function]:
    """The functions that add up over processes; none where there is one process."""
    if script.averages:
        yield _write_average(script)
    if script.distributed:
        yield Function(
            "all_sum",
            ("tensor: Tensor",),
            "Tensor",
            (suite("if WORLD > 1:", ["dist.all_reduce(tensor)"]), "return tensor"),
            ("The tensor, added up over all processes, in place.",),
        )
        if _gathers(script):
            yield _write_rows()


def _gathers(script: ScriptSpec) -> bool:
    """Whether updates of buffers need the rows of all processes."""
    return any("rows" in list_manners(script, made) for made in script.updates)


def _write_rows() -> Function:
    return Function(
        "all_rows",
        ("tensor: Tensor",),
        "Tensor",
        (
            suite("if WORLD == 1:", ["return tensor"]),
            "parts = [torch.empty_like(tensor) for _ in range(WORLD)]",
            "dist.all_gather(parts, tensor.contiguous())",
            "return torch.stack(parts, 1).flatten(0, 1)  # in the order of the batch",
        ),
        ("The rows of the batch, of which each process has some.",),
    )


def _write_average(script: ScriptSpec) -> Function:
    return Function(
        "average_gradients",
        ("parameters: Iterable[nn.Parameter]",),
        "None",
        (
            "gradients = [p.grad for p in parameters if p.grad is not None]",
            "flat = torch.cat([gradient.flatten() for gradient in gradients])",
            "sizes = [gradient.numel() for gradient in gradients]",
            "means = all_sum(flat).div_(WORLD).split(sizes)",
            suite(
                "for gradient, mean in zip(gradients, means, strict=True):",
                ["gradient.copy_(mean.view_as(gradient))"],
            ),
        ),
        ("Gives every process the mean of the gradients of all.",),
    )
