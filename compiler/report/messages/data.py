"""Messages about files of data: what is missing, broken, or not what it says."""

from __future__ import annotations

from compiler.report.diagnostics import Severity, Text, message
from compiler.report.messages.wording import COLUMNS, count, list_words
from compiler.report.sessions import FIT, change_pets, homes, pets
from compiler.report.source import Span


@message(
    "W0701",
    bad=(
        'data prices {\n    source csv("no_such_file.csv")\n'
        "    split random(seed=0), train=80%, val=20%\n}\n"
    ),
    good=(
        'data digits {\n    source sklearn("digits")\n'
        "    split random(seed=0), train=80%, val=20%\n}\n"
    ),
)
def data_file_missing(
    span: Span | None,
    path: str,  # as written
    looked_in: str,
    suggestion: str | None = None,
    folder: bool = False,
    # What there is of the kind, in the folder that was looked in.
    names: tuple[str, ...] = (),
) -> Text:
    """The file or folder of a data source does not exist.

    Paths are relative to the folder of the spec; `--set NAME.path=…` gives another for one run.
    """
    there = f"there is {list_words(names)}" if names else None
    return Text(
        f"there is no {'folder' if folder else 'file'} `{path}`",
        label=f"looked for in `{looked_in}`",
        help=f"did you mean `{suggestion}`?" if suggestion else there,
    )


@message(
    "W0702",
    console="""\
$ cat prices.weft
data prices {
    source parquet("table.parquet")
    split random(seed=0), train=80%, val=20%
}
$ cat table.parquet
area,price
20,3
30,5
$ weft check prices.weft --data
""",
    mended="""\
$ mv table.parquet table.csv
$ cat prices.weft
data prices {
    source csv("table.csv")
    split in_order, train=50%, val=50%
}
$ weft check prices.weft --data
""",
)
def data_file_broken(span: Span | None, path: str, reason: str, advice: str = "") -> Text:
    """A file of data is not what its format promises: cut short, another format, no text."""
    return Text(f"`{path}` cannot be read", label=reason, help=advice or None)


@message(
    "W1379",
    console=FIT
    + """\
$ cat again.py
import weft

columns = {"a": [0.5, 1.5], "b": [1.0], "label": [0, 1]}
weft.load("fit.weft", data={"table": columns})
$ python again.py
""",
    mended="""\
$ cat again.py
import weft

columns = {"a": [0.5, 1.5], "b": [1.0, 0.0], "label": [0, 1]}
weft.load("fit.weft", data={"table": columns})
$ python again.py
""",
)
def array_refused(span: Span | None, column: str, reason: str, advice: str = "") -> Text:
    """A column that a Python program gives in `data=` cannot be a tensor: its entries are not
    numbers, booleans, dates or text, or it has another number of rows than the other columns."""
    return Text(f"the column `{column}` cannot be taken", label=reason, help=advice or None)


@message(
    "W1381",
    console=FIT
    + """\
$ cat again.py
import weft

weft.load("fit.weft", data={"table": [[0.5, 1.0, 0], [1.5, 2.0, 1]]})
$ python again.py
""",
    mended="""\
$ cat again.py
import weft

columns = {"a": [0.5, 1.5], "b": [1.0, 2.0], "label": [0, 1]}
weft.load("fit.weft", data={"table": columns})
$ python again.py
""",
)
def no_columns(span: Span | None, found: str, item: str | None = None) -> Text:
    """What a Python program gives in `data=` is not columns by name: it takes a data item's name
    and its columns, as in `data={"digits": {"image": images, "label": labels}}`; a data frame is
    such columns."""
    if item is None:
        title = "`data=` takes columns by data item"
    else:
        title = f"the data item `{item}` takes columns by name"
    name = item or "item"
    return Text(
        title,
        label=f"this is a value of type `{found}`",
        help=f'write `data={{"{name}": {{"column": values}}}}`, or a data frame for the columns',
    )


@message(
    "W1393",
    console="""\
$ cat homes.csv
area;rooms
54,5;2
71,5;3
$ cat homes.weft
data homes {
    source csv("homes.csv")
    split in_order, train=50%, val=50%
}
$ weft check homes.weft
""",
    mended="""\
$ cat homes.weft
data homes {
    source csv("homes.csv", separator=";", decimal=",")
    split in_order, train=50%, val=50%
}
$ weft check homes.weft
""",
)
def other_separator(
    span: Span | None,
    path: str,
    header: str,
    separator: str,
    decimal: bool,
    cells: int,
    skip: int = 0,  # lines above, of titles
) -> Text:
    """The lines of a csv file hold one cell each with the separator that is given, and as many
    cells as each other with another one: `;`, as in countries with a decimal comma, or tabs."""
    first = " ".join(header.split())
    shown = "\\t" if separator == "\t" else separator
    comma = ', decimal=","' if decimal else ""
    comma += f", skip={skip}" if skip else ""
    which = "its first line" if not skip else f"line {skip + 1}"
    return Text(
        f"`{path}` is written with another separator",
        label=f"{which} is `{first if len(first) <= 60 else f'{first[:59]}…'}`",
        help=f'`separator="{shown}"{comma}` reads {count(cells, "cell")} in each line',
    )


