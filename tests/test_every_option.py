"""Every option of every pass changes what comes out, or is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.compression.base import COMPRESSION, CompressionContext, CompressionPass
from compiler.compression.context import Tuning
from compiler.compression.low_rank.low_rank import LowRank
from compiler.compression.pruning.importance import IMPORTANCES, L1, Activation, Taylor
from compiler.compression.pruning.prune import Prune
from compiler.compression.quantization.automatic import Auto
from compiler.compression.quantization.base import SCHEMES, Quantize
from compiler.compression.quantization.dynamic import Dynamic
from compiler.compression.quantization.half import Bfloat16, Float16
from compiler.compression.quantization.int8 import Int8
from compiler.compression.quantization.stored import Stored4, Stored8
from compiler.compression.quantization.weight_only import Weights4, Weights8
from compiler.compression.registry import load_compression
from compiler.compression.search.search import Search
from compiler.compression.search.sites import find_sites
from compiler.compression.search.trials import Trials
from compiler.compression.tuning.passes import Distill, Finetune
from compiler.ir.printer import print_graph
from compiler.ir.weighted_net import WeightedNet
from compiler.program.variant import Target
from compiler.report.diagnostics import CompileError, Fault
from compiler.vocabulary.net_functions import NET_FUNCTIONS, Average
from compiler.vocabulary.signature import Described
from tests.checking import check_text
from tests.quantizing import make_net
from weft.building.compression_context import SyntheticSamples

NET = """model M() {
    input x: f32[batch, 3, 8, 8]
    a = x -> conv(16, kernel=3, padding=1, bias=false) as stem -> batch_norm as norm -> relu
    b = a -> conv(16, kernel=3, padding=1) as body -> relu -> conv(8, kernel=1) as narrow -> relu
    c = b -> flatten -> dense(64) as wide -> layer_norm as ln
    output y = c -> dense(32) as low -> dense(10) as head
}"""

load_compression()


@dataclass
class Trainer:
    """Writes down what it is asked for."""

    asked: list[str] = field(default_factory=list)

    def train(self, net: WeightedNet, tuning: Tuning, label: str) -> WeightedNet:
        """The net as it is."""
        plain = replace(tuning, teacher=None, masks={})
        self.asked.append(f"{plain} {tuning.teacher is not None}")
        return net

    def gradients(self, net: WeightedNet, rows: int) -> Mapping[str, Any]:
        """Some numbers."""
        self.asked.append(f"gradients of {rows}")
        return {path: np.ones_like(array) for path, array in net.weights.items()}


class LatencyMeter:
    """Finds nets the faster the fewer numbers in f32 they hold; factors are slow."""

    def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
        """Seconds."""
        return [1e-3 * len(net.graph.nodes) for net in nets]


def carry_out(make: Callable[[], CompressionPass], net: WeightedNet, latency_meter: bool) -> str:
    """What comes out, what was noted and asked for; or what is said instead."""
    trainer = Trainer()
    samples = SyntheticSamples(net.graph, Target())
    context = CompressionContext(
        samples=samples,
        trainer=trainer,
        original=net,
        latency_meter=LatencyMeter() if latency_meter else None,
    )
    try:
        step = make()
        if isinstance(step, Search):
            settings = [(s.path, s.settings) for s in step.thin(find_sites(net.graph, step.passes))]
            return f"{settings} {Trials(net, context, (), step.seed).key([])}"
        made = step.run(net, context)
    except CompileError as error:
        return "".join(
            f"{m.code} {m.text.title} {m.text.label} {m.text.help}" for m in error.messages
        )
    except Fault:
        return "refused"
    numbers = [(path, array.tobytes()) for path, array in sorted(made.weights.items())]
    return f"{print_graph(made.graph)}{numbers}{trainer.asked}{context.journal}"


def prune(**options: Any) -> Callable[[], CompressionPass]:
    return lambda: Prune(**{"channels": 0.5, **options})


def zeros(**options: Any) -> Callable[[], CompressionPass]:
    return lambda: Prune(zeros=True, **options)


def factor(**options: Any) -> Callable[[], CompressionPass]:
    return lambda: LowRank(**options)


def quantize(scheme: Any, **outer: Any) -> Callable[..., Callable[[], CompressionPass]]:
    return lambda **options: lambda: Quantize(scheme(**{**outer, **options}))


def train(step: Any) -> Callable[..., Callable[[], CompressionPass]]:
    return lambda **options: lambda: step(**options)


ONE, OTHER = ("stem",), ("body",)
integers, dynamic = quantize(Int8, placement="layers", rows=16), quantize(Dynamic)
stored8, stored4 = quantize(Stored8), quantize(Stored4)
finetune, distill = train(Finetune), train(Distill)
wrapped = lambda **options: lambda: Quantize(Stored8(), **options)  # noqa: E731
search = lambda **options: lambda: Search(**{"passes": (Prune,), **options})  # noqa: E731

Case = tuple[Callable[[], CompressionPass], Callable[[], CompressionPass]]
CASES: dict[tuple[type[Described], str], Case] = {
    (Prune, "channels"): (prune(), prune(channels=0.25)),
    (Prune, "weights"): (prune(channels=None, weights=0.5), prune(channels=None, weights=0.9)),
    (Prune, "pattern"): (prune(channels=None, pattern="2:4"), prune(channels=None, pattern="1:4")),
    (Prune, "zeros"): (zeros(), prune(channels=None)),
    (Prune, "tolerance"): (zeros(), zeros(tolerance=0.05)),
    (Prune, "importance"): (prune(), prune(importance=L1())),
    (Prune, "ranking"): (prune(), prune(ranking="global")),
    (Prune, "most"): (
        prune(channels=0.5, ranking="global", most=0.9),
        prune(channels=0.5, ranking="global", most=0.5),
    ),
    (Prune, "round_to"): (prune(channels=0.3), prune(channels=0.3, round_to=8)),
    (Prune, "only"): (prune(only=ONE), prune(only=OTHER)),
    (Prune, "except"): (prune(except_=ONE), prune(except_=OTHER)),
    (Taylor, "rows"): (prune(importance=Taylor(rows=8)), prune(importance=Taylor(rows=9))),
    (Activation, "rows"): (
        prune(importance=Activation(rows=1)),
        prune(importance=Activation(rows=64)),
    ),
    (LowRank, "rank"): (factor(rank=2), factor(rank=4)),
    (LowRank, "energy"): (factor(energy=0.3), factor(energy=0.6)),
    (LowRank, "budget"): (factor(budget=0.5), factor(budget=0.8)),
    (LowRank, "method"): (factor(rank=2, method="channel"), factor(rank=2, method="spatial")),
    (LowRank, "unless_slower"): (factor(rank=2), factor(rank=2, unless_slower=True)),
    (LowRank, "only"): (factor(rank=2, only=ONE), factor(rank=2, only=OTHER)),
    (LowRank, "except"): (factor(rank=2, except_=ONE), factor(rank=2, except_=OTHER)),
    (Quantize, "scheme"): (stored8(), stored4()),
    (Quantize, "only"): (wrapped(only=ONE), wrapped(only=OTHER)),
    (Quantize, "except"): (wrapped(except_=ONE), wrapped(except_=OTHER)),
    (Int8, "calibration"): (integers(), integers(calibration="entropy")),
    (Int8, "rows"): (integers(), integers(rows=2)),
    (Int8, "per_channel"): (integers(), integers(per_channel=False)),
    (Int8, "placement"): (integers(), integers(placement="all")),
    (Int8, "equalize"): (
        integers(per_channel=False),
        integers(per_channel=False, equalize=False),
    ),
    (Int8, "bias_correction"): (integers(), integers(bias_correction=False)),
    (Int8, "float_layers"): (integers(), integers(float_layers=1)),
    (Int8, "sqnr"): (integers(), integers(sqnr=1000.0)),
    (Int8, "form"): (integers(), integers(form="qoperator")),
    (Dynamic, "per_channel"): (dynamic(), dynamic(per_channel=False)),
    (Dynamic, "smooth"): (dynamic(), dynamic(smooth=0.5)),
    (Dynamic, "rounding"): (dynamic(), dynamic(rounding="gptq")),
    (Dynamic, "rest"): (dynamic(), dynamic(rest="float")),
    (Stored8, "per_channel"): (stored8(), stored8(per_channel=False)),
    (Stored8, "rounding"): (stored8(), stored8(rounding="gptq")),
    (Stored4, "per_channel"): (stored4(), stored4(per_channel=False)),
    (Stored4, "codebook"): (stored4(), stored4(codebook=True)),
    (Stored4, "rounding"): (stored4(), stored4(rounding="gptq")),
    (Auto, "sqnr"): (quantize(Auto)(sqnr=0.0), quantize(Auto)(sqnr=1000.0)),
    (Finetune, "epochs"): (finetune(), finetune(epochs=3)),
    (Finetune, "lr"): (finetune(), finetune(lr=0.5)),
    (Finetune, "learn_scales"): (finetune(), finetune(learn_scales=True)),
    (Distill, "epochs"): (distill(), distill(epochs=3)),
    (Distill, "lr"): (distill(), distill(lr=0.5)),
    (Distill, "alpha"): (distill(), distill(alpha=0.9)),
    (Distill, "temperature"): (distill(), distill(temperature=2.0)),
    (Search, "passes"): (search(), search(passes=(Prune, LowRank))),
    (Search, "trials"): (search(), search(trials=30)),
    (Search, "seed"): (search(), search(seed=1)),
}
for packed in (Weights4, Weights8):
    pack = quantize(packed)
    CASES |= {
        (packed, "block"): (pack(block=16), pack(block=64)),
        (packed, "accuracy_level"): (pack(accuracy_level=0), pack(accuracy_level=4)),
        (packed, "symmetric"): (pack(symmetric=True), pack(symmetric=False)),
        (packed, "rounding"): (pack(), pack(rounding="gptq")),
        (packed, "rest"): (pack(), pack(rest="float")),
    }
for half in (Float16, Bfloat16):
    cast = quantize(half)
    CASES |= {
        (half, "keep"): (cast(keep=ONE), cast(keep=OTHER)),
        (half, "compute"): (cast(compute="never"), cast(compute="always")),
    }
CLOCKED = {(LowRank, "unless_slower"), (Auto, "sqnr")}
"""What only has an effect where there is a meter."""
OWNERS = (COMPRESSION, SCHEMES, IMPORTANCES)


def test_every_option_has_a_case() -> None:
    options = {
        (cls, option.name)
        for registry in OWNERS
        for cls in registry.classes()
        for option in cls.options()
    }
    assert options == set(CASES)


@pytest.fixture(scope="module")
def net() -> WeightedNet:
    return make_net(NET)


@pytest.mark.parametrize("case", CASES, ids=[f"{cls.name}-{option}" for cls, option in CASES])
def test_an_option_is_carried_out(case: tuple[type[Described], str], net: WeightedNet) -> None:
    first, second = (carry_out(make, net, case in CLOCKED) for make in CASES[case])
    assert first != second


LORA = """model M() {
    input image: f32[batch, 64]
    output y = image -> dense(16) as a -> relu -> dense(16) as b -> relu -> dense(10) as c
}
net base = M()
net tuned = base -> lora(OPTIONS)
data digits {
    source sklearn("digits")
    image = (image / 16) -> reshape([64])
    split random(seed=0), train=80%, val=20%
}
train fit of tuned on digits {
    minimize cross_entropy(y, label) with sgd(lr=0.1)
    batch 8  epochs 1
}
"""
ADAPTERS = {
    "rank": ("rank=2", "rank=4"),
    "alpha": ("rank=2", "rank=2, alpha=8"),
    "dropout": ("rank=2", "rank=2, dropout=10%"),
    "only": ('only=["a"]', 'only=["b"]'),
    "except": ('except=["a"]', 'except=["b"]'),
    "train": ("rank=2", 'rank=2, train=["c"]'),
}


AVERAGE = LORA.replace("net tuned = base -> lora(OPTIONS)\n", "").replace(
    "train fit of tuned on digits {\n    minimize cross_entropy(y, label)",
    "train fit on digits {\n    net m = M()\n    net mean_m = WORD(m, OPTIONS)\n"
    "    minimize cross_entropy(m(image), label)",
)
AVERAGES = {
    "decay": ("decay=0.9", "decay=0.99"),
    "warmup": ("decay=0.9", "decay=0.9, warmup=true"),
    "start": ("start=0epochs", "start=1epoch"),
    "every": ("every=1epoch", "every=2epochs"),
}


@pytest.mark.parametrize(
    ("function", "option"),
    [(cls, option.name) for cls in NET_FUNCTIONS.classes() for option in cls.options()],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_an_option_of_nets_is_carried_out(function: type[Described], option: str) -> None:
    if issubclass(function, Average):
        average = AVERAGE.replace("WORD", function.name).replace("epochs 1", "epochs 3")
        scripts = [
            emit_script(ScriptSpec(check_text(average.replace("OPTIONS", text)).trains["fit"]))
            for text in AVERAGES[option]
        ]
        assert scripts[0] != scripts[1]
        return
    first, second = (check_text(LORA.replace("OPTIONS", text)) for text in ADAPTERS[option])
    trains = [(print_graph(p.trains["fit"].graph), p.trains["fit"].freeze) for p in (first, second)]
    assert trains[0] != trains[1]
