"""`weft run`: an ONNX model on arrays from files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import bad_input, not_an_array, unknown_item
from compiler.report.suggestions import did_you_mean
from weft.cli.options import Device, DeviceOption, OutputFormat
from weft.cli.printing import say, say_lines
from weft.deployed.given import need_input

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backends.onnx_runtime.session import Session


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command("run")
    def run_command(
        model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="An ONNX file.")],
        inputs: Annotated[
            list[str], typer.Argument(metavar="NAME=FILE...", help=".npy, .npz or image files.")
        ],
        output: Annotated[
            Path | None, typer.Option("--output", "-o", metavar="NPZ", help="Save the outputs.")
        ] = None,
        device: DeviceOption = Device.AUTO,
        form: Annotated[OutputFormat, typer.Option("--format", help="How to print.")] = (
            OutputFormat.TEXT
        ),
    ) -> None:
        """Run an ONNX model on arrays and print what comes out, with labels where it has them.

        Examples:

            weft run digits.onnx image=digit.npy

            weft run resnet18.onnx image=batch.npz -o logits.npz --device cuda
        """
        import numpy as np

        from backends.onnx_runtime import session as sessions
        from weft.deployed.inspecting import read_labels

        need_input(model)
        session = sessions.open_session(model, device=sessions.Device(device.value))
        arrays = _read_inputs(inputs, session)
        try:
            results = session.run(arrays)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise CompileError(
                [bad_input(None, f"the model refuses the inputs: {reason}")]
            ) from error
        if output is not None:
            from compiler.system.files import replacing

            with replacing(output) as temporary:
                np.savez(temporary.open("wb"), allow_pickle=False, **results)
            say(f"wrote {output}")
        elif form is OutputFormat.JSON:
            say_lines(json.dumps({name: array.tolist() for name, array in results.items()}))
        else:
            _print(results, read_labels(model, session))


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
