"""Specs, folders and runs for the tests of generated training scripts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits, load_iris

from backends.pytorch.run.running import read_metrics
from backends.pytorch.train.folder import write_training
from compiler.driver import check
from compiler.program.train import Train
from compiler.report.diagnostics import Sink

RULES = "E4,E7,E9,F,I,UP,B"
"""Ruff's default rules, import order, pyupgrade and likely bugs."""

DIGITS = """
model DigitNet(width: int = 8) {
    input image: f32[batch, 1, 8, 8]
    x = image -> conv(width, kernel=3, padding="same") -> batch_norm -> relu
        -> max_pool(2) -> flatten
    output logits: f32[batch, 10] = x -> dropout(25%) -> dense(10) as head
}
data digits {
    source npz("digits.npz")
    image = (image / 16) -> reshape([1, 8, 8])
    split random(seed=0, stratify=label), train=80%, val=10%, test=10%
}
train fit of DigitNet on digits {
    minimize cross_entropy(logits, label) with adamw(lr=3e-3, schedule=cosine(warmup=5%))
    metric accuracy = accuracy(logits, label)
    batch 64  epochs 5  seed 0
}
"""
PLAIN = """
model Net {
    input features: f32[batch, 4]
    output logits: f32[batch, 3] = features -> dense(16) as hidden -> tanh -> dense(3) as head
}
data iris {
    source npz("iris.npz")
    features = features -> standardize
    split random(seed=0), train=96, val=27, test=27
}
train fit of Net on iris {
    minimize cross_entropy(logits, label) with OPTIMIZER
    metric accuracy = accuracy(logits, label)
    batch 24  epochs 6  seed 0
}
"""


NETS = """
model Body(width: int = 16) {
    input features: f32[batch, 4]
    output h: f32[batch, width] = features -> dense(width) as fc -> tanh
}
model Head(width: int) {
    input h: f32[batch, width]
    output logits: f32[batch, 3] = h -> dense(3) as fc
}
net start = Head(width=24) -> load("old.safetensors", only=["fc.weight"], rename=["old" -> "fc"])
data iris {
    source npz("iris.npz")
    split random(seed=0), train=96, val=27, test=27
}
train fit on iris {
    net body = Body(width=24)
    net frozen = Body()
    net head = start
    logits = features -> body -> head
    twice = (2 * features) -> body -> head
    rest = features -> frozen
    minimize cross_entropy(logits, label) + mse(twice, logits) + mean(rest ** 2)
        with adamw(lr=0.01) over "body.*" with sgd(lr=0.1)
    metric accuracy = accuracy(logits, label)
    metric top_2 = top_k(logits, label, k=2)
    batch 24  epochs 4  seed 0
    freeze frozen
}
"""

GAN = """
model Generator(z: int = 16, c: int = 4) {
    input noise: f32[batch, z]
    output image: f32[batch, 1, 8, 8] = noise
        -> dense(4 * c * 4) -> reshape([batch, 4 * c, 2, 2]) -> NORM -> relu
        -> conv_transpose(2 * c, kernel=4, stride=2, padding=1, bias=false) -> NORM -> relu
        -> conv_transpose(1, kernel=4, stride=2, padding=1) -> sigmoid
}
model Critic(c: int = 4) {
    input image: f32[batch, 1, 8, 8]
    output score: f32[batch] = image
        -> conv(c, kernel=4, stride=2, padding=1) -> leaky_relu(0.2)
        -> conv(2 * c, kernel=4, stride=2, padding=1) -> leaky_relu(0.2)
        -> flatten -> dense(1) as head -> squeeze(1)
}
data digits {
    source npz("digits.npz")
    image = (image / 16) -> reshape([1, 8, 8])
    split random(seed=0), train=80%, val=10%, test=10%
}
train fit on digits {
    net G = Generator()
    net D = Critic()
    code = reshape(image, [batch, 64])[:, 16:32]
    step critic {
        fake = G(code)
        minimize mean(softplus(-D(image))) + mean(softplus(D(fake)))
            over D with adam(lr=1e-3, betas=[0.5, 0.9])
        metric gap = mean(D(image)) - mean(D(fake))
    }
    step generator, every=3steps {
        minimize mean(softplus(-D(G(code)))) over G with adam(lr=2e-3, betas=[0.5, 0.9])
    }
    batch 64  epochs 2  seed 0
}
""".replace("NORM", "batch_norm")
"""Not a generative model: its noise is pixels, so that nothing is drawn."""

