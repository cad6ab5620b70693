"""`sample`: what training scripts write while they train."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from compiler.driver import check
from compiler.report.diagnostics import Sink
from tests.test_train_steps import import_script
from tests.train_scripts import kill_after, lint, run, run_two, save_data, write, write_shared
from weft.cli.main import app

SPEC = """
model Encoder(z: int = 3) {
    input image: f32[batch, 1, 8, 8]
    output code: f32[batch, z] = image -> flatten -> dense(z)
}
model Decoder(z: int = 3) {
    input code: f32[batch, z]
    h = code -> dense(64) -> dropout(50%)
    output logits: f32[batch, 1, 8, 8] = h -> reshape([batch, 1, 8, 8])
}
data digits {
    source npz("digits.npz")
    image = (image / 16) -> reshape([1, 8, 8])
    split random(seed=0), train=80%, val=10%, test=10%
}
train fit on digits {
    net encoder = Encoder()
    net decoder = Decoder()
    logits = decoder(encoder(image))
    minimize bce_with_logits(logits, image) with adam(lr=1e-2)
    sample grid = sigmoid(decoder(normal([10, 3])))
    sample again = reshape(sigmoid(logits), [batch, 8, 8]), every=2epochs
    sample raw = decoder(normal([4, 3])), range=[-2, 2]
    sample codes = encoder(image)
    batch 64  epochs 3  seed 0
}
"""


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script of `SPEC` and a finished run in it."""
    folder = write(SPEC, tmp_path_factory.mktemp("samples"))
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
    return folder


def test_every_sample_is_written_when_it_is_due(fitted: Path) -> None:
    lint(fitted)
    names = sorted(path.name for path in (fitted / "out" / "samples").iterdir())
    assert names == [
        "again-0002.png",
        *(f"codes-000{epoch}.npy" for epoch in (1, 2, 3)),
        *(f"grid-000{epoch}.png" for epoch in (1, 2, 3)),
        *(f"raw-000{epoch}.png" for epoch in (1, 2, 3)),
    ]


def test_pictures_show_what_the_nets_make(fitted: Path) -> None:
    """Ten images of 8 x 8 are four in a row, the last two places black; nothing is dropped out."""
    model, script = import_script(fitted, "model"), import_script(fitted, "train")
    state = torch.load(fitted / "out" / "last.pt", weights_only=True)["model"]
    decoder, encoder = model.Decoder().eval(), model.Encoder().eval()
    for net, name in ((decoder, "decoder."), (encoder, "encoder.")):
        net.load_state_dict(
            {k.removeprefix(name): v for k, v in state.items() if k.startswith(name)}
        )
    draws = torch.Generator().manual_seed(750)
    images = decoder(torch.randn(10, 3, generator=draws)).sigmoid().detach().numpy()
    shown = np.asarray(Image.open(fitted / "out" / "samples" / "grid-0003.png"))
    assert shown.shape == (24, 32)
    for place, image in enumerate(images):
        row, column = divmod(place, 4)
        part = shown[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        assert np.abs(part - image[0] * 255).max() <= 1
    assert not shown[16:, 16:].any()
    rows = script.load_splits(fitted, "cpu")["val"][0][:64]
    found = np.load(fitted / "out" / "samples" / "codes-0003.npy")
    np.testing.assert_allclose(found, encoder(rows).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_samples_disturb_no_training_and_come_again_after_a_kill(
    fitted: Path, tmp_path: Path
) -> None:
    lines = [line for line in SPEC.splitlines() if "sample " not in line]
    plain = write("\n".join(lines), tmp_path)
    assert run(plain, "out").returncode == 0
    states = [
        torch.load(folder / "out" / "last.pt", weights_only=True)["model"]
        for folder in (fitted, plain)
    ]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    kill_after(fitted, "killed", 1, signal.SIGKILL)
    assert run(fitted, "killed", "--resume").returncode == 0
    for path in (fitted / "out" / "samples").iterdir():
        assert path.read_bytes() == (fitted / "killed" / "samples" / path.name).read_bytes()


def test_a_new_training_forgets_samples(fitted: Path) -> None:
    stale = fitted / "out" / "samples" / "grid-0099.png"
    stale.write_bytes(b"")
    assert run(fitted, "out", "--overwrite").returncode == 0
    assert not stale.exists()


def test_one_of_two_processes_writes(fitted: Path, tmp_path: Path) -> None:
    folder = write_shared(SPEC.replace("dropout(50%)", "identity"), tmp_path)
    lint(folder)
    assert run(folder, "one").returncode == 0
    assert run_two(folder, "two").returncode == 0
    for path in (folder / "one" / "samples").glob("*.npy"):
        one, two = np.load(path), np.load(folder / "two" / "samples" / path.name)
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4)


REFUSED = [
    (
        "sample raw = decoder(normal([4, 3])), range=[-2, 2]",
        "sample raw = decoder(normal([4, 3]))",
        "W1486",
    ),
    ("range=[-2, 2]", "range=[2, -2]", "W0208"),
    ("range=[-2, 2]", "range=3", "W0208"),
    ("range=[-2, 2]", "span=[-2, 2]", "W0208"),
    ("every=2epochs", "every=0", "W0601"),
    ("every=2epochs", "every=5steps", "W0208"),
    ("sample codes = encoder(image)", "sample codes = 3", "W1487"),
    ("sample codes = encoder(image)", "sample codes = encoder", "W1487"),
    ("sample codes =", "sample grid =", "W1488"),
    ("sample codes = encoder(image)", "sample encoder(image)", "W0208"),
]


@pytest.mark.parametrize(("old", "new", "code"), REFUSED)
def test_what_cannot_be_written_is_told(old: str, new: str, code: str, tmp_path: Path) -> None:
    assert old in SPEC
    save_data(tmp_path)
    path = tmp_path / "spec.weft"
    path.write_text(SPEC.replace(old, new))
    sink = Sink()
    check(path, sink=sink)
    errors = {m.code for m in sink.messages if m.severity.value == "error"}
    assert errors == {code}, [m.text.title for m in sink.messages]


def test_a_sample_of_some_rows_does_not_limit_what_is_deployed(tmp_path: Path) -> None:
    save_data(tmp_path)
    spec = SPEC.replace("decoder(encoder(image))", "decoder(encoder(noisy))")
    spec = spec.replace(
        "    logits =", "    noisy = image + 0.1 * normal_like(image)\n    logits ="
    )
    spec = spec.replace("sample again = reshape(sigmoid(logits), [batch", "sample again = reshape(")
    spec = spec.replace("reshape(, 8, 8])", "reshape(clip(noisy[:48], 0, 1), [48, 8, 8])")
    spec = spec.replace("epochs 3", "epochs 1  metric error = mse(sigmoid(logits), image)")
    path = tmp_path / "spec.weft"
    path.write_text(f"{spec}deploy fit.encoder as onnx {{ dynamic batch }}\n")
    done = CliRunner().invoke(app, ["build", str(path), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "NumPy, PyTorch and ONNX Runtime agree" in report
    assert "test, ONNX file" in report


def test_a_sample_of_tensors_that_come_from_nothing(tmp_path: Path) -> None:
    spec = SPEC.replace(
        "sample codes = encoder(image)",
        "sample codes = decoder(reshape(cast(arange(12), f32), [4, 3])), range=[-9, 9]\n"
        "    sample first = sigmoid(logits)[:48]",
    )
    folder = write(spec.replace("epochs 3", "epochs 1"), tmp_path)
    lint(folder)
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (folder / "out" / "samples").iterdir()}
    assert {"codes-0001.png", "first-0001.png"} <= names
