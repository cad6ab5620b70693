"""Builds random specs in this process and holds what comes out against the laws."""

from __future__ import annotations

import json
import math
import re
import runpy
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from backends.onnx_runtime.session import Device
from backends.pytorch.run import running, tuning
from compiler.driver import check
from compiler.program.deploy import Deploy
from compiler.program.program import Program
from compiler.report.diagnostics import CompileError, Message, Severity, Sink
from compiler.report.render import render
from compiler.rows.loading import load_data
from compiler.rows.validation import validate_data
from tests.random_trains.scores import Loss
from tests.random_trains.slips import slip
from tests.random_trains.specs import Spec, write_spec
from tests.train_scripts import load_state
from weft.building import train_stages
from weft.building.build import Build

Array = NDArray[Any]

UNKNOWN = {
    "W1172": "figures of a contract are measured",
    "W1209": "which rows a mask of the data leaves of a split",
    "W0861": "whether a training diverges, or a batch is drawn of which no label counts",
    "W1111": "as W1350",
    "W1155": "as W1350",
    "W1358": "as W1350",
    "W1350": "what a pass finds to do behind another one, or in the numbers, shows when it runs",
}
"""What `weft check --data` cannot tell, by code, with the reason."""


RARE = {
    "W1210": "the drawn labels: none of a split counts",
    "W0657": "the drawn passes: their order",
    "W0618": "the drawn groups: one of them holds what is frozen",
    "W1101": "a pass that trains, of a net without a train",
    "W1111": "a pass that finds no layer to prune",
    "W1141": "a pass that finds no layer for integers",
    "W1155": "a pass that finds no dense layer",
    "W1132": "the drawn adapters: the layers that they name are none",
    "W1350": "a pass that would change nothing",
    "W1351": "a pass that would change nothing of what it names",
    "W1357": "the drawn batch of the file and of the target",
}
"""Why `weft check` may refuse what was meant to be right, by code."""


@dataclass
class Tally:
    """What a run met."""

    specs: int = 0
    built: int = 0
    compared: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    """A failure of each kind, with the seed and the text of its spec."""


class Fault(Exception):
    """A law that does not hold."""


def try_specs(count: int, seed: int, *, keep: Path | None = None) -> Tally:
    """Builds specs, each in a folder of its own, and notes every law that does not hold."""
    tally = Tally()
    for number in range(seed, seed + count):
        tally.specs += 1
        with tempfile.TemporaryDirectory(prefix="trains-") as name:
            folder = keep / str(number) if keep is not None else Path(name)
            folder.mkdir(parents=True, exist_ok=True)
            try:
                try_spec(number, folder, tally)
            except Exception as error:  # whatever is raised is what is looked for
                text = (folder / "spec.weft").read_text() if (folder / "spec.weft").exists() else ""
                kind = str(error) if isinstance(error, Fault) else describe(error)
                tally.failures.setdefault(shorten(kind), f"seed {number}\n{text}\n{kind}")
    return tally


def shorten(kind: str) -> str:
    """A failure without what differs from spec to spec."""
    first = kind.split("\n", 1)[0]
    return re.sub(r"[-+]?\d[\d.e+-]*|/tmp/\S+", "#", first)[:200]


