"""Folders of sounds: wav files in a subfolder per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gcd
from pathlib import Path
from typing import Any, ClassVar, NoReturn, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, DataSource, LoadingCode
from compiler.data.class_folders import list_files, name_classes
from compiler.data.files import refuse_setting
from compiler.data.sounds import WavHeader, read_samples, read_wav_header
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.memory import data_too_large
from compiler.report.messages.sounds import sounds_differ
from compiler.system.memory import find_available
from compiler.types.tensor import TensorType
from compiler.writing.python import write_path, write_string

SUFFIXES = (".wav", ".wave")
KINDS = f"wav files ({', '.join(SUFFIXES)})"
DECODED = 8
"""Bytes that reading takes for each sample of one file."""


@SOURCES.register
@final
@dataclass(frozen=True)
class Audio(DataSource):
    """A folder of wav files.

    `sound: f32[channels, samples]` holds their samples, whole numbers of 8, 16, 24 or 32 bits as
    parts of the largest, so that they lie in [-1, 1), floating-point ones as they are. All files
    need one sampling rate, one number of channels and one length, unless `rate`, `mono` and
    `seconds` bring them to one; `NAME.rate` is the rate. Where they lie in subfolders, `label` is
    the number of a file's subfolder in sorted order, with their names as classes (`NAME.classes` is
    how many). Rows are in the order of the paths.

    - `folder`: where the files lie, relative to the spec's folder.
    - `rate`: samples per second that sounds of other rates are brought to (polyphase filter).
    - `seconds`: how long a row is: what is longer is cut off at the end, what is shorter goes on
      with zeros.
    - `mono`: whether the mean of the channels is taken, so that there is one.

    Example: `source audio("words", seconds=0.5)`, `loudness = mean(sound ** 2)`
    Source: https://docs.scipy.org/doc/scipy/reference/generated/scipy.io.wavfile.read.html
    """

    name: ClassVar[str] = "audio"
    counted: ClassVar[Mapping[str, str]] = {"classes": "label"}
    folder: str
    rate: int | None = None
    seconds: float | None = None
    mono: bool = False

    def check(self) -> None:
        if self.rate is not None and self.rate < 1:
            refuse_setting(self.name, "rate", self.rate, "1 or above")
        if self.seconds is not None and not 0 < self.seconds < 1e6:
            refuse_setting(self.name, "seconds", self.seconds, "above 0")

    def schema(self, folder: Path) -> tuple[Column, ...]:
        paths, headers = self._survey(folder)
        columns = [Column("sound", TensorType.of("f32", self._find_shape(headers[0])))]
        classes = name_classes(folder / self.folder, self.folder, paths)
        if classes:
            label = TensorType.of("i64", ())
            columns.append(Column("label", label, words=True, categories=classes))
        return tuple(columns)

    def attributes(self, folder: Path) -> Mapping[str, int]:
        paths, headers = self._survey(folder)
        classes = name_classes(folder / self.folder, self.folder, paths)
        rate = {"rate": self.rate or headers[0].rate}
        return {"classes": len(classes), **rate} if classes else rate

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        paths, headers = self._survey(folder)
        shape = (len(paths), *self._find_shape(headers[0]))
        self._need_memory(shape, headers)
        sounds = np.zeros(shape, np.float32)
        for place, path, header in zip(sounds, paths, headers, strict=True):
            samples = self._bring(read_samples(path, header), header)[:, : shape[-1]]
            place[:, : samples.shape[1]] = samples
        columns: dict[str, NDArray[Any]] = {"sound": sounds}
        root = folder / self.folder
        classes = name_classes(root, self.folder, paths)
        if classes:
            codes = [classes.index(path.relative_to(root).parts[0]) for path in paths]
            columns["label"] = np.array(codes, np.int64)
        return columns

    def files(self, folder: Path) -> Sequence[Path]:
        return list_files(folder, self.folder, SUFFIXES, KINDS)

    def imports(self) -> Sequence[str]:
        resampling = ["from scipy.signal import resample_poly"] if self.rate is not None else []
        return ["from scipy.io import wavfile", *resampling]

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        wanted = {c.name: c for c in columns}
        suffixes = ", ".join(map(write_string, SUFFIXES))
        lines = [
            *(self._write_reader() if "sound" in wanted else []),
            f"root = {write_path(self.folder)}",
            f"suffixes = {{{suffixes}}}",
            'paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in suffixes)',
        ]
        found = {name: name for name in wanted}
        if "sound" in wanted:
            found["sound"] = "np.stack([read_sound(path) for path in paths])"
        if "label" in wanted:
            classes = ", ".join(map(write_string, wanted["label"].categories))
            lines.append(f"classes = [{classes}]")
            lines.append("names = [p.relative_to(root).parts[0] for p in paths]")
            found["label"] = "np.array([classes.index(n) for n in names], np.int64)"
        return LoadingCode(lines, found)

    def _write_reader(self) -> list[str]:
        """The function that reads a file."""
        lines = [
            "def read_sound(path: Path) -> np.ndarray:",
            '    """The samples of a wav file, `[channels, samples]`; whole ones in [-1, 1)."""',
            "    rate, samples = wavfile.read(path)",
            "    samples = samples.reshape(len(samples), -1).T",
            "    if samples.dtype == np.uint8:  # these lie around 128",
            "        samples = (samples.astype(np.int16) - 128) * np.int16(256)",
            '    if samples.dtype.kind == "i":',
            "        samples = samples / -float(np.iinfo(samples.dtype).min)",
        ]
        if self.mono:
            lines.append("    samples = samples.mean(0, keepdims=True, dtype=np.float64)")
        if self.rate is not None:
            lines.append(f"    if rate != {self.rate}:")
            lines.append("        samples = samples.astype(np.float64)")
            lines.append(f"        samples = resample_poly(samples, {self.rate}, rate, axis=1)")
        if self.seconds is not None:
            rate = "rate" if self.rate is None else str(self.rate)
            lines += [
                f"    length = round({self.seconds!r} * {rate})",
                "    samples = samples[:, :length]",
                "    samples = np.pad(samples, ((0, 0), (0, length - samples.shape[1])))",
            ]
        return [*lines, "    return samples.astype(np.float32)", ""]

    def _bring(self, samples: NDArray[np.float64], header: WavHeader) -> NDArray[np.float64]:
        """Samples in the channels and at the rate that are asked for."""
        if self.mono:
            samples = samples.mean(0, keepdims=True)
        if self.rate is None or self.rate == header.rate:
            return samples
        from scipy.signal import resample_poly

        return np.asarray(resample_poly(samples, self.rate, header.rate, axis=1))

    def _find_shape(self, header: WavHeader) -> tuple[int, int]:
        """Channels and samples of a row."""
        rate = self.rate or header.rate
        length = self._count_samples(header) if self.seconds is None else round(self.seconds * rate)
        if not length:
            refuse_setting(self.name, "seconds", self.seconds, "as long as a sample, or longer")
        return 1 if self.mono else header.channels, length

    def _count_samples(self, header: WavHeader) -> int:
        """How many samples a file has at the rate that is asked for."""
        if self.rate is None:
            return header.frames
        common = gcd(self.rate, header.rate)
        return -(-header.frames * (self.rate // common) // (header.rate // common))

    def _survey(self, folder: Path) -> tuple[list[Path], list[WavHeader]]:
        """The files and what their headers say; no sample is read.

        Raises:
            Fault: they differ in what a batch needs to be one.
        """
        paths = list_files(folder, self.folder, SUFFIXES, KINDS)
        headers = [read_wav_header(path) for path in paths]
        first = headers[0]
        for path, header in zip(paths, headers, strict=True):
            both = folder / self.folder, paths[0], path
            if header.rate != first.rate and self.rate is None:
                _refuse("rate", *both, first.rate, header.rate)
            if header.channels != first.channels and not self.mono:
                _refuse("channels", *both, first.channels, header.channels)
            lengths = self._count_samples(first), self._count_samples(header)
            if lengths[0] != lengths[1] and self.seconds is None:
                _refuse("samples", *both, *lengths)
        return paths, headers

    def _need_memory(self, shape: tuple[int, ...], headers: Sequence[WavHeader]) -> None:
        """Refuses sounds that memory does not hold.

        Raises:
            Fault: they need more; nothing has been allocated for them.
        """
        largest = 4 * shape[0] * shape[1] * shape[2]
        decoded = max(DECODED * header.channels * header.frames for header in headers)
        needed, available = largest + 3 * decoded, find_available()
        if needed > available:
            what, kind = f"the sounds of `{self.folder}`", str(TensorType.of("f32", shape))
            raise Fault(
                lambda w: data_too_large(
                    w.argument("folder"), what, needed, available, kind, largest
                )
            )


def _refuse(
    what: str, root: Path, first: Path, other: Path, first_has: int, other_has: int
) -> NoReturn:
    """Raises the `Fault` of two sounds that differ."""
    names = [str(path.relative_to(root)) for path in (first, other)]
    raise Fault(
        lambda w: sounds_differ(
            w.argument("folder"), what, names[0], first_has, names[1], other_has
        )
    )
