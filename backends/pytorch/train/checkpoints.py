"""What a training script keeps on disk: the best weights, and all that it needs to go on."""

from __future__ import annotations

from collections.abc import Iterator

from backends.pytorch.train.code import Function, Statement, suite
from backends.pytorch.train.judging import SAVED
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.writing.python import quote_docstring, write_string


def write_checkpoints(script: ScriptSpec) -> Iterator[Function]:
    """The functions that save and load."""
    if not script.keeps_last:
        yield _write_find_best(script)
    yield _write_save(script)
    yield _write_load()


def _write_find_best(script: ScriptSpec) -> Function:
    """`find_best`: of equal metrics the lower loss wins, and what is no number never does."""
    monitor = script.monitor
    sign = "" if monitor.higher else "-"
    score, tie = f"{sign}record[{write_string(monitor.name)}]", ""
    if monitor.metric != "loss" and not script.alternates:
        loss = f"-record[{write_string(f'{monitor.split}.loss')}]"
        score = f"({score}, {loss})"
        tie = f"; among equals, of the lowest {quote_docstring(monitor.split)}.loss"
    lowest = "(-math.inf,)" if tie else "-math.inf"
    return Function(
        "find_best",
        ("history: History",),
        "int",
        (
            f"best, epoch = {lowest}, 0",
            suite(
                "for record in history:",
                [
                    f"score = {score}",
                    suite("if score > best:", ['best, epoch = score, record["epoch"]']),
                ],
            ),
            "return epoch",
        ),
        (f"The epoch of the best {quote_docstring(monitor.name)}{tie}.",),
    )


def _write_save(script: ScriptSpec) -> Function:
    weights = 'dict(sorted(parts["model"].state_dict().items()))'
    if "layout" in script.said:
        weights = f"{{k: v.contiguous() for k, v in {weights}.items()}}"
    best: list[Statement] = [f"weights = {weights}", *SAVED]
    chosen = best if script.keeps_last else [suite("if find_best(history) == len(history):", best)]
    return Function(
        "save",
        ("out: Path", "parts: Parts", "history: History"),
        "None",
        (
            'part = out / "last.part"',
            'part.write_text("".join(json.dumps(record) + "\\n" for record in history))',
            'part.replace(out / "metrics.jsonl")',
            *chosen,
            "state = {name: value.state_dict() for name, value in parts.items()}",
            'torch.save({"settings": SETTINGS, "history": history, **state}, part)',
            'part.replace(out / "last.pt")',
        ),
        ("Writes what an epoch leaves, each file whole or not at all.",),
    )


def _write_load() -> Function:
    refusal = "{path} was trained with {state['settings']}, not {SETTINGS}"
    return Function(
        "load",
        ("path: Path", "parts: Parts"),
        "History",
        (
            'state = torch.load(path, map_location="cpu", weights_only=True)',
            suite('if state["settings"] != SETTINGS:', [f'sys.exit(f"{refusal}")']),
            suite("for name, part in parts.items():", ["part.load_state_dict(state[name])"]),
            'return state["history"]',
        ),
        ("Restores the parts and returns what the finished epochs gave.",),
    )
