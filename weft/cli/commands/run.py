"""`weft run`: an ONNX model on arrays from files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import bad_input, not_an_array, unknown_item
from compiler.report.suggestions import did_you_mean
from weft.cli.options import Device, DeviceOption, OutputFormat
from weft.cli.printing import print_messages, say, say_lines
from weft.deployed.given import need_input

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backends.onnx_runtime.session import Session


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="ROWS | NAME=FILE...",
        help="A table (.csv, .tsv, .parquet, .jsonl, .npz), or arrays and images.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Save as .npz; rows as .csv too."),
]
Form = Annotated[OutputFormat, typer.Option("--format", help="How to print.")]


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("run")(run_command)


def run_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="An ONNX file.")],
    inputs: Inputs,
    output: Output = None,
    device: DeviceOption = Device.AUTO,
    form: Form = OutputFormat.TEXT,
) -> None:
    """Run an ONNX model on rows or arrays and print what comes out, with labels where it has them.

    A file that was deployed with `preprocess` takes a table like that of its training: columns by
    name, cells read by the same rules, and windows made of them. A table of predictions comes out,
    or one in a file that ends in .csv, .jsonl or .npz.

    Examples:

        weft run houses.onnx new.csv -o prices.csv

        weft run digits.onnx image=digit.npy

        weft run resnet18.onnx image=batch.npz -o logits.npz --device cuda
    """
    from backends.onnx_runtime import session as sessions

    need_input(model)
    session = sessions.open_session(model, device=sessions.Device(device.value))
    table = _find_table(inputs, session)
    if table is not None:
        _predict(session, model, table, output, form)
    else:
        _run(session, model, inputs, output, form)


def _run(
    session: Session, model: Path, inputs: Sequence[str], output: Path | None, form: OutputFormat
) -> None:
    """Runs the model on arrays, and writes or prints what comes out."""
    import numpy as np

    from compiler.system.files import replacing
    from weft.deployed.inspecting import read_labels

    arrays = _read_inputs(inputs, session)
    try:
        results = session.run(arrays)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise CompileError([bad_input(None, f"the model refuses the inputs: {reason}")]) from error
    if output is not None:
        with replacing(output) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **results)
        say(f"wrote {output}")
    elif form is OutputFormat.JSON:
        say_lines(json.dumps({name: array.tolist() for name, array in results.items()}))
    else:
        _print(results, read_labels(model, session))


def _find_table(inputs: Sequence[str], session: Session) -> Path | None:
    """The table that is given; None where arrays are. An .npz file without a name is one where the
    model takes rows, and has more than one input."""
    from compiler.data.given_rows import is_row_file

    path = Path(inputs[0])
    if len(inputs) != 1 or not is_row_file(path) or inputs[0].partition("=")[0] in session.inputs:
        return None
    arrays = path.suffix.lower() == ".npz" and (session.rows is None or len(session.inputs) == 1)
    return None if arrays else path


def _predict(
    session: Session, model: Path, table: Path, output: Path | None, form: OutputFormat
) -> None:
    """Runs the model on a table, and writes what comes out."""
    import io

    import numpy as np

    from compiler.system.files import replacing
    from weft.deployed.predicting import ROW, predict

    need_input(table)
    found = predict(session, model, table)
    if found.warning is not None:
        print_messages([found.warning])
    kind = output.suffix.lower() if output is not None else ""
    text = io.StringIO(newline="")
    if kind == ".jsonl" or (output is None and form is OutputFormat.JSON):
        found.write_json_lines(text)
    elif kind != ".npz":
        found.write_csv(text)
    if output is None:
        say_lines(text.getvalue().rstrip("\n"))
        return
    with replacing(output) as temporary:
        if kind == ".npz":
            arrays = {ROW: found.numbers, **found.outputs}
            np.savez(temporary.open("wb"), allow_pickle=False, **arrays)
        else:
            temporary.write_text(text.getvalue(), "utf-8", newline="")
    say(f"wrote {output}")


def _read_inputs(pairs: Iterable[str], session: Session) -> Mapping[str, NDArray[Any]]:
    known = session.inputs
    arrays = {}
    for pair in pairs:
        name, equals, file = pair.partition("=")
        if not equals:  # the only input needs no name
            name, file = (known[0], pair) if len(known) == 1 else ("", pair)
        if name not in known:
            fault = unknown_item(None, "input", name, known, did_you_mean(name, known))
            raise CompileError([fault])
        arrays[name] = _read_array(Path(file), name)
    missing = [name for name in known if name not in arrays]
    if missing:
        raise CompileError(
            [bad_input(None, f"input `{missing[0]}` is missing: give {missing[0]}=FILE")]
        )
    session.check_shapes(arrays)
    return session.cast_inputs(arrays)


def _read_array(path: Path, name: str) -> NDArray[Any]:
    import numpy as np

    from compiler.data.damage import UNREADABLE
    from compiler.data.npz import check_archive, check_array
    from compiler.data.pixels import read_image

    need_input(path)
    try:
        if path.suffix == ".npy":
            with path.open("rb") as stream:
                check_array(stream, path.stat().st_size)
            return np.asarray(np.load(path, allow_pickle=False))
        if path.suffix == ".npz":
            check_archive(path)
            with np.load(path, allow_pickle=False) as archive:
                key = name if name in archive.files else archive.files[0]
                return np.asarray(archive[key])
        return read_image(path)
    except UNREADABLE as error:
        raise CompileError([not_an_array(None, str(path), str(error))]) from error


def _print(results: Mapping[str, NDArray[Any]], labels: tuple[str, ...]) -> None:
    import numpy as np

    for name, array in results.items():
        say(f"{name}: {array.dtype}{list(array.shape)}")
        rows = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
        for row in rows[:10]:
            if labels and len(labels) == len(row):
                best = int(np.argmax(row))
                say(f"  {labels[best]}  ({row[best]:.4g})")
            else:
                shown = ", ".join(_show(x) for x in row[:10])
                say(f"  {shown}{', …' if len(row) > 10 else ''}")
        if len(rows) > 10:
            say(f"  … {len(rows) - 10} more rows")


def _show(entry: Any) -> str:
    return str(entry) if isinstance(entry, str) else f"{entry:.5g}"
