"""The script of a train that trains nothing: what its nets reach, and their weights in one file."""

from __future__ import annotations

from collections.abc import Iterator

from backends.pytorch.train.code import Function, Statement, suite
from backends.pytorch.train.loading import load_parameters, note_data, reads_folder
from backends.pytorch.train.models import emit_model
from backends.pytorch.train.sampling import call_samples, forget_samples
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.writing.python import show, write_literal, write_string

SAVED = (
    "crc = zlib.crc32(json.dumps(SETTINGS).encode())",
    suite(
        "for value in weights.values():",
        ["crc = zlib.crc32(value.cpu().flatten().view(torch.uint8).numpy(), crc)"],
    ),
    'note = json.dumps({"settings": SETTINGS, "checksum": crc})',
    'save_file(weights, part, {"training": note})',
    'part.replace(out / "best.safetensors")',
)
"""Statements that write `weights` with their note, whole or not at all."""


def write_judging(script: ScriptSpec, description: str) -> Function:
    """`main`, which evaluates nets as they are; `description` is what it says of itself."""
    statements = (
        *_write_options(script, description),
        "",
        *_write_nets(script),
        *_write_results(script),
    )
    return Function("main", (), "None", statements)


def _write_options(script: ScriptSpec, description: str) -> Iterator[Statement]:
    said = write_string(show(description).replace("%", "%%"))  # argparse fills it in
    yield f"parser = argparse.ArgumentParser(description={said})"
    if reads_folder(script):
        yield 'parser.add_argument("--data", type=Path, default=".", help="folder of the data")'
    yield 'parser.add_argument("--out", type=Path, default="run", help="folder for results")'
    yield 'parser.add_argument("--overwrite", action="store_true", help="evaluate anew")'
    yield 'parser.add_argument("--device", help="cuda where there is one, else cpu")'
    yield "options = parser.parse_args()"
    yield 'device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")'
    yield 'out, part = options.out, options.out / "best.part"'
    refusal = "{out} holds a training: give --overwrite or another --out"
    found = 'if (out / "best.safetensors").exists() and not options.overwrite:'
    yield suite(found, [f'sys.exit(f"{refusal}")'])


def _write_nets(script: ScriptSpec) -> Iterator[Statement]:
    """Statements that load the data, and make the nets and their file."""
    yield "out.mkdir(parents=True, exist_ok=True)"
    yield from forget_samples(script)
    yield f"splits = load_splits({', '.join(load_parameters(script))})"
    yield note_data(script)
    yield 'SETTINGS["data"] = repr(data)  # of other numbers there are other figures'
    yield "torch.manual_seed(SEED)"
    yield from emit_model(script)
    yield "weights = dict(sorted(model.state_dict().items()))"
    if "layout" in script.said:
        yield "weights = {name: value.contiguous() for name, value in weights.items()}"
    yield from SAVED


def _write_results(script: ScriptSpec) -> Iterator[Statement]:
    yield 'results = {"epochs": 0, "best_epoch": 0}'
    evaluated = "results[split] = evaluate(model, splits[split])"
    yield suite(f"for split in {write_literal(script.judged)}:", [evaluated])
    yield from call_samples(script, "0")
    yield "text = json.dumps(results, indent=2)"
    yield "print(text)"
    yield '(out / "results.json").write_text(text + "\\n")'
