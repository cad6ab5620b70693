"""The programs that the language was tried on are checked with data in place. What had to be mended
in them, and why, stands here; `pad`, `balance` and `weights` are still to come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compiler.driver import check
from compiler.report.diagnostics import Sink

PROGRAMS = Path(__file__).parent / "good" / "programs"


@dataclass(frozen=True)
class Program:
    """A program with what its file leaves to others: `before` and `behind` it, and what is written
    otherwise in it."""

    name: str
    before: str = ""
    behind: str = ""
    mended: tuple[tuple[str, str], ...] = ()

    def write(self, folder: Path) -> Path:
        """The file of the whole program."""
        text = (PROGRAMS / f"{self.name}.weft").read_text(encoding="utf-8")
        for old, new in self.mended:
            assert old in text, old
            text = text.replace(old, new)
        path = folder / f"{self.name}.weft"
        path.write_text(self.before + text + self.behind, encoding="utf-8")
        return path


DIGITS = (PROGRAMS / "digits.weft").read_text(encoding="utf-8").split("variant tiny")[0]
DROPPED = DIGITS.split("data digits")[0].replace("dropout(25%)", "dropout(drop)")
DROPPED = DROPPED.replace("width: int = 16)", "width: int = 16, drop: float = 25%)")
MNIST = """
data mnist {
    source npz("mnist.npz")
    image = (image / 255) -> reshape([1, 28, 28])
    split random(seed=0), train=80%, val=10%, test=10%
}
"""
MNIST32 = MNIST.replace("mnist {", "mnist32 {").replace("28])", "28]) -> pad([2, 2, 2, 2])")
PHOTOS = """
data photos {
    source images("photos/")
    image = image / 255
    split random(seed=0), train=80%, val=10%, test=10%
}
"""
CAPTIONS = """
data captions {
    source npz("captions.npz")
    image = image / 255
    split random(seed=0), train=50%, val=50%
}
"""
NO_STEM = ('except=["head", "stem.*"]', 'except=["head"]')
"""The net has no layer of that name, and a pattern that matches none is refused."""

READY = (
    Program("clip", "use std.activations\n", CAPTIONS),
    Program("compression", DIGITS, mended=(NO_STEM,)),
    Program("ddpm", behind=MNIST),
    Program("digits", mended=(NO_STEM,)),
    Program(
        "dino",
        "use std.augment\n",
        PHOTOS,
        mended=(
            ("image: u8[n, 3, h, w], size", "image: f32[n, 3, h, w], size"),  # it is computed with
            (  # crops of two sizes have no learned positions in common
                'ViT(size="small", patch=16)',
                "conv(64, kernel=16, stride=16) -> gelu -> global_avg_pool",
            ),
        ),
    ),
    Program("ensemble", DIGITS),
    Program("llama3", mended=(("  weights float16", ""),)),
    Program("mobilenet_v2"),
    Program("peephole_lstm"),
    Program("resnet50", "use std.augment\n"),
    Program(
        "sweep",
        DROPPED,
        mended=(
            (  # columns of a data item draw nothing
                "image = image / 16 + noise * normal_like(image)",
                "image = (image / 16) -> reshape([1, 8, 8])",
            ),
            ("  split", "  augment { image = image + noise * normal_like(image) }  split"),
            ("train=80%, val=20% }", "train=60%, val=20%, test=20% }"),  # `front` reads `test`
            ("  minimize params  trials", "  trials"),  # a variant of it needs one best trial
        ),
    ),
    Program(
        "unet",
        "use std.augment\nuse std.losses\n",
        mended=(
            ("mask = mask > 0", "mask = cast(mask > 0, i64)"),  # classes are whole numbers
            ("soft_dice(softmax(logits, axis=1), target)", "soft_dice(logits, target)"),
            ("dice(argmax(logits, axis=1), target)", "dice(logits[:, 1] - logits[:, 0], target)"),
        ),
    ),
    Program(
        "vae",
        "use std.losses\n",
        MNIST,
        mended=(("kl_normal(mu, logvar) -> mean", "gaussian_kl(mu, logvar)"),),
    ),
    Program("wgan_gp", behind=MNIST32),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small files of the kinds that the programs read."""
    folder, generator = tmp_path_factory.mktemp("programs"), np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return generator.integers(0, 256, shape, np.uint8)

    np.savez(folder / "mnist.npz", image=draw(40, 28, 28), label=generator.integers(0, 10, 40))
    captions = generator.integers(0, 49408, (4, 77))
    np.savez(folder / "captions.npz", image=draw(4, 3, 224, 224), text=captions)
    for name in ("photos/cat", "photos/dog", "membranes/raw", "membranes/label"):
        (folder / name).mkdir(parents=True)
        grey = name.startswith("membranes")
        for number in range(30 if grey else 12):
            image = Image.fromarray(draw(64, 64) if grey else draw(64, 64, 3))
            image.save(folder / name / f"{number:02}.png")
    begin = datetime(2004, 3, 10, 18)
    rows = [
        f"{begin + timedelta(hours=n)};{n % 24};{n % 7};{n % 5};{n % 9};{n % 3}" for n in range(400)
    ]
    head = "Date;PT08.S1(CO);C6H6(GT);T;RH;CO(GT)"
    (folder / "air quality.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder


@pytest.mark.parametrize("program", READY, ids=lambda program: program.name)
def test_a_program_is_checked(program: Program, data: Path) -> None:
    sink = Sink()
    made = check(program.write(data), sink=sink)
    assert made is not None
    said = [(m.code, m.text.title) for m in sink.messages if m.severity.value == "error"]
    assert not said


def test_every_program_is_ready_but_one() -> None:
    """Particle transformer needs rows of varying length."""
    names = {path.stem for path in PROGRAMS.glob("*.weft")}
    assert names - {program.name for program in READY} == {"particle_transformer"}
