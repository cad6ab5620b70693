"""A stretch of training: a share of all steps, a number of epochs, or a number of steps."""

from __future__ import annotations

from compiler.records import dataclass

UNITS = {
    "%": "share",
    "epoch": "epochs",
    "epochs": "epochs",
    "step": "steps",
    "steps": "steps",
}
"""Units of numbers in a spec that say a stretch of training, and the unit of `Duration`."""


@dataclass(frozen=True)
class Duration:
    """`5%`, `3epochs` or `500steps`. `unit` is "share" (of all steps, 1 is the whole training),
    "epochs" or "steps"."""

    value: float
    unit: str

    def steps(self, steps: int, steps_per_epoch: int) -> int:
        """Its length in steps, of a training of `steps` steps in all; rounded to the nearest
        whole one, halves to the even one."""
        scale = {"share": steps, "epochs": steps_per_epoch, "steps": 1}[self.unit]
        return round(self.value * scale)

    def code(self, steps: str, steps_per_epoch: str) -> str:
        """`steps` as a Python expression; both arguments are names or expressions in brackets."""
        if self.unit == "steps":
            return str(round(self.value))
        scale = steps if self.unit == "share" else steps_per_epoch
        if float(self.value).is_integer():
            return scale if self.value == 1 else f"{int(self.value)} * {scale}"
        return f"round({self.value!r} * {scale})"

    def __str__(self) -> str:
        if self.unit == "share":
            return f"{100 * self.value:g}%"
        return f"{self.value:g}{self.unit}"


NO_TIME = Duration(0, "steps")
"""No stretch at all: no warm-up."""
ONE_EPOCH = Duration(1, "epochs")
