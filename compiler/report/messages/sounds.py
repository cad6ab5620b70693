"""Messages about folders of sounds."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.source import Span

_ADVICE = {
    "rate": ("samples a second", "`rate={}` brings them to one"),
    "channels": ("channels", "`mono=true` takes the mean of the channels"),
    "samples": ("samples", "`seconds=0.5` makes rows of one length"),
}
"""What sounds may differ in, and what brings them to one."""


def _words(source: str) -> str:
    return f"""\
$ cat words.weft
data words {{
    source {source}
    split in_order, train=50%, val=50%
}}
$ weft check words.weft
"""


@message(
    "W1685",
    console="""\
$ cat make.py
import wave

for name, rate in (("a", 8000), ("b", 16000)):
    with wave.open(f"{name}.wav", "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", "not packed"))
        file.writeframes(bytes(2 * rate))
$ python make.py
"""
    + _words('audio(".")'),
    mended=_words('audio(".", rate=8000)'),
)
def sounds_differ(
    span: Span | None,
    what: str,  # "rate", "channels", "samples"
    first: str,
    first_has: int,
    other: str,
    other_has: int,
) -> Text:
    """Sounds of one folder differ in their sampling rate, their number of channels or their length,
    and a batch needs one of each."""
    unit, advice = _ADVICE[what]
    title = "length" if what == "samples" else what
    return Text(
        f"the sounds differ in their {title}",
        label=f"`{first}` has {first_has:,} {unit}, `{other}` {other_has:,}",
        help=advice.format(min(first_has, other_has)),
    )
