"""Runs a training script on, and writes the first layer whose results are not finite.

A script of its own, which needs PyTorch and nothing of Weft: `python -P watched.py FOLDER --out
OUT [--resume]` runs one epoch of `FOLDER/train.py` from where OUT stands. A hook on all modules
looks at every result, which a training has no time for.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

SHOWN = 8
"""Rows of a batch that are named."""


class NotFiniteError(Exception):
    """A module gave a result that is not finite."""

    def __init__(self, module: nn.Module, given: Any, result: Tensor) -> None:
        super().__init__()
        self.module, self.given, self.result = module, given, result


class FinishedError(Exception):
    """The epoch came to its end."""


def main() -> None:
    """Writes a line about the layer, or nothing where all results of the epoch are finite."""
    folder = Path(sys.argv.pop(1))
    load_file("model", folder / "model.py")
    script = load_file("train", folder / "train.py")
    run = script.train_epoch

    def run_one(*given: Any) -> NoReturn:
        run(*given)
        raise FinishedError

    script.train_epoch = run_one  # type: ignore[attr-defined]
    script.save = lambda *_, **__: None  # type: ignore[attr-defined]
    torch.compiler.set_stance("force_eager")  # a compiled net calls no hooks
    nn.modules.module.register_module_forward_hook(check)
    try:
        script.main()
    except NotFiniteError as found:
        sys.stdout.write(describe(found) + "\n")
    except (FinishedError, SystemExit):
        pass


def load_file(name: str, path: Path) -> ModuleType:
    """A file as a module of that name, wherever it lies."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(module: nn.Module, given: Any, result: Any) -> None:
    """A hook of every module.

    Raises:
        NotFiniteError: a tensor of its result is not finite.
    """
    for tensor in list_tensors(result):
        if not tensor.isfinite().all():
            raise NotFiniteError(module, given, tensor)


def list_tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in what a module takes or gives."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from list_tensors(item)


def describe(found: NotFiniteError) -> str:
    """`middle is the first layer whose results are not finite, in training rows [3, 17]`, and what
    stands behind it."""
    here = find_locals(found.__traceback__)
    names = {module: name for name, module in here["model"].named_modules()}
    text = f"{names.get(found.module) or 'the net'} is the first layer whose results are not finite"
    chosen, result = here["chosen"], found.result
    if "RANK" not in here and any(name.endswith("_chosen") for name in here):
        chosen, rows = torch.arange(len(chosen)), "rows of the batch"  # each data set has its own
    else:
        rows = "training rows"
    if result.shape[:1] == chosen.shape:
        chosen = chosen[~result.isfinite().reshape(len(chosen), -1).all(1).to(chosen.device)]
    text += f", in {rows} {chosen[:SHOWN].tolist()}"
    if not all(tensor.isfinite().all() for tensor in list_tensors(found.given)):
        text += ", nor is what it is given"
    if not all(weight.isfinite().all() for weight in found.module.parameters()):
        text += ", nor are its weights"
    return text


def find_locals(trace: TracebackType | None) -> dict[str, Any]:
    """The variables of the step in which an error was raised."""
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "train_epoch":
            return trace.tb_frame.f_locals
        trace = trace.tb_next
    raise LookupError("no step was running")


if __name__ == "__main__":
    main()
