"""Messages about files and the command line."""

from __future__ import annotations

import numpy as np

from compiler.report.diagnostics import Text, message
from compiler.report.messages.wording import lay_in_columns
from compiler.report.sessions import MODEL, NET
from compiler.report.source import Span
from compiler.types.tensor import DType

MOST_IN_A_LINE = 12
"""More names than this stand in columns."""


@message(
    "W0901",
    console=f"{NET}$ weft check nett.weft\n",
    mended="$ weft check net.weft\n",
)
def file_missing(
    span: Span | None,
    path: str,
    suggestion: str | None = None,
    *,
    # Whether it is a file that builds leave in their usual place.
    build: bool = False,
) -> Text:
    """A file that a command or a spec names does not exist.

    Paths inside a spec are relative to the folder of the spec, paths on the command line to the
    current folder.
    """
    advice = f"did you mean `{suggestion}`?" if suggestion else None
    if build:
        advice = "`weft build` makes it; one that lies elsewhere is given with `--onnx FILE`"
    return Text(f"there is no file `{path}`", help=advice)


@message(
    "W0902",
    console=NET
    + """\
$ mkdir nets
$ weft check nets
""",
    mended="""\
$ weft check net.weft
""",
)
def file_unreadable(span: Span | None, path: str, reason: str) -> Text:
    """A file exists but cannot be read: it is a folder, it is not text in UTF-8, or the system
    refuses it."""
    return Text(f"`{path}` cannot be read: {reason}")


@message(
    "W0903",
    console=NET
    + """\
$ weft show net.weft --size batch
""",
    mended="""\
$ weft show net.weft --size batch=8
""",
)
def bad_assignment(span: Span | None, text: str, option: str = "--set") -> Text:
    """`--set` takes NAME=VALUE, e.g. `--set fit.lr=1e-3`; `--size` a size, e.g. `--size t=64`."""
    if option == "--size":
        advice = "write `--size NAME=NUMBER`, e.g. `--size t=64`, with a number from 1 to 2**31 - 1"
    else:
        advice = "write `--set NAME=VALUE`, e.g. `--set fit.lr=1e-3`"
    return Text(f"`{option} {text}` is not an assignment", help=advice)


@message(
    "W0904",
    console=NET
    + """\
$ weft show net.weft Nett
""",
    mended="""\
$ weft show net.weft Net
""",
)
def unknown_item(
    span: Span | None,
    kind: str,  # what was asked for: "model", "train"
    name: str,
    known: tuple[str, ...],
    suggestion: str | None = None,
) -> Text:
    """A command was asked for something that is not there: an item of the file, a stage of the
    compiler, a split of the data, a published network."""
    advice = f"did you mean `{suggestion}`?" if suggestion else ""
    if len(known) > MOST_IN_A_LINE:
        start = f"{advice} There are" if advice else "there are"
        advice = "\n".join([f"{start} {len(known)}:", *lay_in_columns(known)])
    elif not suggestion:
        advice = f"there is {', '.join(f'`{word}`' for word in known) or 'none'}"
    return Text(f"there is no {kind} `{name}`", help=advice)


@message(
    "W0905",
    console=NET
    + """\
$ weft train net.weft -o out
""",
    mended="""\
$ weft check net.weft
""",
)
def nothing_to_do(span: Span | None, command: str, needs: str) -> Text:
    """A command needs an item of a kind that the file does not have at all: `weft train` needs
    a `train`, `weft build` a `deploy` or a `train`."""
    return Text(f"`weft {command}` finds nothing to do: the file has no {needs}")


@message(
    "W1380",
    console=(
        f"{NET}$ cat load.py\nimport weft\nfrom pathlib import Path\n\n"
        'weft.loads(Path("net.weft").read_bytes())\n$ python load.py\n'
    ),
    mended=(
        "$ cat load.py\nimport weft\nfrom pathlib import Path\n\n"
        'weft.loads(Path("net.weft").read_text("utf-8"))\n$ python load.py\n'
    ),
)
def not_text(span: Span | None, found: str) -> Text:
    """`weft.loads` takes the text of a spec as a `str`; bytes say nothing of their encoding."""
    return Text(
        f"the text of a spec is a str, and this is of type {found}",
        help='`text.decode("utf-8")` makes one of bytes' if found == "bytes" else None,
    )


@message(
    "W0909",
    console=NET
    + """\
$ touch out
$ weft compile net.weft -o out --pytorch
""",
    mended="""\
$ weft compile net.weft -o code --pytorch
""",
)
def bad_file(span: Span | None, path: str, reason: str) -> Text:
    """A file could not be written: the folder cannot be made, or the disk refuses."""
    return Text(f"`{path}` cannot be written: {reason}")


@message("W1323")
def crashed(span: Span | None, error: str, place: str, report: str | None, variable: str) -> Text:
    """Weft itself is at fault: it stumbled over something that it should have carried out or
    refused.

    A report is written to the folder for temporary files. It holds the command line, versions and
    the lines of Weft that led there, and none of your data; send it with the spec if you can.
    """
    attach = f"; please send `{report}`" if report is not None else ""
    show = f"{variable}=1 shows the traceback"
    return Text(f"a fault in Weft ({error} at {place}){attach}; {show}")