def describe(error: BaseException) -> str:
    """The kind and place of a traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/weft/" in f.filename or "/compiler/" in f.filename
           or "/backends/" in f.filename] or frames  # fmt: skip
    place = f"{Path(own[-1].filename).name} {own[-1].name}"
    trace = "".join(traceback.format_exception(error))
    return f"{type(error).__name__} at {place}: {error}".replace("\n", " ") + "\n" + trace


def try_spec(number: int, folder: Path, tally: Tally) -> None:
    """Checks and builds one spec.

    Raises:
        Fault: a law does not hold.
    """
    rng = Random(number)
    spec = write_spec(rng, folder)
    slipped = number % 4 == 3
    text = slip(rng, spec.text) if slipped else spec.text
    (folder / "spec.weft").write_text(text, encoding="utf-8")
    program, messages = check_spec(folder)
    if program is None:
        tally.refused.update({m.code for m in messages})
        errors = [m for m in messages if m.severity is Severity.ERROR]
        if not slipped and errors[0].code not in RARE:
            raise Fault(f"refused: {errors[0].code} {errors[0].text.title}\n{render(errors)}")
        return
    out = folder / "out"
    faults = build(program, out)
    if faults:
        tally.refused.update({f"build {m.code}" for m in faults})
        strange = [m for m in faults if m.code not in UNKNOWN]
        if strange:
            raise Fault(f"build: {strange[0].code} {strange[0].text.title}\n{render(strange)}")
        return
    tally.built += 1
    if not slipped:
        tally.compared += compare_figures(spec, program, out)
    if number % 5 == 0:
        compare_twice(program, folder)


def check_spec(folder: Path) -> tuple[Program | None, list[Message]]:
    """What `weft check --data` says; no program where it refuses."""
    sink = Sink()
    program = check(folder / "spec.weft", sink=sink)
    if program is not None and not sink.has_errors:
        for train in program.trains.values():
            validate_data(train, sink)
    render(sink.messages)
    return (None if sink.has_errors else program), sink.messages


def build(program: Program, out: Path) -> list[Message]:
    """What `weft build` says, with its trainings run in this process."""
    with (
        patch.object(train_stages, "run_training", run_here),
        patch.object(tuning, "run_training", run_here),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", "Using padding=.same.")
        warnings.filterwarnings("ignore", "reduction: 'mean' divides")
        try:
            Build(program, out, Device.CPU, echo=lambda text: None).run()
        except CompileError as error:
            render(error.messages)
            return list(error.messages)
    return []


def run_here(folder: Path, *, data_root: Path, span: Any = None, **others: Any) -> running.Results:
    """Runs a generated training in this process, as a process of its own would."""
    sys.modules.pop("model", None)
    path, said = list(sys.path), StringIO()
    sys.path.insert(0, str(folder.resolve()))
    arguments = ["train.py", "--out", str(folder.resolve()), "--overwrite", "--device", "cpu"]
    state = torch.random.get_rng_state()
    try:
        with (
            chdir(data_root),
            patch.object(sys, "argv", arguments),
            redirect_stdout(StringIO()),
            redirect_stderr(said),
        ):
            runpy.run_path(str(folder.resolve() / "train.py"), run_name="__main__")
    except SystemExit as end:
        if end.code:
            said.write(f"\n{end.code}\n")
            fault = running._explain(1, said.getvalue(), folder / running.LOG, span)
            raise CompileError([fault]) from end
    finally:
        sys.path[:] = path
        sys.modules.pop("model", None)
        torch.random.set_rng_state(state)
    return running.read_results(folder)


# --- figures ------------------------------------------------------------------------------------


def compare_figures(spec: Spec, program: Program, out: Path) -> int:
    """Holds every figure of the report against one computed by other means from the ONNX file.
    How many were compared."""
    compared = 0
    report = json.loads((out / "report.json").read_text())
    sections = {section["title"]: section for section in report["sections"]}
    for deploy in program.deploys:
        section = sections.get(f"deploy {deploy.name} as onnx")
        if section is None or deploy.train not in ("fit", "tuned"):
            continue  # the scores are those of these
        measured = section["measured"]
        compared += compare_split(
            spec, program, out, deploy, measured["split"], measured.get("metrics", {})
        )
        trained = json.loads((out / deploy.train / "results.json").read_text())
        if spec.exact and not program.trains[deploy.train].regularizers:
            for split, figures in trained.items():
                if isinstance(figures, dict):
                    compared += compare_split(spec, program, out, deploy, split, figures)
    return compared


def compare_split(
    spec: Spec,
    program: Program,
    out: Path,
    deploy: Deploy,
    split: str,
    figures: Mapping[str, float | None],
) -> int:
    """Holds figures of a split against those of other means; how many were."""
    assert deploy.train is not None
    train = program.trains[deploy.train]
    rows = load_data(train.data).rows
    columns = spec.data.compute(rows["train"])
    chosen = rows[split]
    outputs = run_file(out / f"{deploy.name}.onnx", spec, deploy, columns, chosen, train.batch)
    if outputs is None or "z" not in outputs:
        return 0
    values = {name: array[chosen] for name, array in columns.items()} | {"z": outputs["z"]}
    wanted: dict[str, tuple[float, float]] = {}
    for name, score in spec.scores.items():
        slack = 1.0 / len(chosen) + 1e-6 if score.jumps and near_tie(values["z"]) else 0.0
        wanted[name] = float(score.value(values)), slack
    loss = spec.tuned if deploy.train == "tuned" else spec.loss
    if loss is not None and loss.value is not None:
        wanted["loss"] = find_loss(loss, values, train.batch), 0.0
    for name, (right, slack) in wanted.items():
        found = figures.get(name)
        if found is None and not math.isfinite(right):
            continue
        if found is None or not close(found, right, slack):
            raise Fault(f"figure {name} of {split} is {found}, and {right} by other means")
    return len(wanted)


def close(found: float, right: float, slack: float) -> bool:
    """Whether two figures are one, up to rounding."""
    if math.isnan(right):
        return math.isnan(found)
    return abs(found - right) <= 1e-4 + 2e-3 * abs(right) + slack


def near_tie(scores: Array) -> bool:
    """Whether rounding may tell which score is the highest, or above 0."""
    ordered = np.sort(scores, axis=-1)
    gaps = ordered[..., -1] - ordered[..., -2] if scores.shape[-1] > 1 else np.abs(scores)
    return bool((gaps < 1e-4).any())


def run_file(
    path: Path, spec: Spec, deploy: Deploy, columns: Mapping[str, Array], rows: Array, batch: int
) -> dict[str, Array] | None:
    """The outputs of a file for rows, by ONNX Runtime alone; None where it takes what the columns
    do not tell."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    known = spec.data.raw if deploy.preprocess is not None else columns
    kinds = {item.name: item.type for item in session.get_inputs()}
    if not set(kinds) <= set(known):
        return None
    size = dict(deploy.fixed).get("batch", batch)
    parts: list[list[Array]] = []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        filled = np.resize(part, size) if deploy.fixed else part
        given = {n: known[n][filled] for n in kinds}
        given = {
            n: spell(deploy, n, array) if kinds[n] == WORDS else array.astype(NUMPY[kinds[n]])
            for n, array in given.items()
        }
        made = session.run(None, given)
        parts.append([out[: len(part)] if out.ndim else out for out in made])
    names = [item.name for item in session.get_outputs()]
    joined = [
        np.concatenate(column) if column[0].ndim else column[0]
        for column in zip(*parts, strict=True)
    ]
    return dict(zip(names, joined, strict=True))


