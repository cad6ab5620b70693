"""A script that looks for a learning rate: a training whose rate grows with every step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from backends.pytorch.train.code import Function, Statement, suite
from backends.pytorch.train.entry import set_precision, write_parts
from backends.pytorch.train.loading import load_parameters, reads_folder
from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.program.train import ParameterGroup, Train
from compiler.training.schedules import Exponential
from compiler.vocabulary.duration import Duration
from compiler.writing.python import write_string

FOUND = "rates.json"
"""The file with the rate and the loss of every step."""
SMOOTHING = 0.98
"""What a smoothed loss keeps of the one before, as in fastai."""
DIVERGED = 4.0
"""How many times the lowest smoothed loss ends the search."""


def ramp_train(train: Train, least: float, most: float, steps: int) -> Train:
    """The train with rates that grow exponentially from `least` to `most`, in so many epochs of one
    step each; several groups of parameters keep the ratio of their rates. What is frozen at first
    stays so, and nothing is measured."""
    first = train.groups[0].optimizer.lr
    ramp = Exponential((most / least) ** (1 / (steps - 1)), Duration(1, "steps"))

    def change(groups: tuple[ParameterGroup, ...]) -> tuple[ParameterGroup, ...]:
        return tuple(
            replace(
                g,
                optimizer=g.optimizer.change(lr=_scale(g, first, least), schedule=ramp),
            )
            for g in groups
        )

    late = tuple(pattern for thaw in train.thaws for pattern in thaw.patterns)
    return replace(
        train.change_groups(change),
        epoch_steps=1,
        epochs=steps,
        freeze=(*train.freeze, *late),
        thaws=(),
        metrics=(),
        samples=(),
        loggers=(),
        checkpoint=None,
        until=None,
        processes="one",
    )


def _scale(group: ParameterGroup, first: float, least: float) -> float:
    return group.optimizer.lr / first * least


def emit_finder(train: Train, starts: str) -> str:
    """The text of the script of a train that `ramp_train` has made; `starts` is the checksum of the
    weights that it starts from."""
    script = ScriptSpec(train, starts=starts)
    return emit_script(script, Function("main", (), "None", tuple(_write_main(script))))


def _write_main(script: ScriptSpec) -> Iterator[Statement]:
    about = write_string("Looks for a learning rate: it grows with every step.")
    yield f"parser = argparse.ArgumentParser(description={about})"
    if reads_folder(script):
        yield 'parser.add_argument("--data", type=Path, default=".", help="folder of the data")'
    yield 'parser.add_argument("--out", type=Path, default="run", help="folder for results")'
    yield 'parser.add_argument("--device", help="cuda where there is one, else cpu")'
    yield "options = parser.parse_args()"
    yield 'device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")'
    yield from set_precision(script)
    yield "out = options.out"
    yield "out.mkdir(parents=True, exist_ok=True)"
    yield f"splits = load_splits({', '.join(load_parameters(script))})"
    yield from write_parts(script)
    yield "found, mean, lowest = [], 0.0, math.inf"
    yield suite("while len(found) < EPOCHS:", list(_write_turn(script)))
    yield f'(out / "{FOUND}").write_text(json.dumps(found))'


def _write_turn(script: ScriptSpec) -> Iterator[Statement]:
    yield "step = len(found) + 1"
    trained = 'train_epoch(parts, splits["train"], step)'
    yield suite("try:", [f"loss = {trained}"])
    yield suite("except SystemExit:  # it is not finite any more", ["break"])
    yield f"mean = {SMOOTHING} * mean + {1 - SMOOTHING:.2g} * loss"
    yield f"smooth = mean / (1 - {SMOOTHING}**step)"
    yield "lowest = min(lowest, smooth)"
    rate = f'{script.optimizers[0].name}.param_groups[0]["lr"]'
    yield f'found.append({{"rate": {rate}, "loss": loss, "smooth": smooth}})'
    yield suite(f"if step > EPOCHS // 10 and smooth > {DIVERGED:g} * lowest:", ["break"])
