"""Messages about rows that are given to a deployed file."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.sessions import HOMES_FILE
from compiler.report.source import Span


@message(
    "W1740",
    console=HOMES_FILE
    + """\
$ python -c "import numpy as np; np.savez('x.npz', kind=np.array([0.0]), area=np.array([5.0]))"
$ weft run out/priced.onnx kind=x.npz area=x.npz
""",
    mended="""\
$ python -c "import numpy as np; np.savez('x.npz', kind=np.array(['flat']), area=np.array([5.0]))"
$ weft run out/priced.onnx kind=x.npz area=x.npz
""",
)
def not_words(span: Span | None, name: str, given: str) -> Text:
    """An input of a deployed file is a column of words, and an array of something else is given to
    it. The file itself finds the code of each word."""
    return Text(
        f"the input `{name}` takes words, and the array is `{given}`",
        help="give the words themselves, an array of strings",
    )