WORDS = "tensor(string)"


def spell(deploy: Deploy, name: str, codes: Array) -> Array:
    """The words of a raw column, as a table has them."""
    assert deploy.preprocess is not None
    column = next(c for c in deploy.preprocess.schema if c.name == name)
    return np.array(column.categories, object)[codes]


NUMPY = {
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def find_loss(loss: Loss, values: Mapping[str, Array], batch: int) -> float:
    """The loss of a split: of all its rows together where the loss divides by what counts, so
    that every label counts as much in whatever batch; else the mean over batches, by their rows."""
    assert loss.value is not None
    count = len(values["z"])
    step = count if loss.counts else batch
    total = 0.0
    for start in range(0, count, step):
        part = {n: torch.from_numpy(np.ascontiguousarray(a[start : start + step]))
                for n, a in values.items()}  # fmt: skip
        part = {n: a.double() if a.is_floating_point() else a for n, a in part.items()}
        total += float(loss.value(part)) * len(part["z"])
    return total / count


# --- twice --------------------------------------------------------------------------------------


def compare_twice(program: Program, folder: Path) -> None:
    """The same spec gives the same bytes again."""
    if build(program, folder / "again"):
        raise Fault("the second build is refused")
    for path in list_files(folder / "out"):
        other = folder / "again" / path.relative_to(folder / "out")
        if not other.is_file() or read_timeless(path) != read_timeless(other):
            raise Fault(f"another {path.name} the second time")


def list_files(out: Path) -> Iterator[Path]:
    """What a build leaves, without what it measured."""
    for path in sorted(out.rglob("*")):
        if path.is_file() and ".weft" not in path.parts and not path.name.startswith("report."):
            yield path


def read_timeless(path: Path) -> object:
    """What a file holds, without seconds and its folder."""
    if path.name == "last.pt":
        state = load_state(path.parent)
        for record in state["history"]:
            record.pop("seconds")
        state["model"] = {n: value.tolist() for n, value in state["model"].items()}
        return repr(state)
    content = path.read_bytes()
    if path.name == "metrics.jsonl":
        return re.sub(rb'"seconds": [^}]*', b"", content)
    return content.replace(b"/again/", b"/out/")