VAE = """
block draw(mu: f32[n, z], logvar: f32[n, z]) {
    return mu + exp(0.5 * logvar) * normal_like(mu)
}
model Encoder(z: int = 4) {
    input image: f32[batch, 64]
    h = image -> dense(32) as hidden -> relu
    output mu: f32[batch, z] = h -> dense(z) as mu
    output logvar: f32[batch, z] = h -> dense(z) as logvar
}
model Decoder(z: int = 4) {
    input code: f32[batch, z]
    output logits: f32[batch, 64] = code -> dense(32) as hidden -> relu -> dense(64) as out
}
data digits {
    source npz("digits.npz")
    image = (image / 16) -> reshape([64])
    split random(seed=0), train=80%, val=10%, test=10%
}
train fit(beta: float = 0.5) on digits {
    net encoder = Encoder()
    net decoder = Decoder()
    mu, logvar = encoder(image)
    code = draw(mu, logvar)
    likelihood = bce_with_logits(decoder(code), image, reduction="sum") / batch
    divergence = mean(sum(-0.5 * (1 + logvar - mu ** 2 - exp(logvar)), axis=1))
    minimize likelihood + beta * divergence with adam(lr=1e-3)
    metric elbo = -likelihood - divergence, better="higher"
    batch 64  epochs 3  seed 3
}
"""
"""Kingma and Welling 2014, on small images."""

AUGMENTED = """
use std.augment

model Net {
    input image: f32[batch, 1, 8, 8]
    output logits: f32[batch, 10] = image
        -> conv(4, kernel=3, padding=1) -> relu -> flatten -> dense(10)
}
data digits {
    source npz("digits.npz")
    image = (image / 16) -> reshape([1, 8, 8])
    augment { image = image -> random_crop(8, padding=1) -> random_erasing(30%) }
    split random(seed=0, stratify=label), train=80%, val=10%, test=10%
}
train fit of Net on digits {
    minimize cross_entropy(logits, label) with adam(lr=1e-3)
    metric accuracy = accuracy(logits, label)
    batch 64  epochs 3  seed 4
}
"""

VIEWS = """
model Net(k: int = 6, unit: bool = false) {
    input x: f32[batch, 4]
    h = x -> dense(8) -> layer_norm -> relu -> dense(k)
    output code: f32[batch, k] = if unit then h -> l2_normalize(axis=-1) else h
}
data iris {
    source npz("iris.npz")
    x = features
    split random(seed=0), train=96, val=27, test=27
}
"""
DINO = f"""{VIEWS}
train fit(k: int = 6) on iris {{
    net student = Net(k=k)
    net teacher = ema(student, decay=0.9)
    buffer center: f32[1, k] = 0.1
    views = [x, 2 * x]
    t = [teacher(v) -> detach for v in views]
    s = [student(v) / 0.5 for v in views]
    target = [softmax((y - center) / 0.2, axis=-1) for y in t]
    minimize 0.5 * (cross_entropy(s[0], target[1]) + cross_entropy(s[1], target[0]))
        over student with sgd(lr=0.3)
    update center = 0.9 * center + 0.1 * mean(concat(t, axis=0), axis=0, keep=true)
    batch 24  epochs 5  seed 3
}}
"""
"""Two networks that see two views (Caron et al. 2021), with the centre of the teacher's scores."""
MOCO = f"""{VIEWS}
train fit(size: int = 64, d: int = 6) on iris {{
    net query = Net(k=d, unit=true)
    net key = ema(query, decay=0.9)
    buffer queue: f32[size, d] = normal(0.3)
    buffer pointer: i64[] = 5
    q = query(x)
    k = key(x + 0.1 * normal_like(x))
    same = sum(q * k, axis=1, keep=true)
    scores = concat([same, q @ transpose(queue, 0, 1)], axis=1) / 0.2
    minimize cross_entropy(scores, zeros([batch], dtype=i64)) over query with sgd(lr=0.1)
    update queue = concat([k, queue], axis=0)[0:size]
    update pointer = (pointer + batch) % size
    metric spread = mean(std(queue, axis=0)), better="higher"
    batch 24  epochs 5  seed 2
}}
"""
"""A queue of keys that a slower network made (He et al. 2020)."""

DDPM = """
let T = 100
let alpha_bar = cos(linspace(0.01, 0.99, T) * pi / 2) ** 2
model Net(c: int = 8) {
    input x: f32[batch, 1, 8, 8]
    input t: i64[batch]
    time = t -> embedding(T, c)
    h = x -> conv(c, kernel=3, padding=1) as first -> group_norm(2)
    h = (h + time[:, :, none, none]) -> silu -> dropout(10%)
    output noise: f32[batch, 1, 8, 8] = h -> conv(1, kernel=3, padding=1) as last
}
data digits {
    source npz("digits.npz")
    image = (image / 8 - 1) -> reshape([1, 8, 8])
    split random(seed=0), train=80%, val=10%, test=10%
}
train fit on digits {
    net eps = Net()
    net smooth = ema(eps, decay=0.95, warmup=true)
    t = randint(0, T, [batch])
    noise = normal_like(image)
    a = alpha_bar[t] -> reshape([batch, 1, 1, 1])
    minimize mse(eps(sqrt(a) * image + sqrt(1 - a) * noise, t), noise) over eps
        with adam(lr=1e-3, schedule=min(1, 6 * (steps - step) / steps))
    batch 64  epochs 3  seed 6
}
"""
"""A diffusion model (Ho et al. 2020) of small images, and the average of its weights."""


