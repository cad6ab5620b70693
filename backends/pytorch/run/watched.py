"""Runs a training script on, and writes the first layer whose results are not finite, or the first
expression of the objective.

A script of its own, which needs PyTorch and nothing of Weft: `python -P watched.py FOLDER --out
OUT [--resume]` runs one epoch of `FOLDER/train.py` from where OUT stands. A hook on all modules and
a mode of all functions look at every result, which a training has no time for.
"""

from __future__ import annotations

import importlib.util
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

SHOWN = 8
"""Rows of a batch that are named."""


class NotFiniteError(Exception):
    """A module gave a result that is not finite."""

    def __init__(self, module: nn.Module, given: Any, result: Tensor) -> None:
        super().__init__()
        self.module, self.given, self.result = module, given, result


class NotFiniteLossError(Exception):
    """A loss is not finite, of layers whose results are."""

    def __init__(self, line: int, result: Tensor) -> None:
        super().__init__()
        self.line, self.result = line, result


class FinishedError(Exception):
    """The epoch came to its end."""


def main() -> None:
    """Writes a line about the layer, or nothing where all results of the epoch are finite."""
    folder = Path(sys.argv.pop(1))
    load_file("model", folder / "model.py")
    script = load_file("train", folder / "train.py")
    run = script.train_epoch

    def run_one(*given: Any) -> NoReturn:
        with Watch(str(folder / "train.py")):
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
    except NotFiniteLossError as found:
        sys.stdout.write(describe_expression(found, str(folder / "train.py")) + "\n")
    except (FinishedError, SystemExit):
        pass


class Watch(TorchFunctionMode):
    """Follows numbers that are not finite from the line of a script, outside of its nets, that made
    them of finite ones to the loss that is differentiated. What a later line leaves out, as a
    softmax what was masked with an infinity, does not come there."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.found: dict[int, tuple[Tensor, int, Tensor]] = {}
        """What is not finite, by its id: itself, the line it comes from, what was made there."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is Tensor.backward:
            self.judge(args[0])
        result = function(*args, **(kwargs or {}))
        ended = [tensor for tensor in list_tensors(result) if not is_finite(tensor)]
        if ended:
            given = list(list_tensors((*args, *(kwargs or {}).values())))
            known = next((self.found[id(t)] for t in given if id(t) in self.found), None)
            line = known[1] if known else find_line(self.path)
            if line is not None:
                for tensor in ended:
                    self.found[id(tensor)] = tensor, line, known[2] if known else tensor
        return result

    def judge(self, loss: Tensor) -> None:
        """Looks at a loss.

        Raises:
            NotFiniteLossError: it is not finite, and a line is to blame.
        """
        _, line, made = self.found.get(id(loss), (loss, 0, loss))
        self.found.clear()
        if line and "scaler." not in linecache.getline(self.path, line):  # which leaves steps out
            raise NotFiniteLossError(line, made)


def is_finite(tensor: Tensor) -> bool:
    """Whether all numbers are; whole numbers are."""
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def find_line(path: str) -> int | None:
    """The line of a file that is running; None inside of a net."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != path:
        if frame.f_code.co_name == "_call_impl":  # of nn.Module
            return None
        frame = frame.f_back  # type: ignore[assignment]
    return frame.f_lineno if frame is not None else None


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
    text += f", in {describe_rows(here, found.result)}"
    if not all(tensor.isfinite().all() for tensor in list_tensors(found.given)):
        text += ", nor is what it is given"
    if not all(weight.isfinite().all() for weight in found.module.parameters()):
        text += ", nor are its weights"
    return text


def describe_expression(found: NotFiniteLossError, path: str) -> str:
    """`loss = x.log().mean()` with its line and rows."""
    here = find_locals(found.__traceback__)
    line = linecache.getline(path, found.line).partition("  #")[0].strip()
    text = f"`{line}` (line {found.line} of train.py) is the first expression"
    return f"{text} of the objective that is not finite, in {describe_rows(here, found.result)}"


def describe_rows(here: dict[str, Any], result: Tensor) -> str:
    """The rows of a batch in which a result is not finite, all where it is not one of rows."""
    chosen, rows = here["chosen"], "training rows"
    if "RANK" not in here and any(name.endswith("_chosen") for name in here):
        chosen, rows = torch.arange(len(chosen)), "rows of the batch"  # each data set has its own
    if result.shape[:1] == chosen.shape:
        chosen = chosen[~result.isfinite().reshape(len(chosen), -1).all(1).to(chosen.device)]
    more = f" and {len(chosen) - SHOWN} more" if len(chosen) > SHOWN else ""
    return f"{rows} {chosen[:SHOWN].tolist()}{more}"


def find_locals(trace: TracebackType | None) -> dict[str, Any]:
    """The variables of the step in which an error was raised."""
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "train_epoch":
            return trace.tb_frame.f_locals
        trace = trace.tb_next
    raise LookupError("no step was running")


if __name__ == "__main__":
    main()
