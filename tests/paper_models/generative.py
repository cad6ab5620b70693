"""Autoencoders, adversarial networks and a diffusion model's U-Net in plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class Autoencoder(nn.Module):
    """Hinton and Salakhutdinov 2006."""

    def __init__(
        self, size: int = 784, widths: Sequence[int] = (1000, 500, 250), code: int = 30
    ) -> None:
        super().__init__()
        into, back = [size, *widths], [code, *reversed(widths)]
        self.encoder = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(into))
        self.to_code = nn.Linear(into[-1], code)
        self.decoder = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(back))
        self.to_image = nn.Linear(back[-1], size)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = image
        for layer in self.encoder:
            x = layer(x).sigmoid()
        code = x = self.to_code(x)
        for layer in self.decoder:
            x = layer(x).sigmoid()
        return self.to_image(x), code


class Vae(nn.Module):
    """Kingma and Welling 2013, as in PyTorch's examples."""

    def __init__(self, size: int = 784, hidden: int = 400, latent: int = 20) -> None:
        super().__init__()
        self.fc1 = nn.Linear(size, hidden)
        self.fc21 = nn.Linear(hidden, latent)
        self.fc22 = nn.Linear(hidden, latent)
        self.fc3 = nn.Linear(latent, hidden)
        self.fc4 = nn.Linear(hidden, size)

    def forward(self, image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.fc1(image).relu()
        mu, log_variance = self.fc21(h), self.fc22(h)
        z = torch.distributions.Normal(mu, (0.5 * log_variance).exp())
        drawn = z.loc + z.scale * noise
        return mu, log_variance, self.fc4(self.fc3(drawn).relu())


class DcganGenerator(nn.Module):
    """Radford et al. 2015."""

    def __init__(self, latent: int = 100, width: int = 64, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent, 8 * width, 4, 1, 0, bias=False)]
        for size in (8, 4, 2):
            layers += [nn.BatchNorm2d(size * width), nn.ReLU()]
            layers.append(nn.ConvTranspose2d(size * width, size // 2 * width, 4, 2, 1, bias=False))
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, noise: Tensor) -> Tensor:
        made: Tensor = self.main(noise)
        return made


class DcganDiscriminator(nn.Module):
    """Radford et al. 2015, without the sigmoid."""

    def __init__(self, width: int = 64, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1, bias=False)]
        layers.append(nn.LeakyReLU(0.2))
        for size in (1, 2, 4):
            layers.append(nn.Conv2d(size * width, 2 * size * width, 4, 2, 1, bias=False))
            layers += [nn.BatchNorm2d(2 * size * width), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(8 * width, 1, 4, 1, 0, bias=False))
        self.main = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        score: Tensor = self.main(image)
        return score.view(-1)


class Maxout(nn.Module):
    """Goodfellow et al. 2013."""

    def __init__(self, size: int, out: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.linear = nn.Linear(size, out * pieces)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        return y.view(*y.shape[:-1], -1, self.pieces).max(dim=-1).values


class ConditionalGenerator(nn.Module):
    """Mirza and Osindero 2014."""

    def __init__(self, latent: int = 100, noise_width: int = 200, width: int = 1200) -> None:
        super().__init__()
        self.from_noise = nn.Linear(latent, noise_width)
        self.from_class = nn.Linear(10, 1000)
        self.hidden = nn.Linear(noise_width + 1000, width)
        self.to_image = nn.Linear(width, 784)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        hot = torch.eye(10)[label]
        both = torch.cat([self.from_noise(noise).relu(), self.from_class(hot).relu()], 1)
        return torch.sigmoid(self.to_image(self.hidden(both).relu()))


class ConditionalDiscriminator(nn.Module):
    """Mirza and Osindero 2014, without the sigmoid."""

    def __init__(self, image_width: int = 240, pieces: int = 5, joint_pieces: int = 4) -> None:
        super().__init__()
        self.from_image = Maxout(784, image_width, pieces)
        self.from_class = Maxout(10, 50, pieces)
        self.joint = Maxout(image_width + 50, 240, joint_pieces)
        self.head = nn.Linear(240, 1)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        both = torch.cat([self.from_image(image), self.from_class(torch.eye(10)[label])], 1)
        score: Tensor = self.head(self.joint(both))
        return score.view(-1)


class UNetLevel(nn.Module):
    """A level of the authors' U-Net with all that lies inside of it."""

    def __init__(self, channels: int, widths: Sequence[int], drops: Sequence[float]) -> None:
        super().__init__()
        width, *inner = widths
        *rest, drop = drops
        layers: list[nn.Module] = [nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(channels, width, 4, 2, 1, bias=False))
        if inner:
            layers += [nn.BatchNorm2d(width), UNetLevel(width, inner, rest)]
        layers.append(nn.ReLU())
        into = 2 * width if inner else width
        layers.append(nn.ConvTranspose2d(into, channels, 4, 2, 1, bias=False))
        layers += [nn.BatchNorm2d(channels), nn.Dropout(drop)]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.model(x)], 1)