@message("W1324")
def out_of_memory(span: Span | None) -> Text:
    """The system has no more memory for what was asked.

    Smaller batches, fewer rows of verification (`fix`, `target` with a smaller batch) or a smaller
    net need less.
    """
    return Text(
        "the system has no memory left for this", help="a smaller batch, net or data set needs less"
    )


@message(
    "W0910",
    console="""\
$ weft explain W912
""",
    mended="""\
$ weft explain
""",
)
def unknown_code(span: Span | None, asked: str, suggestion: str | None = None) -> Text:
    """`weft explain` was asked for a code that no message has."""
    hint = f"did you mean `{suggestion}`? " if suggestion else ""
    return Text(
        f"there is no message `{asked}`", help=f"{hint}`weft explain` without a code lists all"
    )


@message(
    "W0912",
    console=MODEL
    + """\
$ python -c "import numpy as np; np.save('x.npy', np.zeros((1, 9), 'f4'))"
$ weft run out/Net.onnx x=x.npy
""",
    mended="""\
$ python -c "import numpy as np; np.save('x.npy', np.zeros((1, 3), 'f4'))"
$ weft run out/Net.onnx x=x.npy
""",
)
def bad_input(span: Span | None, reason: str) -> Text:
    """An array given to `weft run` is missing, or does not fit the input of the model."""
    return Text(reason)


@message(
    "W1420",
    console="""\
$ cat byte.weft
model Byte {
    input x: u8[batch, 3]
    output y = cast(x, f32) / 255
}
$ weft compile byte.weft -o out --onnx --no-verify
$ python -c "import numpy as np; np.save('x.npy', np.array([[0.5, 1, 2]]))"
$ weft run out/Byte.onnx x=x.npy
""",
    mended="""\
$ python -c "import numpy as np; np.save('x.npy', np.array([[128, 255, 2]], 'u1'))"
$ weft run out/Byte.onnx x=x.npy
""",
)
def lossy_cast(
    span: Span | None, name: str, dtype: DType, given: str, value: str, index: tuple[int, ...]
) -> Text:
    """An array given to an ONNX file has a value that the dtype of the input does not hold.

    An array of another dtype than the input is cast where every value stays what it is; only
    floating-point numbers may be rounded to fewer bits. A cast that would cut off fractions, wrap
    whole numbers around, or turn numbers into NaN or infinity is refused.
    """
    found = f"the array is {given} with {value} at {list(index)}"
    if dtype is DType.BOOL:
        advice = "give booleans: `array != 0` makes them of numbers"
    else:
        low, high = dtype.range
        if dtype.is_float:
            exact = 2 ** (np.finfo(dtype.numpy).nmant + 1)
            advice = (
                f"{dtype} holds whole numbers up to {exact} exactly, and ends at {high:.5g}:"
                f' `array.clip(-{high:.5g}, {high:.5g}).astype("{dtype.numpy.name}")`'
                " loses them on purpose"
            )
        else:
            advice = (
                f"{dtype} holds whole numbers from {low} to {high}: save the array with"
                f" `dtype={dtype.numpy.name}`, not scaled or normalized"
            )
    return Text(f"the input `{name}` is {dtype}, and {found}", help=advice)


@message(
    "W1421",
    console=MODEL
    + """\
$ python -c "import numpy as np; np.save('x.npy', np.array([['1', '2', '3']]))"
$ weft run out/Net.onnx x=x.npy
""",
    mended="""\
$ python -c "import numpy as np; np.save('x.npy', np.array([[1, 2, 3]], 'f4'))"
$ weft run out/Net.onnx x=x.npy
""",
)
def not_numbers(span: Span | None, name: str, dtype: DType, given: str) -> Text:
    """An array given to an ONNX file holds text, times, records or complex numbers; Weft turns none
    of them into the numbers that the input takes."""
    return Text(
        f"the input `{name}` is {dtype}, and the array is `{given}`",
        help=f"save the array with `dtype={dtype.numpy.name}`",
    )


@message(
    "W0913",
    console=MODEL
    + """\
$ python -c "import pickle; pickle.dump([1, 2, 3], open('x.npy', 'wb'))"
$ weft run out/Net.onnx x=x.npy
""",
    mended="""\
$ python -c "import numpy as np; np.save('x.npy', np.array([[1, 2, 3]], 'f4'))"
$ weft run out/Net.onnx x=x.npy
""",
)
def not_an_array(span: Span | None, path: str, reason: str) -> Text:
    """A file given as input of a model is neither an array nor an image: `weft run` reads .npy and
    .npz files (without pickled objects) and images."""
    return Text(
        f"`{path}` is not an array: {reason}", help="save one with `numpy.save(path, array)`"
    )


@message(
    "W1322",
    console="""\
$ cat make.py
lines = ["model Net {", "input x: f32[n]", *["y = x -> rellu"] * 201, "}"]
open("net.weft", "w").write("\\n".join(lines))
$ python make.py
$ weft check net.weft
""",
)
def more_faults(span: Span | None, limit: int) -> Text:
    """A file has so many errors that the rest of it is not checked. Mend the first ones: the others
    often follow from them."""
    return Text(f"{limit} errors were found; what follows is not checked")
