"""Samples of a training script: what nets make of the same draws and rows in every epoch."""

from __future__ import annotations

from collections.abc import Iterator

from backends.pytorch.train.batches import count_split, read_split, take_split
from backends.pytorch.train.code import Function, Statement, suite, when
from backends.pytorch.train.computed import FunctionSpec
from backends.pytorch.train.draws import DRAWS
from backends.pytorch.train.functions import call_computed
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.program.train import Sample
from compiler.writing.names import spell_name
from compiler.writing.python import write_formatted, write_literal

SAMPLE_SEED = "SEED + 750"
"""The seed of the draws of samples, apart from those of epochs and evaluations."""
SHOWN = 64
"""Rows of the data that a sample looks at."""
FOLDER = "samples"


def call_samples(script: ScriptSpec, epoch: str = "epoch") -> list[Statement]:
    """The statement that writes the samples, behind an epoch or where there is none."""
    split = "val" if "val" in script.splits else "train"
    given = f', splits["{split}"]' if _reads_columns(script) else ""
    return [f"save_samples(out, model{given}, {epoch})"] if script.samples else []


def forget_samples(script: ScriptSpec) -> list[Statement]:
    """The statement before a new training that removes those of an earlier one."""
    if not script.samples:
        return []
    return [f'shutil.rmtree(out / "{FOLDER}", ignore_errors=True)']


def _reads_columns(script: ScriptSpec) -> bool:
    return any(made.graph.inputs for made in script.samples)


def write_sampling(script: ScriptSpec) -> Iterator[Function]:
    """The functions that samples need; none where there is none."""
    if not script.samples:
        return
    columns = when(_reads_columns(script), take_split(script))
    yield Function(
        "save_samples",
        ("out: Path", "model: nn.Module", *columns, "epoch: int"),
        "None",
        tuple(_write_body(script)),
        ("Writes what the nets make of the same draws and rows in every epoch.",),
        ("@torch.no_grad()",),
    )
    if any(sample.low is not None for sample in script.train.samples):
        yield _write_grid()


def _write_body(script: ScriptSpec) -> Iterator[Statement]:
    yield "model.eval()"
    if any(script.draws.find_own(made.graph) for made in script.samples):
        yield "device = next(model.parameters()).device"
    if any(script.draws.find_inner(made.graph) for made in script.samples):
        yield f"torch.manual_seed({SAMPLE_SEED})"
    yield f'folder = out / "{FOLDER}"'
    yield "folder.mkdir(exist_ok=True)"
    read = {item.name for made in script.samples for item in made.graph.inputs}
    taken = f"[:{SHOWN}]"
    if script.streams and read:
        rows = f"torch.arange(min({SHOWN}, {count_split(script)}))"
        yield f"columns = next({read_split(script, f'[{rows}]', shared=False)})"
        taken = ""
    for place, name in enumerate(script.columns):
        if name in read:
            yield f"{script.argument_names[name]} = columns[{place}]{taken}"
    for sample, made in zip(script.train.samples, script.samples, strict=True):
        written = list(_write_sample(script, sample, made))
        if sample.every > 1:
            yield suite(f"if epoch % {sample.every} == 0:", written)
        else:
            yield from written


def _write_sample(script: ScriptSpec, sample: Sample, made: FunctionSpec) -> Iterator[Statement]:
    if script.draws.find_own(made.graph):
        yield f"{DRAWS} = torch.Generator(device).manual_seed({SAMPLE_SEED})"
    call = call_computed(script, made)
    named = write_formatted(spell_name(sample.name))
    path = f'folder / f"{named}-{{epoch:04}}'
    if sample.low is None or sample.high is None:
        yield f'np.save({path}.npy", {call}.cpu().numpy())'
        return
    if made.graph.outputs[0].value.type.rank == 3:
        call = f"{call}.unsqueeze(1)"
    limits = f"{write_literal(sample.low)}, {write_literal(sample.high)}"
    yield f'save_grid({path}.png", {call}, {limits})'


def _write_grid() -> Function:
    return Function(
        "save_grid",
        ("path: Path", "images: Tensor", "low: float", "high: float"),
        "None",
        (
            "# images: [count, channels, height, width] in low..high",
            "across = math.ceil(math.sqrt(len(images)))",
            "images = ((images.float() - low) / (high - low) * 255).clamp(0, 255)",
            "images = F.pad(images, (0, 0, 0, 0, 0, 0, 0, -len(images) % across))",
            "rows = images.round().byte().cpu().unflatten(0, (-1, across))",
            "grid = rows.permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2).squeeze(2)",
            'part = path.with_suffix(".part")',
            'Image.fromarray(grid.numpy()).save(part, "png")',
            "part.replace(path)",
        ),
        ("Writes images as one picture, in as many rows as columns.",),
    )