class Pix2PixGenerator(nn.Module):
    """Isola et al. 2016, the authors' PyTorch code."""

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512, 512, 512, 512, 512),
        drops: Sequence[float] = (0, 0.5, 0.5, 0.5, 0, 0, 0),
        channels: int = 3,
        out_channels: int = 3,
    ) -> None:
        super().__init__()
        first, *inner = widths
        self.model = nn.Module()
        self.model.model = nn.Sequential(
            nn.Conv2d(channels, first, 4, 2, 1, bias=False),
            UNetLevel(first, inner, drops),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * first, out_channels, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, image: Tensor) -> Tensor:
        made: Tensor = self.model.model(image)
        return made


def rename_levels(depth: int) -> dict[str, str]:
    """The authors' paths of modules, and the spec's."""
    found = {"model.model.0": "first", "model.model.3": "last"}
    path = "model.model.1"
    for level in range(depth - 1):
        found[f"{path}.model.1"] = f"down.{level}.conv"
        up, innermost = depth - 2 - level, level == depth - 2
        if not innermost:
            found[f"{path}.model.2"] = f"down.{level}.norm"
        place = 3 if innermost else 5
        found[f"{path}.model.{place}"] = f"up.{up}.conv"
        found[f"{path}.model.{place + 1}"] = f"up.{up}.norm"
        path += ".model.3"
    return found


class Pix2PixDiscriminator(nn.Module):
    """Isola et al. 2016, patches of 70 x 70 pixels."""

    def __init__(self, width: int = 64, channels: int = 6) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for size, stride in ((1, 2), (2, 2), (4, 1)):
            layers.append(nn.Conv2d(size * width, 2 * size * width, 4, stride, 1, bias=False))
            layers += [nn.BatchNorm2d(2 * size * width), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(8 * width, 1, 4, 1, 1))
        self.model = nn.Sequential(*layers)

    def forward(self, pair: Tensor) -> Tensor:
        score: Tensor = self.model(pair)
        return score


