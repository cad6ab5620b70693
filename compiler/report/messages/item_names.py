"""Names of items that could not be names of files: a build makes a folder or a file of each."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.sessions import FIT, NET
from compiler.report.source import Span


@message(
    "W1290",
    bad="model `../Net`() {\n    input x: f32[batch, 8]\n    output y = x\n}\n",
    good="model Net() {\n    input x: f32[batch, 8]\n    output y = x\n}\n",
)
def item_name_not_file(span: Span | None, what: str, name: str, reason: str) -> Text:
    """Models, nets, trains and variants have names that can be names of files.

    A build writes a folder or a file for each of them, under its name. So a name has no dots and
    no slashes, is not reserved by a system, by a build or by Python modules that generated code
    imports, and is short enough.
    """
    return Text(
        f"a {what} cannot be called `{name}`",
        label=reason,
        help="files and folders are named after it; letters, digits and `_` always can be",
    )


@message(
    "W1291",
    bad=(
        "model Net() {\n    input x: f32[batch, 8]\n    output y = x\n}\n"
        "model net() {\n    input x: f32[batch, 8]\n    output y = x\n}\n"
    ),
    good=(
        "model Net() {\n    input x: f32[batch, 8]\n    output y = x\n}\n"
        "model Other() {\n    input x: f32[batch, 8]\n    output y = x\n}\n"
    ),
)
def item_names_clash(span: Span | None, name: str, other: str, first: Span) -> Text:
    """Two names of items differ only in case, or in how a letter is encoded.

    Many systems do not tell files of such names apart, so one item would overwrite what the other
    has made.
    """
    return Text(
        f"`{name}` and `{other}` would be one file",
        label="differs only in case, or in the encoding of a letter",
        labels=(Label(first, "the other item"),),
        help="give one of them another name",
    )


@message(
    "W1292",
    console=FIT
    + """\
$ cat both.py
from concurrent.futures import ThreadPoolExecutor
import weft

spec = weft.load("fit.weft")
with ThreadPoolExecutor() as pool:
    print(*pool.map(spec.train, ["fit", "fit"], ["out", "out"]))
$ python both.py
""",
)
def folder_in_use(span: Span | None, folder: str, process: str, since: str) -> Text:
    """Two builds or trainings write into one folder at a time.

    Each would overwrite what the other has made. The second one ends at once; the lock is gone as
    soon as the process that holds it is.
    """
    who = f"process {process}, since {since}" if process else "another process"
    return Text(
        f"`{folder}` is in use by {who}",
        help="wait until it has ended, or give another folder with `-o`",
    )


@message(
    "W1382",
    console=NET
    + """\
$ mkdir -p out elsewhere
$ ln -s ../elsewhere/Net.py out/Net.py
$ weft compile net.weft -o out --pytorch
""",
    mended="""\
$ rm out/Net.py
$ weft compile net.weft -o out --pytorch
""",
)
def link_in_folder(span: Span | None, path: str, leads_to: str) -> Text:
    """A symbolic link is in a folder of results where Weft would write or delete.

    What it leads to may be anyone's, and a folder that came from somebody else may hold links to
    any place. So Weft follows none below the folder that it was given; that folder itself may be
    a link. Where nothing is given, `output` and `output/SPEC` may not be links either.
    """
    return Text(
        f"`{path}` is a symbolic link to `{leads_to}`, and nothing is written there",
        help=(
            "remove the link, or give another folder with `-o`; "
            "a folder that is given there may itself be a link"
        ),
    )
