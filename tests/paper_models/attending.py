"""Networks that attend, in plain PyTorch: translation, jets of particles, pairs of top quarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.paper_models.generative import Maxout


class Seq2Seq(nn.Module):
    """Bahdanau et al. 2014, with PyTorch's GRU."""

    def __init__(
        self,
        source_vocab: int = 30_000,
        target_vocab: int = 30_000,
        size: int = 620,
        hidden: int = 1000,
        align: int = 1000,
        readout: int = 500,
    ) -> None:
        super().__init__()
        self.source_embed = nn.Embedding(source_vocab, size)
        self.target_embed = nn.Embedding(target_vocab, size)
        self.encoder = nn.GRU(size, hidden, batch_first=True, bidirectional=True)
        self.start = nn.Linear(hidden, hidden)
        self.key = nn.Linear(2 * hidden, align, bias=False)
        self.query = nn.Linear(hidden, align)
        self.score = nn.Linear(align, 1, bias=False)
        self.decoder = nn.GRUCell(size + 2 * hidden, hidden)
        self.readout = Maxout(hidden + size + 2 * hidden, readout, 2)
        self.head = nn.Linear(readout, target_vocab)

    def translate(self, words: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The scores and the attention of one sentence without padding."""
        memory, last = self.encoder(self.source_embed(words)[None])
        memory, h = memory[0], self.start(last[1]).tanh()
        scores, attention = [], []
        for word in self.target_embed(target):
            energy = self.score((self.query(h) + self.key(memory)).tanh())[:, 0]
            weights = energy.softmax(0)
            context = weights @ memory
            read = self.readout(torch.cat([h[0], word, context]))
            scores.append(self.head(read))
            attention.append(weights)
            h = self.decoder(torch.cat([word, context])[None], h)
        return torch.stack(scores), torch.stack(attention)

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        scores, attention = [], []
        for words, length, before in zip(source, lengths, target, strict=True):
            made, weights = self.translate(words[:length], before)
            scores.append(made)
            attention.append(functional.pad(weights, (0, source.shape[1] - int(length))))
        return torch.stack(scores), torch.stack(attention)


class ParticleBlock(nn.Module):
    """A block of the Particle Transformer, with weaver-core's names; sequence first."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.pre_attn_norm = nn.LayerNorm(d)
        self.attn = nn.MultiheadAttention(d, heads)
        self.post_attn_norm = nn.LayerNorm(d)
        self.pre_fc_norm = nn.LayerNorm(d)
        self.fc1 = nn.Linear(d, 4 * d)
        self.post_fc_norm = nn.LayerNorm(4 * d)
        self.fc2 = nn.Linear(4 * d, d)
        self.c_attn = nn.Parameter(torch.ones(heads))
        self.w_resid = nn.Parameter(torch.ones(d))

    def forward(
        self, x: Tensor, padding: Tensor, bias: Tensor | None = None, cls: Tensor | None = None
    ) -> Tensor:
        residual = x if cls is None else cls
        u = self.pre_attn_norm(x if cls is None else torch.cat([cls, x]))
        query = u if cls is None else cls
        mask = torch.zeros(padding.shape).masked_fill(padding, -math.inf)
        y, _ = self.attn(query, u, u, key_padding_mask=mask, attn_mask=bias, need_weights=False)
        split = y.view(*y.shape[:2], self.heads, -1)
        y = torch.einsum("tbhd,h->tbdh", split, self.c_attn).reshape(y.shape)
        x = residual + self.post_attn_norm(y)
        y = self.fc2(self.post_fc_norm(functional.gelu(self.fc1(self.pre_fc_norm(x)))))
        return y + self.w_resid * x


class ParticleTransformer(nn.Module):
    """Qu, Li and Qian 2022, from four-momenta."""

    def __init__(
        self,
        features: int = 17,
        classes: int = 10,
        widths: Sequence[int] = (128, 512, 128),
        pair_widths: Sequence[int] = (64, 64, 64),
        heads: int = 8,
        layers: int = 8,
        cls_layers: int = 2,
    ) -> None:
        super().__init__()
        d = widths[-1]
        self.embed, self.pair_embed = nn.Module(), nn.Module()
        self.embed.input_bn = nn.BatchNorm1d(features)
        embed: list[nn.Module] = []
        for width in widths:
            embed += [nn.LayerNorm(features), nn.Linear(features, width), nn.GELU()]
            features = width
        self.embed.embed = nn.Sequential(*embed)
        pairs: list[nn.Module] = [nn.BatchNorm1d(4)]
        channels = 4
        for width in (*pair_widths, heads):
            pairs += [nn.Conv1d(channels, width, 1), nn.BatchNorm1d(width), nn.GELU()]
            channels = width
        self.pair_embed.embed = nn.Sequential(*pairs)
        self.blocks = nn.ModuleList(ParticleBlock(d, heads) for _ in range(layers))
        self.cls_blocks = nn.ModuleList(ParticleBlock(d, heads) for _ in range(cls_layers))
        self.norm = nn.LayerNorm(d)
        self.fc = nn.Sequential(nn.Linear(d, classes))
        self.cls_token = nn.Parameter(torch.empty(1, 1, d).normal_(std=0.02))

    def relate(self, momenta: Tensor) -> Tensor:
        """The four numbers of each pair, from px, py, pz and energy."""
        px, py, pz, energy = momenta.double().unbind(1)
        pt = torch.hypot(px, py)
        y, phi = 0.5 * torch.log((energy + pz) / (energy - pz)), torch.atan2(py, px)
        apart = torch.remainder(phi[:, :, None] - phi[:, None, :] + math.pi, 2 * math.pi) - math.pi
        delta = torch.hypot(y[:, :, None] - y[:, None, :], apart)
        least = torch.minimum(pt[:, :, None], pt[:, None, :])
        total = momenta.double()[..., None] + momenta.double()[:, :, None]
        mass2 = total[:, 3] ** 2 - (total[:, :3] ** 2).sum(1)
        share = least / (pt[:, :, None] + pt[:, None, :])
        return torch.stack([least * delta, share, delta, mass2], 1).clamp(min=1e-8).log().float()

    def forward(self, particles: Tensor, momenta: Tensor, seen: Tensor) -> Tensor:
        batch, _, count = particles.shape
        x = self.embed.embed(self.embed.input_bn(particles).permute(2, 0, 1))
        x = x.masked_fill(~seen.T[..., None], 0)
        pairs = self.pair_embed.embed(self.relate(momenta).flatten(2))
        bias = pairs.reshape(-1, count, count)
        for block in self.blocks:
            x = block(x, ~seen, bias)
        cls = self.cls_token.expand(1, batch, -1)
        padding = torch.cat([torch.zeros(batch, 1, dtype=torch.bool), ~seen], 1)
        for block in self.cls_blocks:
            cls = block(x, padding, cls=cls)
        scores: Tensor = self.fc(self.norm(cls)[0])
        return scores


class LinearBlock(nn.Module):
    """Dense, PReLU, shortcut, layer norm."""

    def __init__(self, size: int, out: int, *, skip: bool) -> None:
        super().__init__()
        self.skip = skip
        self.linear = nn.Linear(size, out)
        self.activation = nn.PReLU(out)
        self.normalization = nn.LayerNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.linear(x))
        return self.normalization(y + x if self.skip else y)


