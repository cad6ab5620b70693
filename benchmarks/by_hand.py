"""Loops as one would write them in PyTorch, for the recipes that `benchmarks/objectives.py`
compares: what a page of a tutorial has, without files, options and figures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, AdamW, Optimizer

from benchmarks.scripts import Rival, Script
from benchmarks.views import make_view

Losses = dict[str, float]


class Loop(Rival):
    """What all loops do: batches in the order of the epoch, and a step of an optimizer."""

    def __init__(self, script: Script, model: Any) -> None:
        super().__init__(script, model)
        self.losses: dict[str, list[Tensor]] = {}

    def list_batches(self) -> Iterator[tuple[Tensor, torch.Generator]]:
        """The images of each batch of the next epoch, and the generator of its draws."""
        batches = torch.from_numpy(self.start_epoch()).split(self.batch)
        draws = self.make_draws()
        self.losses = {}
        for rows in batches:
            yield self.columns[0][rows], draws

    def take_step(self, loss: Tensor, optimizer: Optimizer, name: str = "loss") -> None:
        """A step by the gradients of a loss, which is kept."""
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        self.losses.setdefault(name, []).append(loss.detach())

    def run(self) -> Losses:
        """One epoch; the mean losses."""
        self.model.train()
        self.train()
        return {name: float(torch.stack(values).mean()) for name, values in self.losses.items()}

    def train(self) -> None:
        """The steps of an epoch."""
        raise NotImplementedError


class Gan(Loop):
    """A GAN with the loss that does not saturate (Goodfellow et al. 2014)."""

    def __init__(self, script: Script, model: Any) -> None:
        super().__init__(script, model)
        self.G, self.D = model["G"], model["D"]
        self.judge = Adam(self.D.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
        self.maker = Adam(self.G.parameters(), lr=1e-3, betas=(0.5, 0.999), fused=True)

    def train(self) -> None:
        """The discriminator and the generator in turns."""
        for image, draws in self.list_batches():
            with torch.no_grad():
                fake = self.G(torch.randn(len(image), 64, generator=draws))
            real, made = self.D(image), self.D(fake)
            loss = functional.softplus(-real).mean() + functional.softplus(made).mean()
            self.take_step(loss, self.judge, "discriminator.loss")
            made = self.D(self.G(torch.randn(len(image), 64, generator=draws)))
            self.take_step(functional.softplus(-made).mean(), self.maker, "generator.loss")


class WassersteinGan(Loop):
    """WGAN-GP (Gulrajani et al. 2017)."""

    def __init__(self, script: Script, model: Any) -> None:
        super().__init__(script, model)
        self.G, self.C = model["G"], model["C"]
        self.critic = Adam(self.C.parameters(), lr=5e-4, betas=(0.0, 0.9), fused=True)
        self.maker = Adam(self.G.parameters(), lr=5e-4, betas=(0.0, 0.9), fused=True)

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

    def train(self) -> None:
        """The critic at each step, the generator at each fifth."""
        for step, (image, draws) in enumerate(self.list_batches(), 1):
            self.take_step(self.compute_critic_loss(image, draws), self.critic, "critic.loss")
            if step % 5 == 0:
                noise = torch.randn(len(image), 128, generator=draws)
                self.take_step(-self.C(self.G(noise)).mean(), self.maker, "generator.loss")


class Autoencoder(Loop):
    """A variational autoencoder (Kingma and Welling 2014)."""

    def __init__(self, script: Script, model: Any) -> None:
        super().__init__(script, model)
        self.encoder, self.decoder = model["encoder"], model["decoder"]
        self.optimizer = Adam(model.parameters(), lr=1e-3, fused=True)
        self.step = 0

    def compute_loss(self, image: Tensor, draws: torch.Generator) -> Tensor:
        """The negative bound of the likelihood, in nats, whose divergence is warmed up."""
        mu, logvar = self.encoder(image)
        code = mu + (0.5 * logvar).exp() * torch.randn(mu.shape, generator=draws)
        logits = self.decoder(code)
        fit = functional.binary_cross_entropy_with_logits(logits, image, reduction="sum")
        divergence = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()
        return fit / len(image) + min(1.0, self.step / 1000) * divergence

    def train(self) -> None:
        """The only objective."""
        for image, draws in self.list_batches():
            self.step += 1
            self.take_step(self.compute_loss(image, draws), self.optimizer)


class Diffusion(Loop):
    """A denoising diffusion model (Ho et al. 2020), and the average of its weights."""

    def __init__(self, script: Script, model: Any) -> None:
        super().__init__(script, model)
        self.eps, self.smooth = model["eps"], model["smooth"]
        self.optimizer = Adam(self.eps.parameters(), lr=1e-3, fused=True)
        angle = torch.linspace(0.01, 0.99, 1000) * math.pi / 2
        self.alpha_bar = angle.cos() ** 2
        self.step, self.steps = 0, script.module.EPOCHS * len(self.columns[0]) // self.batch

    def train(self) -> None:
        """The noise of images is told at random times."""
        for image, draws in self.list_batches():
            x = 2 * image - 1
            t = torch.randint(0, 1000, (len(x),), generator=draws)
            noise = torch.randn(x.shape, generator=draws)
            a = self.alpha_bar[t][:, None, None, None]
            guess = self.eps(a.sqrt() * x + (1 - a).sqrt() * noise, t)
            rate = 1e-3 * min(1, 6 * (self.steps - self.step) / self.steps)
            self.optimizer.param_groups[0]["lr"] = rate
            self.take_step(functional.mse_loss(guess, noise), self.optimizer)
            decay = min(0.995, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                follow(self.smooth, self.eps, decay)
            self.step += 1


def follow(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Moves the average of a net's weights towards it."""
    for own, value in zip(average.parameters(), net.parameters(), strict=True):
        own.lerp_(value, 1 - decay)


