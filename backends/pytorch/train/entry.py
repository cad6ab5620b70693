"""`main` of a training script: options and refusals, what is trained, its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backends.pytorch.train.code import Function, Statement, suite, when, write_function
from backends.pytorch.train.draws import EVALUATION_SEED
from backends.pytorch.train.loading import load_parameters, note_data, reads_folder
from backends.pytorch.train.models import emit_model
from backends.pytorch.train.optimizing import emit_optimizers
from backends.pytorch.train.rates import call_evaluate, emit_plateaus
from backends.pytorch.train.sampling import forget_samples
from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.settings import RESULTS
from compiler.program.train import TF32
from compiler.writing.python import show, write_literal, write_string

LONGEST = 50
"""Lines of `main`: where it would have more, a part of it is a function of its own."""


def write_main(script: ScriptSpec, description: str) -> Iterator[Function]:
    """`main`, behind the parts of it that are functions of their own where it would be long;
    `description` is what it says of itself."""
    asking: Sequence[Statement] = tuple(_write_options(script, description))
    joining: Sequence[Statement] = tuple(_write_joining(script))
    main = _put_together(script, asking, joining)
    if joining and len(write_function(main)) > LONGEST:
        doc = ("Lets the processes of torchrun, if there are several, share the training.",)
        yield Function("join_processes", ("device: str",), "None", tuple(joining), doc)
        joining = ("join_processes(device)",)
        main = _put_together(script, asking, joining)
    if len(write_function(main)) > LONGEST:
        parsed = (*asking[:-1], "return parser.parse_args()")
        doc = ("What the command line says.",)
        yield Function("read_options", (), "argparse.Namespace", parsed, doc)
        main = _put_together(script, ("options = read_options()",), joining)
    yield main


def _put_together(
    script: ScriptSpec, asking: Sequence[Statement], joining: Sequence[Statement]
) -> Function:
    statements = (
        *asking,
        *_write_refusals(script),
        *joining,
        "",
        *_write_data(script),
        *write_parts(script),
        *_write_beginning(script),
        "",
        *_write_results(script),
    )
    return Function("main", (), "None", statements)


def _write_options(script: ScriptSpec, description: str) -> Iterator[Statement]:
    said = write_string(show(description).replace("%", "%%"))  # argparse fills it in
    yield f"parser = argparse.ArgumentParser(description={said})"
    if reads_folder(script):
        yield 'parser.add_argument("--data", type=Path, default=".", help="folder of the data")'
    yield 'parser.add_argument("--out", type=Path, default="run", help="folder for results")'
    yield "asked = parser.add_mutually_exclusive_group()"
    yield 'asked.add_argument("--resume", action="store_true", help="go on where it stopped")'
    yield 'asked.add_argument("--overwrite", action="store_true", help="start anew")'
    if script.extends:
        about = '"in all, with --resume more than before"'
        yield f'parser.add_argument("--epochs", type=int, help={about})'
    yield 'parser.add_argument("--device", help="cuda where there is one, else cpu")'
    yield "options = parser.parse_args()"


def _write_refusals(script: ScriptSpec) -> Iterator[Statement]:
    yield 'device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")'
    yield from set_precision(script)
    yield 'out, last = options.out, options.out / "last.pt"'
    yield "resume = options.resume and last.exists()"
    yield 'found = last.exists() or (out / "best.safetensors").exists()'
    refusal = "{out} holds a training: give --resume, --overwrite or another --out"
    yield suite("if found and not (resume or options.overwrite):", [f'sys.exit(f"{refusal}")'])


def _write_joining(script: ScriptSpec) -> Iterator[Statement]:
    """Statements that join the processes which share a training."""
    if script.distributed:
        shared = "a batch of {BATCH} does not divide among {WORLD} processes"
        rows = "BATCH"
        if script.divides:
            shared = f"a part of {{BATCH // ACCUMULATE}} rows of {shared}"
            rows = "(BATCH // ACCUMULATE)"
        rank = 'torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))'
        group = 'dist.init_process_group("nccl" if device == "cuda" else "gloo")'
        yield suite(f"if {rows} % WORLD:", [f'sys.exit(f"{shared}")'])
        joined: list[Statement] = [suite('if device == "cuda":', [rank]), group]
        yield suite("if WORLD > 1:", joined)


def set_precision(script: ScriptSpec) -> tuple[Statement, ...]:
    """The statement that lets products of matrices round their factors."""
    high = 'torch.set_float32_matmul_precision("high")  # TF32, where there is a GPU that has it'
    return when(script.train.precision == TF32, high)


def _write_data(script: ScriptSpec) -> Iterator[Statement]:
    """Statements that load the rows, and note what they hold."""
    if script.statistics or script.maps:
        yield "out.mkdir(parents=True, exist_ok=True)"
    yield f"splits = load_splits({', '.join(load_parameters(script))})"
    yield note_data(script)
    yield 'SETTINGS["data"] = repr(data)  # with other numbers it is another training'


def write_parts(script: ScriptSpec) -> Iterator[Statement]:
    """Statements that make what is trained, and what trains it."""
    yield "torch.manual_seed(SEED)"
    yield from emit_model(script)
    yield from emit_optimizers(script)
    if script.scales:
        yield "scaler = torch.amp.GradScaler(device)"
    yield from emit_plateaus(script)
    named = ", ".join(f"{write_string(name)}: {name}" for name in script.parts)
    yield f"parts = {{{named}}}"


def _write_beginning(script: ScriptSpec) -> Iterator[Statement]:
    """Statements that go on with a training, or begin one and train."""
    kept, longer = script.train.checkpoint is not None, ""
    if script.extends:
        longer = ", longer=bool(options.epochs)"
        yield "epochs = options.epochs or EPOCHS"
        yield 'SETTINGS["epochs"] = f"{epochs}"'
    if kept:
        yield "history: History = []"
        yield "begun: dict[str, Any] = {}"
        yield suite("if resume:", [f"history, begun = load(last, parts{longer})"])
    else:
        yield f"history = load(last, parts{longer}) if resume else []"
    if script.extends:
        refusal = "{out} has {len(history)} epochs, more than {epochs}"
        yield suite("if len(history) > epochs:", [f'sys.exit(f"{refusal}")'])
        again = 'save_best(out, load_file(out / "best.safetensors"))  # as of this training'
        rank = "RANK == 0 and " if script.distributed else ""
        yield suite(f"if {rank}resume and options.epochs:", [again])
    if not (script.statistics or script.maps):
        yield "out.mkdir(parents=True, exist_ok=True)"
    removed = suite(
        f"for name in {write_literal(RESULTS)}:", ["(out / name).unlink(missing_ok=True)"]
    )
    rank = "RANK == 0 and " if script.distributed else ""
    note = "  # nothing of an earlier training stays"
    yield suite(f"if {rank}not resume:{note}", [removed, *forget_samples(script)])
    yield f"train(parts, splits, history{', begun' * kept}, out{', epochs' * script.extends})"


def judge_splits(script: ScriptSpec) -> Iterator[Statement]:
    """Statements that note the figures of the splits that weights are judged by."""
    if len(script.judged) > 1:
        evaluated = f"results[split] = {call_evaluate(script, 'split')}"
        yield suite(f"for split in {write_literal(script.judged)}:", [evaluated])
        return
    split = write_string(script.judged[0])
    yield f"results[{split}] = {call_evaluate(script, split)}"


def _write_results(script: ScriptSpec) -> Iterator[Statement]:
    """Statements that measure the best weights."""
    if script.distributed:
        yield suite("if WORLD > 1:", ["dist.barrier()  # until the best weights are written"])
    best = "len(history)"
    if not script.keeps_last:
        best = "find_best(history)"
        said = f"{show(script.monitor.name)} was not a number in any epoch"
        yield suite(f"if not {best}:", [f"sys.exit({write_string(said)})"])
    yield 'model.load_state_dict(load_file(out / "best.safetensors"))'
    yield f'results = {{"epochs": len(history), "best_epoch": {best}}}'
    if script.draws_itself:
        yield f'results["draws"] = f"of the train, from seed {{{EVALUATION_SEED}}} for every split"'
    yield from judge_splits(script)
    write: list[Statement] = [
        "text = json.dumps(results, indent=2)",
        "print(text)",
        '(out / "results.json").write_text(text + "\\n")',
    ]
    yield from [suite("if RANK == 0:", write)] if script.distributed else write