class ResnetBlock(nn.Module):
    """A residual block of DDPM's U-Net."""

    def __init__(self, channels: int, out: int, time: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels, eps=1e-6)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.time_emb_proj = nn.Linear(time, out)
        self.norm2 = nn.GroupNorm(groups, out, eps=1e-6)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(channels, out, 1) if channels != out else None

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        y = self.conv1(functional.silu(self.norm1(x)))
        y = y + self.time_emb_proj(functional.silu(time))[..., None, None]
        y = self.conv2(functional.silu(self.norm2(y)))
        return y + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class PixelAttention(nn.Module):
    """Attention of one head between pixels, by its formula."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        y = self.group_norm(x).view(batch, channels, -1).permute(0, 2, 1)
        q, k, v = self.to_q(y), self.to_k(y), self.to_v(y)
        weights = torch.einsum("bic,bjc->bij", q, k).mul(channels**-0.5).softmax(-1)
        y = self.to_out[0](weights @ v)
        return x + y.permute(0, 2, 1).reshape(batch, channels, height, width)


class DdpmUNet(nn.Module):
    """Ho et al. 2020, with diffusers' names."""

    def __init__(
        self,
        widths: Sequence[int] = (128, 256, 256, 256),
        attends: Sequence[bool] = (False, True, False, False),
        blocks: int = 2,
        rates: int = 64,
        groups: int = 32,
    ) -> None:
        super().__init__()
        self.rates, time = rates, 4 * widths[0]
        self.time_embedding = nn.ModuleDict(
            {"linear_1": nn.Linear(2 * rates, time), "linear_2": nn.Linear(time, time)}
        )
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        channels, skips, last = widths[0], [widths[0]], len(widths) - 1
        for level, (width, attend) in enumerate(zip(widths, attends, strict=True)):
            into = [channels, *[width] * (blocks - 1)]
            stage = nn.ModuleDict(
                {"resnets": nn.ModuleList(ResnetBlock(n, width, time, groups) for n in into)}
            )
            if attend:
                stage["attentions"] = nn.ModuleList(PixelAttention(width, groups) for _ in into)
            skips += [width] * blocks
            if level < last:
                conv = nn.Conv2d(width, width, 3, 2)
                stage["downsamplers"] = nn.ModuleList([nn.ModuleDict({"conv": conv})])
                skips.append(width)
            self.down_blocks.append(stage)
            channels = width
        middle = [ResnetBlock(channels, channels, time, groups) for _ in range(2)]
        attention = nn.ModuleList([PixelAttention(channels, groups)])
        self.mid_block = nn.ModuleDict({"resnets": nn.ModuleList(middle), "attentions": attention})
        for level in reversed(range(len(widths))):
            resnets = nn.ModuleList()
            for _ in range(blocks + 1):
                resnets.append(ResnetBlock(channels + skips.pop(), widths[level], time, groups))
                channels = widths[level]
            stage = nn.ModuleDict({"resnets": resnets})
            if attends[level]:
                stage["attentions"] = nn.ModuleList(
                    PixelAttention(channels, groups) for _ in resnets
                )
            if level > 0:
                conv = nn.Conv2d(channels, channels, 3, padding=1)
                stage["upsamplers"] = nn.ModuleList([nn.ModuleDict({"conv": conv})])
            self.up_blocks.append(stage)
        self.conv_norm_out = nn.GroupNorm(groups, channels, eps=1e-6)
        self.conv_out = nn.Conv2d(channels, 3, 3, padding=1)

    def embed_time(self, timestep: Tensor) -> Tensor:
        rates = [math.exp(-math.log(10_000) * i / (self.rates - 1)) for i in range(self.rates)]
        angles = timestep.double()[:, None] * torch.tensor(rates).double()
        waves = torch.cat([angles.sin(), angles.cos()], 1).float()
        time: Tensor = self.time_embedding["linear_2"](
            functional.silu(self.time_embedding["linear_1"](waves))
        )
        return time

    def forward(self, sample: Tensor, timestep: Tensor) -> Tensor:
        time = self.embed_time(timestep)
        x = self.conv_in(sample)
        skips = [x]
        for stage in self.down_blocks:
            for place, block in enumerate(stage["resnets"]):
                x = block(x, time)
                if "attentions" in stage:
                    x = stage["attentions"][place](x)
                skips.append(x)
            if "downsamplers" in stage:
                x = stage["downsamplers"][0]["conv"](functional.pad(x, (0, 1, 0, 1)))
                skips.append(x)
        first, second = self.mid_block["resnets"]
        x = second(self.mid_block["attentions"][0](first(x, time)), time)
        for stage in self.up_blocks:
            for place, block in enumerate(stage["resnets"]):
                x = block(torch.cat([x, skips.pop()], 1), time)
                if "attentions" in stage:
                    x = stage["attentions"][place](x)
            if "upsamplers" in stage:
                x = x.repeat_interleave(2, -1).repeat_interleave(2, -2)
                x = stage["upsamplers"][0]["conv"](x)
        made: Tensor = self.conv_out(functional.silu(self.conv_norm_out(x)))
        return made