@message(
    "W0703",
    console=homes("54", "67,3", "71"),
    mended=homes("54", '"67"', "71"),
)
def ragged_row(
    span: Span | None,
    path: str,
    line: int,
    found: int,
    expected: int,
    separator: str,
    advice: str = "",
) -> Text:
    """A line of a csv file has more or fewer cells than its first line."""
    shown = {"\t": "a tab", ",": "a comma", ";": "a semicolon"}.get(separator, f"`{separator}`")
    return Text(
        f"line {line} of `{path}` has {count(found, 'cell')}",
        label=f"its first line has {expected}",
        help=advice or f'cells are separated by {shown}; `"` around a cell keeps one inside it',
    )


@message(
    "W1227",
    console="""\
$ cat make.py
with open("towns.csv", "w", encoding="cp1252") as file:
    print("town,area", "München,54", "Zürich,71", sep="\\n", file=file)
$ python make.py
$ cat towns.weft
data towns {
    source csv("towns.csv")
    split in_order, train=50%, val=50%
}
$ weft check towns.weft
""",
    mended="""\
$ cat towns.weft
data towns {
    source csv("towns.csv", encoding="cp1252")
    split in_order, train=50%, val=50%
}
$ weft check towns.weft
""",
)
def wrong_encoding(
    span: Span | None,
    path: str,
    encoding: str,
    start: int,  # the first byte that cannot be read
    byte: int,
    line: int,
) -> Text:
    """A file of text is not text in the encoding that it is read in, which is UTF-8 unless another
    is named: `csv("people.csv", encoding="latin-1")`. Programs on Windows often write `cp1252`, or
    `utf-16`."""
    return Text(
        f"`{path}` is not text in {encoding.upper()}",
        label=f"byte {start:,}, in line {line:,}, is 0x{byte:02x}",
        help='tables take `encoding="cp1252"`, `"latin-1"`, `"utf-16"`; or save it as UTF-8',
    )


@message(
    "W0704",
    bad=(
        'data flowers {\n    source sklearn("irs")\n'
        "    split random(seed=0), train=80%, val=20%\n}\n"
    ),
    good=(
        'data flowers {\n    source sklearn("iris")\n'
        "    split random(seed=0), train=80%, val=20%\n}\n"
    ),
)
def unknown_set(
    span: Span | None,
    name: str,
    known: tuple[str, ...],
    suggestion: str | None = None,
    *,
    downloaded: bool = False,
) -> Text:
    """scikit-learn does not bring a data set of this name.

    Only sets that are part of the package are offered: a build never downloads.
    """
    if downloaded:
        title = f"scikit-learn downloads `{name}`, it does not bring it along"
    else:
        title = f"scikit-learn brings no data set `{name}`"
    if downloaded:
        advice = "save it once as npz, csv or parquet, and name that file"
    else:
        hint = f"did you mean `{suggestion}`? " if suggestion else ""
        advice = f"{hint}it brings {list_words(known)}"
    return Text(title, help=advice)


@message(
    "W0705",
    bad=(
        'data letters {\n    source text("letters.txt", context=0)\n'
        "    split in_order, train=90%, val=10%\n}\n"
    ),
    good=(
        'data digits {\n    source sklearn("digits")\n'
        "    split random(seed=0), train=80%, val=20%\n}\n"
    ),
)
def bad_setting(span: Span | None, owner: str, name: str, found: str, expected: str) -> Text:
    """A setting of a data source has a value that means nothing."""
    return Text(f"`{name}` of `{owner}` must be {expected}", label=f"is {found}")


@message(
    "W0706",
    console="""\
$ python -c "import numpy as np; np.savez('rows.npz', x=np.zeros((5, 2)), y=np.zeros(4))"
$ cat rows.weft
data rows {
    source npz("rows.npz")
    split in_order, train=80%, val=20%
}
$ weft check rows.weft
""",
    mended="""\
$ cat rows.weft
data rows {
    source npz("rows.npz", columns=["x"])
    split in_order, train=80%, val=20%
}
$ weft check rows.weft
""",
)
def arrays_differ(
    span: Span | None, path: str, lengths: tuple[tuple[str, int], ...], advice: str
) -> Text:
    """The arrays of a source do not have one number of rows: they are not columns of one table.

    In an npz file, arrays called `x_train`, `x_test`, `y_train` and `y_test` are read as columns
    `x` and `y` with the file's own splits; other arrays must have as many rows as each other, or
    be chosen by `columns=[…]`.
    """
    shown = [f"`{name}` has {length:,}" for name, length in lengths[:4]]
    return Text(
        f"the arrays of `{path}` differ in their number of rows",
        label=", ".join(shown),
        help=advice,
    )


