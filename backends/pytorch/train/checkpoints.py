"""What a training script keeps on disk: the best weights, and all that it needs to go on."""

from __future__ import annotations

from collections.abc import Iterator

from backends.pytorch.train.code import Function, Statement, suite, when
from backends.pytorch.train.judging import SAVED
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.writing.python import quote_docstring, write_string


def write_checkpoints(script: ScriptSpec) -> Iterator[Function]:
    """The functions that save and load."""
    if not script.keeps_last:
        yield _write_find_best(script)
    if script.extends:
        yield _write_save_best()
    yield _write_save(script)
    yield _write_load(script)


def _write_find_best(script: ScriptSpec) -> Function:
    """`find_best`: of equal metrics the lower loss wins, and what is no number never does."""
    monitor = script.monitor
    sign = "" if monitor.higher else "-"
    figure = f"{sign}record[{write_string(monitor.name)}]"
    score, first, tie = figure, "score", ""
    if monitor.metric != "loss" and not script.alternates:
        loss = f"-record[{write_string(f'{monitor.split}.loss')}]"
        score, first = f"({figure}, {loss})", "score[0]"
        tie = f"; among equals, of the lowest {quote_docstring(monitor.split)}.loss"
    return Function(
        "find_best",
        ("history: History",),
        "int",
        (
            f"scores = [{score} for record in history]",
            f"known = [score for score in scores if {first} > -math.inf]",
            "return scores.index(max(known)) + 1 if known else 0",
        ),
        (f"The epoch of the best {quote_docstring(monitor.name)}{tie}.",),
    )


def _write_save_best() -> Function:
    return Function(
        "save_best",
        ("out: Path", "weights: dict[str, Tensor]"),
        "None",
        ('part = out / "best.part"', *SAVED),
        ("Writes the best weights so far, and what they were trained with.",),
    )


def _write_save(script: ScriptSpec) -> Function:
    weights = 'dict(sorted(parts["model"].state_dict().items()))'
    if "layout" in script.said:
        weights = f"{{k: v.contiguous() for k, v in {weights}.items()}}"
    best: list[Statement] = [f"weights = {weights}", *SAVED]
    if script.extends:
        best = [f"save_best(out, {weights})"]
    kept = script.train.checkpoint is not None
    tests = [] if script.keeps_last else ["find_best(history) == len(history)"]
    tests += ["not (history and begun)"] if kept else []
    chosen = [suite(f"if {' and '.join(tests)}:", best)] if tests else best
    begun = '"begun": begun, ' if kept else ""
    left = "steps or an epoch leave" if kept else "an epoch leaves"
    return Function(
        "save",
        ("out: Path", "parts: Parts", "history: History", *when(kept, "begun: dict[str, Any]")),
        "None",
        (
            'part = out / "last.part"',
            'part.write_text("".join(json.dumps(record) + "\\n" for record in history))',
            'part.replace(out / "metrics.jsonl")',
            *chosen,
            "state = {name: value.state_dict() for name, value in parts.items()}",
            f'torch.save({{"settings": SETTINGS, "history": history, {begun}**state}}, part)',
            'part.replace(out / "last.pt")',
        ),
        (f"Writes what {left}, each file whole or not at all.",),
    )


def _write_load(script: ScriptSpec) -> Function:
    kept = script.train.checkpoint is not None
    since = ", and the steps since" if kept else ""
    longer = script.extends
    other = 'state["settings"]["epochs"] = SETTINGS["epochs"]  # by --epochs'
    refusal = "{path} was trained with {state['settings']}, not {SETTINGS}"
    return Function(
        "load",
        ("path: Path", "parts: Parts", *when(longer, "longer: bool")),
        "tuple[History, dict[str, Any]]" if kept else "History",
        (
            'state = torch.load(path, map_location="cpu", weights_only=True)',
            *when(longer, suite("if longer:", [other])),
            suite('if state["settings"] != SETTINGS:', [f'sys.exit(f"{refusal}")']),
            suite("for name, part in parts.items():", ["part.load_state_dict(state[name])"]),
            'return state["history"], state["begun"]' if kept else 'return state["history"]',
        ),
        (f"Restores the parts and returns what the finished epochs gave{since}.",),
    )
