"""Trains with draws, gradients in the loss and several steps, against loops written by hand.

The loops are what one would write in PyTorch of the same recipe: nets, weights, batches and draws
are those of the generated script. Over the first twenty steps the losses and then the weights of
both are compared; then epochs are timed in turns.
"""

from __future__ import annotations

import copy
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from backends.onnx_runtime.measure import measure
from benchmarks.scripts import Rival, Script, start_script

ROOT = Path(__file__).resolve().parents[1]
THREADS = 2
STEPS = 20
"""Steps of an epoch: what is compared, and one sample of the time."""
BOUND = 1.02
"""Of the time of a step, as a part of the loop's by hand."""
TOLERANCE = 1e-5
"""Relative, of the mean losses of the first epoch; of the weights then, of their size."""

Losses = dict[str, float]


class WassersteinGan(Rival):
    """WGAN-GP (Gulrajani et al. 2017)."""

    def __init__(self, script: Script, model: Any) -> None:
        super().__init__(script, model)
        self.G, self.C = model["G"], model["C"]
        self.critic = torch.optim.Adam(self.C.parameters(), lr=5e-4, betas=(0.0, 0.9), fused=True)
        self.maker = torch.optim.Adam(self.G.parameters(), lr=5e-4, betas=(0.0, 0.9), fused=True)

    def compute_critic_loss(self, image: Tensor, draws: torch.Generator) -> Tensor:
        """The score of what is drawn less that of the images, and the penalty of the slope."""
        with torch.no_grad():
            fake = self.G(torch.randn(len(image), 128, generator=draws))
        mix = torch.rand(len(image), 1, 1, 1, generator=draws)
        between = (mix * image + (1 - mix) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(self.C(between).sum(), between, create_graph=True)
        penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
        loss: Tensor = self.C(fake).mean() - self.C(image).mean() + 10 * penalty
        return loss

    def run(self) -> Losses:
        """One epoch; the mean losses."""
        losses: dict[str, list[Tensor]] = {"critic.loss": [], "generator.loss": []}
        batches = torch.from_numpy(self.start_epoch()).split(self.batch)
        draws = self.make_draws()
        self.model.train()
        for step, rows in enumerate(batches, 1):
            image = self.columns[0][rows]
            loss = self.compute_critic_loss(image, draws)
            self.critic.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.critic.step()
            losses["critic.loss"].append(loss.detach())
            if step % 5 == 0:
                noise = torch.randn(len(image), 128, generator=draws)
                loss = -self.C(self.G(noise)).mean()
                self.maker.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self.maker.step()
                losses["generator.loss"].append(loss.detach())
        return {name: float(torch.stack(values).mean()) for name, values in losses.items()}


class Autoencoder(Rival):
    """A variational autoencoder (Kingma and Welling 2014)."""

    def __init__(self, script: Script, model: Any) -> None:
        super().__init__(script, model)
        self.encoder, self.decoder = model["encoder"], model["decoder"]
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
        self.step = 0

    def compute_loss(self, image: Tensor, draws: torch.Generator) -> Tensor:
        """The negative bound of the likelihood, in nats, whose divergence is warmed up."""
        mu, logvar = self.encoder(image)
        code = mu + (0.5 * logvar).exp() * torch.randn(mu.shape, generator=draws)
        logits = self.decoder(code)
        fit = functional.binary_cross_entropy_with_logits(logits, image, reduction="sum")
        divergence = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()
        return fit / len(image) + min(1.0, self.step / 1000) * divergence

    def run(self) -> Losses:
        """One epoch; the mean loss."""
        losses = []
        batches = torch.from_numpy(self.start_epoch()).split(self.batch)
        draws = self.make_draws()
        self.model.train()
        for rows in batches:
            self.step += 1
            loss = self.compute_loss(self.columns[0][rows], draws)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            losses.append(loss.detach())
        return {"loss": float(torch.stack(losses).mean())}


@dataclass(frozen=True)
class Case:
    """An example whose train is taken, the size of its images, their least value, and the loop."""

    example: str
    train: str
    size: int
    least: float
    rival: Callable[[Script, nn.Module], Any]
    batch: int
    rounds: int


CASES = {
    "wgan_gp": Case("wgan_gp_mnist", "gan", 32, -1.0, WassersteinGan, 64, 12),
    "vae": Case("vae_mnist", "vae", 28, 0.0, Autoencoder, 128, 30),
}


def write_spec(case: Case, folder: Path) -> Path:
    """The example's nets and its train, on random images in a file beside it."""
    shape = (case.batch * STEPS, 1, case.size, case.size)
    image = np.random.default_rng(0).random(shape, np.float32)
    np.savez(folder / "images.npz", image=image * (1 - case.least) + case.least)
    text = (ROOT / "specs" / "examples" / f"{case.example}.weft").read_text(encoding="utf-8")
    found = re.search(rf"^train {case.train}\b.*?^}}$", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{case.example} has no train {case.train}"
    train = re.sub(r"\) on \w+", ") on made", found[0], count=1)
    train = re.sub(r"\bbatch \d+", f"batch {case.batch}", train)
    nets = re.findall(r"^(?:use std\.|model )[^\n]*(?:\n[^\n]+)*$", text, re.MULTILINE)
    path = folder / "spec.weft"
    data = 'data made { source npz("images.npz")  split in_order, train=100% }'
    path.write_text("\n\n".join([*nets, data, train]) + "\n", encoding="utf-8")
    return path


def compare(case: Case, script: Script, rival: Any) -> None:
    """Holds the losses and weights of the first epoch against those of the loop by hand.

    Raises:
        AssertionError: they differ.
    """
    made, wanted = script.run(), rival.run()
    losses: Mapping[str, float] = made if isinstance(made, dict) else {"loss": made}
    assert losses.keys() == wanted.keys(), f"{case.example}: {losses} and {wanted}"
    for name, loss in wanted.items():
        off = abs(losses[name] - loss) / max(1.0, abs(loss))
        assert off < TOLERANCE, f"{case.example}: {name} is {losses[name]}, by hand {loss}"
    weights = script.model.state_dict()
    for name, value in rival.model.state_dict().items():
        off = float((weights[name] - value).abs().max())
        assert off < TOLERANCE * max(1.0, float(value.abs().max())), f"{name} is off by {off}"


def start(case: Case, folder: Path) -> tuple[Script, Any]:
    """The script of a case and its rival, with equal weights."""
    script = start_script(write_spec(case, folder), case.train, "--data", str(folder))
    return script, case.rival(script, copy.deepcopy(script.model))


def main() -> int:
    """Compares every case, or those named."""
    torch.set_num_threads(THREADS)
    print(
        f"{THREADS} threads, epochs of {STEPS} steps in turns; median ms a step, ratio in a round"
    )
    print("          generated   by hand   ratio [95 % interval]")
    held = []
    for name in sys.argv[1:] or CASES:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            script, rival = start(case, Path(folder))
        compare(case, script, rival)
        loops = {"generated": script.run, "by hand": rival.run}
        found = measure(loops, rounds=case.rounds, warmup=2)
        made, hand = (found.timings[n].median / STEPS * 1e3 for n in loops)
        ratio = found.ratio_within_rounds("generated", "by hand")
        low, high = found.ratio_interval("generated", "by hand")
        held.append(ratio <= BOUND)
        sign = "<=" if held[-1] else ">"
        print(
            f"{name:9} {made:9.2f} {hand:9.2f}   {ratio:.3f} [{low:.3f}, {high:.3f}] {sign} {BOUND}"
        )
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
