"""Regressions, dense and convolutional networks in plain PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class Regression(nn.Module):
    """`nn.Linear`, of powers where there is a degree."""

    def __init__(self, features: int = 10, outputs: int = 1, degree: int = 0) -> None:
        super().__init__()
        self.linear = nn.Linear(degree or features, outputs)
        self.degree = degree

    def forward(self, x: Tensor) -> Tensor:
        if self.degree:
            x = torch.cat([x.pow(k + 1) for k in range(self.degree)], 1)
        y: Tensor = self.linear(x)
        return y


class LogisticRegression(nn.Module):
    """Scores and their softmax."""

    def __init__(self, features: int = 784, classes: int = 10) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.linear(x)
        return scores, scores.exp() / scores.exp().sum(1, keepdim=True)


class Mlp(nn.Module):
    """Keras' example mnist_mlp."""

    def __init__(
        self, widths: Sequence[int] = (512, 512), size: int = 784, classes: int = 10
    ) -> None:
        super().__init__()
        sizes = [size, *widths]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.head = nn.Linear(sizes[-1], classes)

    def forward(self, image: Tensor) -> Tensor:
        for layer in self.layers:
            image = layer(image).clamp(min=0)
        scores: Tensor = self.head(image)
        return scores


class Cifar10Net(nn.Module):
    """PyTorch's tutorial "Training a Classifier"."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1, self.fc2 = nn.Linear(16 * 5 * 5, 120), nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, image: Tensor) -> Tensor:
        x = self.pool(functional.relu(self.conv1(image)))
        x = torch.flatten(self.pool(functional.relu(self.conv2(x))), 1)
        scores: Tensor = self.fc3(functional.relu(self.fc2(functional.relu(self.fc1(x)))))
        return scores


class NormRelu(nn.Module):
    """Batch norm and ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x)
        return y.clamp(min=0)


class PreActivation(nn.Module):
    """A bottleneck of He et al. 2016, "Identity Mappings in Deep Residual Networks"."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        inner = out // 4
        self.pre1, self.pre2, self.pre3 = map(NormRelu, (channels, inner, inner))
        self.conv1 = nn.Conv2d(channels, inner, 1, stride, bias=False)
        self.conv2 = nn.Conv2d(inner, inner, 3, 1, 1, bias=False)
        self.conv3 = nn.Conv2d(inner, out, 1, bias=False)
        self.shortcut = None if channels == out else nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        first = self.pre1(x)
        y: Tensor = self.conv3(self.pre3(self.conv2(self.pre2(self.conv1(first)))))
        return y + (x if self.shortcut is None else self.shortcut(first))


class PreResNet(nn.Module):
    """Three stages of them for CIFAR-10."""

    def __init__(self, blocks: int = 111, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        channels = width
        for number in (1, 2, 3):
            out, strides = 2 * width * 2**number, [1 if number == 1 else 2, *[1] * (blocks - 1)]
            stage = nn.Sequential()
            for stride in strides:
                stage.append(PreActivation(channels, out, stride))
                channels = out
            setattr(self, f"stage{number}", stage)
        self.post = NormRelu(channels)
        self.fc = nn.Linear(channels, classes)

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv(image)
        for number in (1, 2, 3):
            x = getattr(self, f"stage{number}")(x)
        scores: Tensor = self.fc(self.post(x).mean((2, 3)))
        return scores