class JetEncoder(nn.Module):
    """`nn.TransformerEncoder` over jets without padding."""

    def __init__(self, d: int, layers: int, heads: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(d, heads, d, 0.0, "gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False).layers

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x[None])[0]
        return x


class TopQuark(nn.Module):
    """The assignment of three jets to a top quark."""

    def __init__(self, d: int, blocks: int, layers: int, heads: int) -> None:
        super().__init__()
        self.embedding = nn.Sequential(*(LinearBlock(d, d, skip=True) for _ in range(blocks)))
        self.encoder = JetEncoder(d, layers, heads)
        self.weights = nn.Parameter(torch.randn(d, d, d))

    def forward(self, x: Tensor) -> Tensor:
        x = self.encoder(self.embedding(x))
        theta = (self.weights + self.weights.transpose(0, 1)) / 2
        scores = torch.einsum("ia,jb,kc,abc->ijk", x, x, x, theta) / x.shape[1] ** 1.5
        for i, j in ((0, 1), (0, 2), (1, 2)):
            torch.diagonal(scores, dim1=i, dim2=j).fill_(-math.inf)
        return scores.flatten().softmax(0).view(scores.shape)


class SpaNet(nn.Module):
    """Fenton et al. 2020, Shmakov et al. 2021; one event after the other, without padding."""

    def __init__(
        self,
        features: int = 6,
        widths: Sequence[int] = (16, 32, 64, 128),
        layers: int = 6,
        branch_embedding: int = 5,
        branch_layers: int = 3,
        heads: int = 8,
    ) -> None:
        super().__init__()
        sizes = [features, *widths]
        blocks = (LinearBlock(a, b, skip=False) for a, b in pairwise(sizes))
        self.embedding = nn.Sequential(*blocks)
        self.encoder = JetEncoder(widths[-1], layers, heads)
        self.first, self.second = (
            TopQuark(widths[-1], branch_embedding, branch_layers, heads) for _ in range(2)
        )

    def forward(self, jets: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        made: tuple[list[Tensor], list[Tensor]] = ([], [])
        for event, real in zip(jets, seen, strict=True):
            count = int(real.sum())
            x = self.encoder(self.embedding(event[:count]))
            room = [0, len(event) - count] * 3
            for rows, branch in zip(made, (self.first, self.second), strict=True):
                rows.append(functional.pad(branch(x), room))
        return torch.stack(made[0]), torch.stack(made[1])
