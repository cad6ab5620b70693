"""Wav files: what their headers say, and their samples."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from compiler.data.damage import UNREADABLE
from compiler.data.files import refuse_file
from compiler.records import dataclass

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
"""Codes of formats: whole numbers, floating-point numbers, and one that stands further behind."""
BITS = {PCM: (8, 16, 24, 32), FLOAT: (32, 64)}


@dataclass(frozen=True)
class WavHeader:
    """What a wav file says of itself. `start` is where its samples begin."""

    rate: int
    channels: int
    frames: int
    format: int
    bits: int
    start: int


def read_wav_header(path: Path) -> WavHeader:
    """The header of a wav file, of which no sample is read.

    Raises:
        Fault: it is none, is cut short, or its samples are packed.
    """
    try:
        with path.open("rb") as file:
            header = _read_chunks(file, path.stat().st_size)
    except UNREADABLE as error:
        refuse_file(path.name, f"it is not a wav file: {error}", option="folder")
    if header.bits not in BITS.get(header.format, ()):
        reason = f"its samples are of {header.bits} bits in format {header.format}"
        advice = "samples of 8, 16, 24 or 32 bits, or floating-point numbers, are read"
        refuse_file(path.name, reason, advice, "folder")
    if not header.rate or not header.channels or not header.frames:
        refuse_file(path.name, "it holds no samples", option="folder")
    return header


def _read_chunks(file: IO[bytes], size: int) -> WavHeader:
    """The header, from the chunks of a file.

    Raises:
        ValueError, struct.error: it is no wav file.
    """
    magic, _, kind = struct.unpack("<4sI4s", file.read(12))
    if (magic, kind) != (b"RIFF", b"WAVE"):
        raise ValueError("its first bytes are others")
    told: tuple[int, ...] = ()
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise ValueError("it is cut short" if told else "it has no `fmt` chunk")
        name, length = struct.unpack("<4sI", head)
        if name == b"data":
            break
        body = file.read(length + length % 2)
        if len(body) < length:
            raise ValueError("it is cut short")
        if name == b"fmt ":
            told = struct.unpack("<HHIIHH", body[:16])
            if told[0] == EXTENSIBLE:
                told = (struct.unpack("<H", body[24:26])[0], *told[1:])
    if not told:
        raise ValueError("it has no `fmt` chunk")
    start = file.tell()
    if start + length > size:
        raise ValueError(f"it promises {length:,} bytes of samples and has {size - start:,}")
    code, channels, rate, _, _, bits = told
    width = channels * bits // 8
    return WavHeader(rate, channels, length // width if width else 0, code, bits, start)


def read_samples(path: Path, header: WavHeader) -> NDArray[np.float64]:
    """The samples as numbers in [-1, 1), `[channels, frames]`; floating-point ones as they are.

    Raises:
        Fault: it cannot be read.
    """
    count = header.frames * header.channels
    try:
        with path.open("rb") as file:
            file.seek(header.start)
            data = file.read(count * header.bits // 8)
    except OSError as error:
        refuse_file(path.name, error.strerror or str(error), option="folder")
    return _decode(data, header).reshape(header.frames, header.channels).T


def _decode(data: bytes, header: WavHeader) -> NDArray[Any]:
    """Samples of all channels in turn."""
    match header.format, header.bits:
        case 3, bits:
            return np.frombuffer(data, f"<f{bits // 8}").astype(np.float64)
        case _, 8:  # these lie around 128
            return (np.frombuffer(data, np.uint8).astype(np.float64) - 128) / 128
        case _, 24:  # the upper three bytes of four
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            return wide.reshape(-1).view("<i4") / 2.0**31
        case _, bits:
            return np.frombuffer(data, f"<i{bits // 8}") / 2.0 ** (bits - 1)
