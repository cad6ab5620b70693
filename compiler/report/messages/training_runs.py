"""Messages about training scripts that end before they are done."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.wording import list_words


@final
@dataclass(frozen=True)
class TrainingFileMissing(Message):
    """The training script did not find a file that it reads.

    Paths in a spec start from the folder of the spec. The file was there when the spec was
    checked, or the script was run with another folder.
    """

    code: ClassVar[str] = "W0860"
    path: str

    def title(self) -> str:
        return f"the training found no file {self.path}"

    def label(self) -> str:
        return "is what was trained"

    def help(self) -> str:
        return "put the file there; paths start from the folder of the spec"


@final
@dataclass(frozen=True)
class LossNotFinite(Message):
    """The loss became infinite or stopped being a number, and nothing can be learned from it.

    Most often the learning rate is too high. A warm-up (`schedule=cosine(warmup=5%)`), a limit
    on the gradients (`clip 1.0`) or `precision bf16` in place of `f16` helps too. A logarithm of
    zero, a division by zero and missing values in the data have the same effect in the first
    step, and so has a batch of which no target counts (`ignore_index`): its mean is one of nothing.
    """

    code: ClassVar[str] = "W0861"
    value: str
    epoch: int
    step: int

    def title(self) -> str:
        return f"the loss is {self.value} at epoch {self.epoch}, step {self.step}"

    def label(self) -> str:
        return "stopped there"

    def help(self) -> str:
        if self.epoch == 1 and self.step == 1:
            return "look for missing values in the data, log(0) and division by zero in the spec"
        return "try a lower `lr`, a warm-up, or `clip 1.0`"


@final
@dataclass(frozen=True)
class TrainingOutOfMemory(Message):
    """The training did not fit into the memory of the GPU.

    The whole data set is held on the device beside the network, its gradients, the state of the
    optimizer and the activations of one batch, which grow with `batch`.
    """

    code: ClassVar[str] = "W0862"
    batch: str

    def title(self) -> str:
        return "the GPU is out of memory"

    def label(self) -> str:
        return f"with batches of {self.batch} rows"

    def help(self) -> str:
        return "use a smaller `batch`, `precision bf16`, or `--device cpu`"


@final
@dataclass(frozen=True)
class TrainingDeviceMissing(Message):
    """A training was asked to run on a CUDA device where PyTorch finds none.

    Either there is no GPU, or the installed PyTorch is one for the CPU only.
    """

    code: ClassVar[str] = "W0863"

    def title(self) -> str:
        return "PyTorch finds no CUDA device"

    def help(self) -> str:
        return "give `--device cpu`, or install PyTorch for CUDA"


@final
@dataclass(frozen=True)
class TrainingKilled(Message):
    """The process of the training was ended from outside.

    SIGKILL is most often the system, out of memory. Finished epochs are kept: the same command
    goes on from there.
    """

    code: ClassVar[str] = "W0864"
    signal: str

    def title(self) -> str:
        return f"the training was ended by {self.signal}"

    def label(self) -> str:
        return "goes on after its last finished epoch when it is run again"

    def help(self) -> str | None:
        if self.signal != "SIGKILL":
            return None
        return "if memory ran out, use a smaller `batch`"


@final
@dataclass(frozen=True)
class TrainingFailed(Message):
    """The training script ended with an error of its own.

    The script that Weft writes runs alone (`python train.py`), and the whole of what it said
    stands in the log that the message names.
    """

    code: ClassVar[str] = "W0865"
    reason: str
    log: str

    def title(self) -> str:
        return f"the training failed: {self.reason}"

    def label(self) -> str:
        return "is what was trained"

    def help(self) -> str:
        return f"what the script said is in {self.log}"


@final
@dataclass(frozen=True)
class TrainingWouldBeLost(Message):
    """A training was begun in this folder, or finished, and another one would delete what it
    left. Nothing has been touched."""

    code: ClassVar[str] = "W1206"
    folder: str

    def title(self) -> str:
        return f"{self.folder} holds a training"

    def label(self) -> str:
        return "would be trained anew"

    def help(self) -> str:
        return "`--resume` goes on with it, `--overwrite` deletes it, `-o` names another folder"


@final
@dataclass(frozen=True)
class OtherSettings(Message):
    """A training is to go on that was begun with other settings: its rate would jump, or its
    epochs would no longer be what the spec says. Nothing has been touched.

    Settings are all that changes the result: seed, batch, epochs, learning rates, optimizers and
    their schedules, what is frozen, the nets with the shapes and names of their weights, the
    objective, the metrics, the columns, their split and the numbers of the data. Nets, objective
    and columns are compared by checksums.
    """

    code: ClassVar[str] = "W1207"
    file: str
    others: tuple[str, ...]

    def title(self) -> str:
        return f"{self.file} was trained with other settings"

    def label(self) -> str:
        return "; ".join(self.others)

    def help(self) -> str:
        return "give it the same settings, or train anew with `-o FOLDER` or `--overwrite`"


@final
@dataclass(frozen=True)
class NothingToResume(Message):
    """A training cannot go on: its `last.safetensors` or its `best.safetensors` is missing beside
    the other files that it left. Nothing has been touched."""

    code: ClassVar[str] = "W1208"
    folder: str

    def title(self) -> str:
        return f"{self.folder} lacks what `--resume` needs"

    def label(self) -> str:
        return "last.safetensors and best.safetensors belong together"

    def help(self) -> str:
        return "train anew with `-o FOLDER` or `--overwrite`"


@final
@dataclass(frozen=True)
class NoBestEpoch(Message):
    """The figure that chooses the best epoch was not a number in any epoch, so there is none. A
    mask that lets nothing count, a division by zero in an expression, and outputs of the net that
    are NaN have this effect: a metric of such outputs is not a number."""

    code: ClassVar[str] = "W1209"
    figure: str

    def title(self) -> str:
        return f"{self.figure} was not a number in any epoch"

    def label(self) -> str:
        return "has no best epoch"

    def help(self) -> str:
        return (
            "look for what it divides by, and for NaN in the outputs that it reads; "
            "`until stalled(val.loss, …)` goes by the loss"
        )


@final
@dataclass(frozen=True)
class OtherWords(Message):
    """A column of words, or a text, holds words now that the training has not seen. A word stands
    for its place among those of the training, and these have none: the net was trained on no row
    of theirs. A file with only some of the training's words is fine.

    Of weights whose training is not known by its folder, the words must be the same ones.
    """

    code: ClassVar[str] = "W1406"

    train: str
    column: str
    trained: tuple[str, ...]
    found: tuple[str, ...]

    def title(self) -> str:
        return f"`{self.column}` holds other words than `{self.train}` was trained on"

    def label(self) -> str:
        new = [word for word in self.found if word not in self.trained]
        gone = [word for word in self.trained if word not in self.found]
        parts = [f"new: {list_words(new)}"] if new else []
        parts += [f"no longer there: {list_words(gone)}"] if gone else []
        return "; ".join(parts) or f"in order: {list_words(self.found)}"

    def help(self) -> str:
        return "give data with the same words, or train anew on these (`weft build`)"