@message(
    "W0707",
    console="""\
$ python -c "import numpy as np; np.savez('rows.npz', x=np.zeros((5, 2)), y=np.zeros(5))"
$ cat rows.weft
data rows {
    source npz("rows.npz", columns=["x", "label"])
    split in_order, train=80%, val=20%
}
$ weft check rows.weft
""",
    mended="""\
$ cat rows.weft
data rows {
    source npz("rows.npz", columns=["x", "y"])
    split in_order, train=80%, val=20%
}
$ weft check rows.weft
""",
)
def unknown_column(
    span: Span | None, name: str, known: tuple[str, ...], suggestion: str | None = None
) -> Text:
    """A source is asked for a column or array that it does not have."""
    there = f"it has {list_words(known, COLUMNS)}" if known else "it has none"
    return Text(
        f"there is no column `{name}`",
        help=f"did you mean `{suggestion}`? {there}" if suggestion else there,
    )


@message(
    "W0708",
    console=pets('source images("pets")', ("pets/a.png", 6, 4), ("pets/b.png", 6, 5)),
    mended=change_pets('source images("pets", size=[6, 4])'),
)
def images_differ(
    span: Span | None,
    first: str,
    first_size: tuple[int, int],
    other: str,
    other_size: tuple[int, int],
) -> Text:
    """Images of one folder differ in size, and a batch needs one size."""
    sizes = ["×".join(map(str, size)) for size in (first_size, other_size)]
    height, width = first_size
    return Text(
        "the images differ in size",
        label=f"`{first}` has {sizes[0]} pixels, `{other}` {sizes[1]}",
        help=f"bring them to one size (height, width): `size=[{height}, {width}]`",
    )


@message(
    "W1400",
    console=pets(
        'source images("pets", mask="masks")', ("pets/a.png", 6, 4), ("masks/a.png", 8, 4)
    ),
    mended=change_pets('source images("pets", mask="masks", size=[6, 4])'),
)
def mask_differs(
    span: Span | None, image: str, size: tuple[int, int], found: tuple[int, int]
) -> Text:
    """An image and its mask differ in height or width, so that no pixel of one belongs to one of
    the other. `size=[height, width]` brings all of them to one size."""
    sizes = ["×".join(map(str, shape)) for shape in (size, found)]
    height, width = size
    return Text(
        f"the mask of `{image}` has another size",
        label=f"the image has {sizes[0]} pixels (height × width), its mask {sizes[1]}",
        help=f"store masks in the size of their images, or write `size=[{height}, {width}]`",
    )


@message(
    "W1401",
    severity=Severity.WARNING,
    console="""\
$ cat make.py
from PIL import Image

photo, exif = Image.new("L", (4, 6)), Image.Exif()
exif[0x0112] = 6  # the top of the picture is at the right
photo.save("pets/a.png", exif=exif)
photo.save("pets/b.png")
$ mkdir pets
$ python make.py
$ cat pets.weft
data pets {
    source images("pets")
    split in_order, train=50%, val=50%
}
$ weft check pets.weft --data
""",
    mended="""\
$ python -c "from PIL import Image; Image.new('L', (4, 6)).save('pets/a.png')"
$ weft check pets.weft --data
""",
)
def images_turned(span: Span | None, first: str, images: int) -> Text:
    """Images carry an orientation of EXIF: viewers turn or mirror their pixels, which lie
    otherwise in the file. Weft reads them as they are stored, as PyTorch and Keras do, so that a
    net sees such images lying on their side. What turns pixels once and for all is
    `PIL.ImageOps.exif_transpose`, or `exiftran -ai` and `jpegtran` for whole folders."""
    others = f" and {count(images - 1, 'other image')}" if images > 1 else ""
    return Text(
        "images are read as they are stored, not as viewers turn them",
        label=f"`{first}`{others}: EXIF has another orientation",
        help="store the pixels upright: `PIL.ImageOps.exif_transpose`",
    )


@message(
    "W0709",
    console="""\
$ mkdir pets
$ cat pets.weft
data pets {
    source images("pets")
    split in_order, train=50%, val=50%
}
$ weft check pets.weft
""",
    mended="""\
$ python -c "from PIL import Image; Image.new('L', (4, 6)).save('pets/a.png')"
$ weft check pets.weft
""",
)
def nothing_in_folder(
    span: Span | None,
    path: str,
    what: str,  # "images (.png, .jpg, …)"
) -> Text:
    """A folder holds no file that the source can read."""
    return Text(f"`{path}` holds no {what}")


@message(
    "W0710",
    console=pets(
        'source images("pets", mask="masks")',
        ("pets/a.png", 6, 4),
        ("pets/b.png", 6, 4),
        ("masks/a.png", 6, 4),
    ),
    mended="""\
$ cp masks/a.png masks/b.png
$ weft check pets.weft
""",
)
def image_without_mask(span: Span | None, image: str, folder: str) -> Text:
    """An image has no mask: masks lie in their own folder, under the image's name."""
    return Text(f"`{image}` has no mask", label=f"there is none of that name in `{folder}`")


@message("W1749")
def package_for_tokens(span: Span | None) -> Text:
    """`source text(…, tokens="byte_pairs")` learns byte pairs with the package `tokenizers`, which
    is not installed."""
    return Text(
        "byte pairs are learned with the package `tokenizers`, which is not installed",
        help="install it: `pip install 'weft[text]'`; words and characters need nothing",
    )
