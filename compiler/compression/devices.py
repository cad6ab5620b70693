"""Where latency is measured: `target cpu(threads=2)`, `target cuda`."""

from __future__ import annotations

from typing import final

from compiler.program.variant import Target
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.training.settings import refuse
from compiler.vocabulary.signature import Described, Registry

MOST_THREADS = 512
"""More than any machine has cores for one operator."""
BLOCKS = (8, 16)
"""Channels that ONNX Runtime's f32 convolutions compute together: with AVX2, with AVX-512. Where
channels fill no blocks, tensors are laid out anew around the layer."""


class Device(Described):
    """Base of devices; fields are options of `target`."""

    def aim(self, sizes: tuple[tuple[str, int], ...], span: Span | None) -> Target:
        """The target of a device with the sizes of the net's inputs."""
        return Target(self.name, sizes=sizes, span=span)


DEVICES: Registry[Device] = Registry("target")
"""Every device by name."""


@DEVICES.register
@final
@dataclass(frozen=True)
class Cpu(Device):
    """ONNX Runtime on the CPU of the machine that builds.

    - `threads`: threads of one operator; all cores without it.
    - `vnni`: whether the CPU multiplies 8-bit numbers exactly (AVX512-VNNI, AVX-VNNI, ARM dot
      product). Without it products saturate in 16 bits, and weights keep 7 bits.

    Example: `target cpu(threads=2), batch=1`
    Source: https://onnxruntime.ai/docs/performance/tune-performance/threading.html
    """

    name = "cpu"
    threads: int | None = None
    vnni: bool = True

    def __post_init__(self) -> None:
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            refuse(self.name, "threads", self.threads, f"from 1 to {MOST_THREADS:,}")

    def aim(self, sizes: tuple[tuple[str, int], ...], span: Span | None) -> Target:
        """The target of a device with the sizes of the net's inputs."""
        return Target(self.name, self.threads, sizes, self.vnni, span)


@DEVICES.register
@final
@dataclass(frozen=True)
class Cuda(Device):
    """ONNX Runtime on the first NVIDIA GPU.

    Example: `target cuda, batch=8`
    Source: https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html
    """

    name = "cuda"