ADAPT = """
model Net(width: int = 16) {
    input image: f32[batch, 64]
    output h: f32[batch, width] = image
        -> dense(24) as first -> relu -> dense(width) as fc -> tanh
    output logits: f32[batch, 10] = h -> dense(10) as head
}
data digits {
    source npz("digits.npz")
    image = (image / 16) -> reshape([64])
    split random(seed=0), train=60%, val=20%, test=20%
}
data inverted {
    source npz("digits.npz")
    image = (1 - image / 16) -> reshape([64]) -> standardize
    split random(seed=7), train=200, val=50, test=100
}
train fit on digits, inverted {
    net m = Net()
    near = m(digits.image)
    far = m(inverted.image)
    minimize cross_entropy(near.logits, digits.label)
        + 0.3 * mse(mean(near.h, axis=0), mean(far.h, axis=0)) with adam(lr=1e-2)
    metric accuracy = accuracy(near.logits, digits.label)
    metric moved = accuracy(far.logits, inverted.label)
    metric apart = mse(near.h, far.h)
    batch 64  epochs 4  seed 5
}
"""
"""Representations of two domains, whose means are pulled together."""


def save_data(folder: Path) -> None:
    """Scikit-learn's sets as archives, which load sooner than scikit-learn."""
    digits, iris = load_digits(), load_iris()
    np.savez(folder / "digits.npz", image=digits.images.astype(np.uint8), label=digits.target)
    np.savez(folder / "iris.npz", features=iris.data.astype(np.float32), label=iris.target)
    save_file({"old.weight": torch.full((3, 24), 0.1)}, folder / "old.safetensors")


def open_train(text: str, folder: Path) -> Train:
    save_data(folder)
    path = folder / "spec.weft"
    path.write_text(text)
    sink = Sink()
    program = check(path, overrides={}, sink=sink)
    assert program is not None
    assert not sink.has_errors, [m.text.title for m in sink.messages]
    return program.trains["fit"]


def write(text: str, folder: Path) -> Path:
    write_training(open_train(text, folder), folder)
    return folder


def write_shared(text: str, folder: Path) -> Path:
    """The folder of a script that divides its batches among processes."""
    return write(share(text), folder)


def share(text: str) -> str:
    """A spec whose trains divide their batches among processes."""
    return re.sub(r"(\n *)batch (?=\d)", r"\1processes ddp  batch ", text)


def run(folder: Path, out: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "train.py", "--out", out, "--device", "cpu", *options],
        cwd=folder,
        env=one_thread(),
        capture_output=True,
        text=True,
        check=False,
    )


def run_two(folder: Path, out: str) -> subprocess.CompletedProcess[str]:
    """Runs a script in two processes."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*launch, "--nproc-per-node", "2", "train.py", "--out", out, "--device", "cpu"],
        cwd=folder,
        env=one_thread(),
        capture_output=True,
        text=True,
        check=False,
    )


def assert_two_processes_agree(folder: Path, *metrics: str) -> None:
    """Runs a script alone and in two processes: the weights and the metrics agree."""
    done = run(folder, "one")
    assert done.returncode == 0, done.stderr
    done = run_two(folder, "two")
    assert done.returncode == 0, done.stderr
    one, two = (load_state(folder / out)["model"] for out in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-5, msg=name)
    records = [read_metrics(folder / out / "metrics.jsonl") for out in ("one", "two")]
    for left, right in zip(*records, strict=True):
        for name in metrics:
            assert right[name] == pytest.approx(left[name], rel=1e-4)


def one_thread() -> Mapping[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def kill_after(folder: Path, out: str, epochs: int, how: signal.Signals, *options: str) -> None:
    """Kills a training while it works on the epoch after the given number of epochs. On a busy
    machine the signal may come after the end."""
    command = [sys.executable, "train.py", "--out", out, "--device", "cpu", *options]
    with subprocess.Popen(
        command, cwd=folder, env=one_thread(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(epochs):
            process.stdout.readline()
        process.send_signal(how)
    assert process.returncode in (-how, 0)


def check_equal(one: Path, other: Path) -> None:
    for name in ("best.safetensors", "results.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    states = [load_state(folder) for folder in (one, other)]
    for state in states:
        for record in state["history"]:
            record.pop("seconds")
    assert_same(*states)
    timeless = [
        [{k: v for k, v in record.items() if k != "seconds"} for record in read_metrics(path)]
        for path in (one / "metrics.jsonl", other / "metrics.jsonl")
    ]
    assert timeless[0] == timeless[1]


def load_state(folder: Path) -> dict[str, Any]:
    """What a training goes on from."""
    return torch.load(folder / "last.pt", weights_only=True)  # type: ignore[no-any-return]


def assert_same(one: Any, other: Any) -> None:
    """Equal bit for bit, tensors inside of lists and dictionaries too."""
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype
        assert torch.equal(one.nan_to_num(), other.nan_to_num())
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    else:
        assert one == other


def lint(folder: Path) -> None:
    """A folder's code is as a formatter and a linter leave it."""
    assert_scripts_clean(folder, "train.py", "model.py")


def assert_scripts_clean(folder: Path, *names: str) -> None:
    """Files are as a formatter and a linter leave them."""
    for command in (["format", "--diff"], ["check", "--select", RULES]):
        found = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", *names],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == 0, found.stdout
