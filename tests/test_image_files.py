"""Files of images of every kind: palettes, depths, frames, orientations, masks; what Weft reads is
what its generated code reads, or it is refused."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from compiler.data.images import Images
from compiler.data.pixels import read_image
from compiler.driver import check_source as check_text
from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from tests.faults import fault_of
from tests.sources import check_source

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 4, 3), np.uint8)
CODES = np.random.default_rng(1).integers(0, 3, (6, 4), np.uint8)
DEEP = np.random.default_rng(2).integers(0, 1 << 16, (6, 4), np.uint16)


def colours() -> Image.Image:
    return Image.fromarray(COLOURS)


def palette(*, entries: tuple[int, ...] = (0, 0, 0, 128, 0, 0, 0, 128, 0)) -> Image.Image:
    """Classes in the colours of a palette, as segmentation sets store them."""
    made = Image.fromarray(CODES).convert("P")
    made.frombytes(CODES.tobytes())
    made.putpalette([*entries, *[0] * (768 - len(entries))])
    return made


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def write_png(path: Path, width: int, height: int, bits: int, kind: int, data: bytes) -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        check_sum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check_sum

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(data))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b""))


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("a.png", colours().convert("P"), {}),
        ("a.png", colours().convert("P"), {"transparency": bytes(range(256))}),
        ("a.gif", colours().convert("P"), {}),
        ("a.jpg", colours().convert("CMYK"), {}),
        ("a.tif", colours().convert("CMYK"), {}),
        ("a.tif", colours().convert("YCbCr"), {}),
        ("a.webp", colours(), {"lossless": True}),
        ("a.jpg", colours(), {"format": "MPO", "save_all": True, "append_images": [colours()]}),
        ("a.png", Image.fromarray(np.dstack([COLOURS, CODES])), {}),
        ("a.png", Image.fromarray(CODES > 0), {}),
        ("a.bmp", Image.fromarray(CODES), {}),
    ],
)
@pytest.mark.parametrize("size", [(), (3, 5)])
@pytest.mark.filterwarnings("ignore:Palette images")
def test_rows_are_those_of_pillow(
    name: str, image: Image.Image, options: dict[str, Any], size: tuple[int, ...], tmp_path: Path
) -> None:
    path = save(image, tmp_path / "raw" / name, **options)
    rows = check_source(Images("raw", size), tmp_path)["image"]
    mode = "L" if image.mode in ("1", "L") else "RGB"
    pixels = Image.open(path).convert(mode)
    if size:
        pixels = pixels.resize(size[::-1], Image.Resampling.BILINEAR)
    expected = np.atleast_3d(np.asarray(pixels))
    np.testing.assert_array_equal(rows[0], np.moveaxis(expected, -1, 0))


# --- orientation --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_pixels_are_read_as_they_are_stored_with_a_warning(name: str, tmp_path: Path) -> None:
    save(colours(), tmp_path / "raw" / "0.png")
    path = save(colours(), tmp_path / "raw" / name, exif=orientation(6))
    save(colours(), tmp_path / "raw" / "b.png", exif=orientation(3))
    save(colours(), tmp_path / "raw" / "c.png", exif=orientation(1))
    rows = check_source(Images("raw"), tmp_path)["image"]
    stored = np.asarray(Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(rows[1], np.moveaxis(stored, -1, 0))
    sink = Sink()
    text = 'data d { source images("raw")\n split in_order, train=100% }\n'
    check_text(Source(str(tmp_path / "s.weft"), text), sink=sink)
    (warning,) = sink.messages
    assert (warning.code, sink.has_errors) == ("W1401", False)
    assert f"`{name}` and 1 other image" in warning.text.label
    assert warning.span is not None


def test_pillow_turns_tiff_files_and_so_do_rows(tmp_path: Path) -> None:
    save(colours(), tmp_path / "raw" / "a.tif", exif=orientation(6))
    source = Images("raw")
    upright = ImageOps.exif_transpose(Image.open(tmp_path / "raw" / "a.tif"))
    np.testing.assert_array_equal(
        check_source(source, tmp_path)["image"][0], np.moveaxis(np.asarray(upright), -1, 0)
    )
    assert source.schema(tmp_path)[0].doubt is None


# --- what no row can hold -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.tif", "a.webp"])
def test_a_file_of_several_frames_is_refused(name: str, tmp_path: Path) -> None:
    image, other = colours(), Image.fromarray(255 - COLOURS)
    save(image, tmp_path / "raw" / name, save_all=True, append_images=[other])
    message = fault_of(lambda: Images("raw").schema(tmp_path))
    assert "several frames" in message.text.label


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_deep_grey_is_refused(name: str, tmp_path: Path) -> None:
    save(Image.fromarray(DEEP), tmp_path / "raw" / name)
    assert "more than 8 bits" in fault_of(lambda: Images("raw").schema(tmp_path)).text.label


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_deep_colours_are_refused_not_halved(kind: int, channels: int, tmp_path: Path) -> None:
    line = b"\0" + bytes(range(4 * channels * 2))
    write_png(tmp_path / "a.png", 4, 6, 16, kind, 6 * line)
    assert "more than 8 bits" in fault_of(lambda: Images(".").schema(tmp_path)).text.label


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.tif"])
def test_a_program_for_printers_is_no_image(name: str, tmp_path: Path) -> None:
    text = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    (tmp_path / name).write_text(text)
    assert "EPS" in fault_of(lambda: Images(".").schema(tmp_path)).text.label


def test_a_comment_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    comment = b"Comment\0\0" + zlib.compress(bytes(64 << 20))
    write_png(tmp_path / "a.png", 4, 6, 8, 0, bytes(30))
    data = (tmp_path / "a.png").read_bytes()
    check_sum = struct.pack(">I", zlib.crc32(b"zTXt" + comment))
    chunk = struct.pack(">I", len(comment)) + b"zTXt" + comment + check_sum
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
    assert fault_of(lambda: Images(".").load(tmp_path)).code == "W0702"


def test_memory_is_asked_for_images_as_they_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(Image.new("L", (2000, 1000)), tmp_path / "raw" / "a.png")
    monkeypatch.setattr("compiler.data.images.find_available", lambda: 1 << 20)
    assert fault_of(lambda: Images("raw", (4, 4)).load(tmp_path)).text.title


# --- masks --------------------------------------------------------------------------------------

SHADES = Image.fromarray(CODES)


@pytest.mark.parametrize(
    ("name", "mask", "expected"),
    [
        ("a.png", SHADES, CODES),
        ("a.png", palette(), CODES),
        ("a.gif", palette(), CODES),
        ("a.bmp", SHADES.convert("RGB"), CODES),
        ("a.png", SHADES.convert("RGBA"), CODES),
        ("a.png", Image.fromarray(CODES > 0), 255 * (CODES > 0)),
    ],
)
def test_masks_are_numbers(name: str, mask: Image.Image, expected: Any, tmp_path: Path) -> None:
    save(colours(), tmp_path / "raw" / "a.png")
    save(mask, tmp_path / "masks" / name)
    (tmp_path / "masks" / "a.txt").write_text("about it")
    rows = check_source(Images("raw", mask="masks"), tmp_path)["mask"]
    np.testing.assert_array_equal(rows[0], expected)
    resized = check_source(Images("raw", (3, 2), "masks"), tmp_path)["mask"]
    assert set(resized.flat) <= set(np.unique(expected))


def test_masks_of_both_kinds_in_one_folder(tmp_path: Path) -> None:
    for stem, mask in (("a", SHADES), ("b", palette())):
        save(colours(), tmp_path / "raw" / f"{stem}.png")
        save(mask, tmp_path / "masks" / f"{stem}.png")
    rows = check_source(Images("raw", mask="masks"), tmp_path)["mask"]
    np.testing.assert_array_equal(rows, [CODES, CODES])


def deep(path: Path) -> None:
    save(Image.fromarray(DEEP), path / "a.png")


def coloured(path: Path) -> None:
    save(colours(), path / "a.png")


def narrow(path: Path) -> None:
    save(SHADES.crop((0, 0, 3, 6)), path / "a.png")


def huge(path: Path) -> None:
    path.mkdir()
    write_png(path / "a.png", 100_000, 100_000, 8, 0, bytes(100))


def twofold(path: Path) -> None:
    save(SHADES, path / "a.png")
    save(SHADES, path / "a.bmp")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (deep, "more than 8 bits"),
        (coloured, "it has colours"),
        (narrow, "its mask 6×3"),
        (huge, "100000"),
        (twofold, "`a.bmp` and `a.png` are both masks of one image"),
    ],
)
def test_masks_that_are_none(write: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    save(colours(), tmp_path / "raw" / "a.png")
    write(tmp_path / "masks")
    message = fault_of(lambda: Images("raw", mask="masks").load(tmp_path))
    assert reason in message.text.label.replace("10000000000", "100000")


def test_a_mask_of_another_size_is_resized_where_all_are(tmp_path: Path) -> None:
    save(colours(), tmp_path / "raw" / "a.png")
    narrow(tmp_path / "masks")
    assert check_source(Images("raw", (6, 6), "masks"), tmp_path)["mask"].shape == (1, 6, 6)
    message = fault_of(lambda: Images("raw", mask="masks").schema(tmp_path))
    assert message.code == "W1400"
    assert "size=[6, 4]" in (message.text.help or "")


# --- images that commands read ------------------------------------------------------------------


def test_an_image_with_a_palette_is_given_in_its_colours(tmp_path: Path) -> None:
    path = save(palette(), tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(path), np.asarray(palette().convert("RGB")))
    path = save(colours(), tmp_path / "b.png")
    np.testing.assert_array_equal(read_image(path), COLOURS)


def test_an_image_of_eighty_million_pixels_is_read_in_time(tmp_path: Path) -> None:
    """Memory is measured in a process of its own."""
    save(Image.new("RGB", (8900, 8900)), tmp_path / "raw" / "a.png")
    script = (
        "import sys; from pathlib import Path; from compiler.data.images import Images\n"
        "Images('raw', (4, 4)).load(Path(sys.argv[1]))\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    kilobytes = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert kilobytes < 500 << 10