def find_rate(step: int, steps: int) -> float:
    """The factor of the learning rate of one cycle, whose peak is at a tenth of the steps."""
    peak = 0.1 * steps - 1
    if step <= peak:
        return ramp(0.04, 1.0, step / peak)
    return ramp(1.0, 4e-6, (step - peak) / (steps - 1 - peak))


def ramp(start: float, end: float, share: float) -> float:
    """Half a cosine from one number to another."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))


class Contrast(Loop):
    """SimCLR (Chen et al. 2020)."""

    def __init__(self, script: Script, model: Any) -> None:
        super().__init__(script, model)
        self.encoder, self.projection = model["encoder"], model["projection"]
        self.optimizer = AdamW(model.parameters(), lr=2e-3, fused=True)
        self.step, self.steps = 0, script.module.EPOCHS * len(self.columns[0]) // self.batch

    def train(self) -> None:
        """Each view is to find the other one of its image."""
        for image, draws in self.list_batches():
            a = self.projection(self.encoder(make_view(image, draws)))
            b = self.projection(self.encoder(make_view(image, draws)))
            rows = functional.normalize(torch.cat([a, b]), dim=1)
            scores = (rows @ rows.T / 0.2).masked_fill(torch.eye(len(rows)).bool(), -math.inf)
            other = torch.arange(len(rows)).roll(len(a))
            rate = find_rate(self.step, self.steps)
            self.optimizer.param_groups[0]["lr"] = 2e-3 * rate
            self.take_step(functional.cross_entropy(scores, other), self.optimizer)
            self.step += 1


class SelfDistillation(Loop):
    """DINO (Caron et al. 2021)."""

    def __init__(self, script: Script, model: Any) -> None:
        super().__init__(script, model)
        self.student = nn.Sequential(model["encoder"], model["head"])
        self.teacher = nn.Sequential(model["teacher"], model["teacher_head"])
        self.center = model.center
        self.optimizer = AdamW(self.student.parameters(), lr=1e-3, fused=True)
        self.step, self.steps = 0, script.module.EPOCHS * len(self.columns[0]) // self.batch

    def compute_loss(self, image: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """How far the student is from the teacher, and the scores of the teacher."""
        large = [make_view(image, draws, scale=(0.3, 1.0)) for _ in range(2)]
        small = [make_view(image, draws, 16, (0.05, 0.3)) for _ in range(2)]
        with torch.no_grad():
            said = [self.teacher(x) for x in large]
        target = [((scores - self.center) / 0.04).softmax(1) for scores in said]
        guess = [(self.student(x) / 0.1).log_softmax(1) for x in large + small]
        parts = [
            -(target[i] * guess[j]).sum(1).mean() for i in range(2) for j in range(4) if i != j
        ]
        return torch.stack(parts).mean(), torch.cat(said)

    def train(self) -> None:
        """The student learns, the teacher and the centre of its scores follow."""
        self.teacher.eval()
        group = self.optimizer.param_groups[0]
        for image, draws in self.list_batches():
            share = self.step / self.steps
            loss, said = self.compute_loss(image, draws)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.student.parameters(), 3.0)
            group["lr"] = 1e-3 * find_rate(self.step, self.steps)
            group["weight_decay"] = ramp(0.04, 0.4, share)
            self.optimizer.step()
            self.losses.setdefault("loss", []).append(loss.detach())
            with torch.no_grad():
                follow(self.teacher, self.student, ramp(0.99, 1.0, share))
                self.center.copy_(0.9 * self.center + 0.1 * said.mean(0, keepdim=True))
            self.step += 1
