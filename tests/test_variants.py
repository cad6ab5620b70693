"""Variant items: what the typed program holds for what a spec says, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compiler.compression.base import COMPRESSION
from compiler.compression.wording import describe_requirement
from compiler.driver import check_source
from compiler.program.requirement import Computed, Figure, Quantity, Requirement
from compiler.program.variant import Target, Variant
from compiler.report.diagnostics import Sink
from compiler.report.messages.variants import variant_spec
from compiler.report.source import Source
from compiler.types.units import UNITS
from tests.checking import check_text

LOADED = """
model Net() {
    input image: f32[batch, 8, 8]
    output logits = image -> flatten -> dense(32) as stem -> relu -> dense(10) as head
}
net loaded = Net()
"""


def variant_of(clauses: str) -> Variant:
    return check_text(variant_spec(clauses)).variants["tiny"]


def codes_of(text: str) -> list[str]:
    sink = Sink()
    check_source(Source("spec.weft", text), sink=sink)
    return [message.code for message in sink.messages]


def requirements_of(text: str) -> tuple[Requirement, ...]:
    return variant_of(f"require {text}").requires


# --- passes -------------------------------------------------------------------------------------


def test_passes_in_the_order_written() -> None:
    variant = variant_of("apply prune(channels=50%) -> finetune(epochs=3) -> quantize(int8)")
    prune, finetune, quantize = (step.compression for step in variant.steps)
    assert (prune.name, getattr(prune, "channels")) == ("prune", 0.5)  # noqa: B009
    assert (finetune.name, getattr(finetune, "epochs")) == ("finetune", 3)  # noqa: B009
    assert getattr(quantize, "scheme").name == "int8"  # noqa: B009
    assert [step.span.text[:5] for step in variant.steps if step.span] == [
        "prune",
        "finet",
        "quant",
    ]


def test_options_with_names_that_python_keeps() -> None:
    (step,) = variant_of('apply quantize(int8, except=["dense"])').steps
    assert getattr(step.compression, "except_") == ("dense",)  # noqa: B009
    (option,) = (o for o in type(step.compression).options() if o.name == "except")
    assert option.field == "except_"


def test_settings_of_a_scheme_and_of_an_importance() -> None:
    steps = variant_of(
        "apply prune(channels=10%, importance=l1) -> quantize(weights4(block=64))"
    ).steps
    assert getattr(steps[0].compression, "importance").name == "l1"  # noqa: B009
    assert getattr(steps[1].compression, "scheme").block == 64  # noqa: B009


def test_a_search_takes_passes_and_bare_words() -> None:
    (step,) = variant_of(
        "apply search([prune, low_rank, quantize(int8)], trials=60)  require size <= 1KiB"
    ).steps
    prune, low_rank, quantize = getattr(step.compression, "passes")  # noqa: B009
    assert prune is COMPRESSION.get("prune")
    assert low_rank is COMPRESSION.get("low_rank")
    assert quantize.scheme.name == "int8"


def test_a_net_that_another_tool_trained() -> None:
    variant = check_text(LOADED + "variant small of loaded { apply quantize(int8) }").variants
    assert variant["small"].train is None
    assert variant["small"].source is not None
    assert variant["small"].source.name == "loaded"


def test_parameters_of_a_variant() -> None:
    text = variant_spec("").replace(
        "variant tiny of fit {", "variant tiny(cut: float = 50%) of fit {"
    )
    text = text.replace("{  }", "{ apply prune(channels=cut)  require size <= cut * fit.size }")
    program = check_text(text + "deploy tiny(cut=25%) as onnx\ndeploy tiny as onnx\n")
    cuts = [getattr(v.steps[0].compression, "channels") for v in program.variants.values()]  # noqa: B009
    assert cuts == [0.5, 0.25]
    assert [(d.name, d.variant) for d in program.deploys] == [
        ("tiny_2", "tiny_2"),
        ("tiny", "tiny"),
    ]
    other = check_text(text, overrides={"tiny.cut": "75%"}).variants["tiny"]
    assert getattr(other.steps[0].compression, "channels") == 0.75  # noqa: B009


def test_a_plain_spec_imports_no_pass() -> None:
    script = (
        "import sys\n"
        "from tests.checking import check_text\n"
        "from compiler.report.messages.items import train_spec\n"
        "check_text(train_spec())\n"
        "found = [n for n in sys.modules if n.startswith('compiler.compression.quant')]\n"
        "sys.exit(repr(found) if found else 0)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("clauses", "code"),
    [
        ("apply prun(channels=50%)", "W0614"),
        ("apply quantize(int9)", "W0614"),
        ("apply relu", "W0614"),
        ("apply search([prune, relu])", "W0614"),
        ("apply prune(chanels=50%)", "W0221"),
        ("apply 3", "W0208"),
        ('apply quantize(int8, only=["stem"])', "W0650"),
        ("apply prune(channels=50%)  apply prune(channels=50%)", "W0605"),
    ],
)
def test_passes_that_mean_nothing(clauses: str, code: str) -> None:
    assert codes_of(variant_spec(clauses)) == [code]


def test_a_variant_deployed_twice_has_two_files() -> None:
    rest = "deploy tiny as onnx\ndeploy tiny as onnx { opset 19 }\n"
    deploys = check_text(variant_spec("apply quantize(stored8)", rest)).deploys
    assert [(d.name, d.variant) for d in deploys] == [("tiny", "tiny"), ("tiny_2", "tiny")]


# --- target -------------------------------------------------------------------------------------


def test_where_latency_is_measured() -> None:
    target = variant_of("target cpu(threads=2, vnni=false), batch=16").target
    assert (target.device, target.threads, target.vnni) == ("cpu", 2, False)
    assert target.sizes == (("batch", 16),)
    assert variant_of("target cuda").target.device == "cuda"
    plain = variant_of("").target
    assert plain == Target(span=plain.span)


@pytest.mark.parametrize(
    ("clauses", "code"),
    [
        ("target gpu", "W0614"),
        ("target cpu(threads=0)", "W0601"),
        ("target cpu, bach=1", "W0640"),
        ("target cpu, batch=1.5", "W0656"),
        ("target cpu, 4", "W0208"),
        ("target batch=1", "W0208"),
    ],
)
def test_targets_that_mean_nothing(clauses: str, code: str) -> None:
    assert codes_of(variant_spec(clauses)) == [code]


# --- require ------------------------------------------------------------------------------------


def test_comparisons_joined_by_and() -> None:
    first, second = requirements_of("latency <= 0.5 * fit.latency and size <= 24KiB")
    assert first.left == Figure(None, None, "latency", first.left.span)  # type: ignore[union-attr]
    assert isinstance(first.right, Computed)
    assert first.right.operator == "*"
    assert second.right == Quantity(24 * 1024, "24KiB")


@pytest.mark.parametrize(
    "text",
    [
        "val.accuracy >= fit.val.accuracy - 1.5%",
        "val.loss <= 1.1 * fit.val.loss",
        "params <= 4000 and flops < 1e6",
        "memory <= 2MiB and error <= 5%",
        "fit.size / size >= 4",
        "latency <= fit.latency / 2",
        "0.5ms >= latency",
        "size <= (fit.size + 2KiB) / 2",
    ],
)
def test_what_can_be_required(text: str) -> None:
    assert requirements_of(text)


def test_a_requirement_reads_as_it_is_written() -> None:
    for text in (
        "size <= 24KiB",
        "val.accuracy >= fit.val.accuracy - 1.5%",
        "fit.size / size > 4",
        "val.loss <= -0.5 * fit.val.loss",
        "latency <= fit.latency / (2 * 1.5)",
        "latency <= fit.latency * 2 / 1.5",
    ):
        (requirement,) = requirements_of(text)
        assert describe_requirement(requirement) == text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("size <= 5ms", "W0652"),
        ("size <= 1024", "W0652"),
        ("latency <= 0.5", "W0652"),
        ("size <= latency", "W0652"),
        ("size + 5ms <= 1KiB", "W0652"),
        ("size * fit.size <= 5KiB", "W0654"),
        ("5 / size <= 1", "W0654"),
        ("size == 24KiB", "W0654"),
        ("size <= 1KiB or size <= 2KiB", "W0654"),
        ("size", "W0654"),
        ("fit.size <= 24KiB", "W0654"),
        ("sise <= 24KiB", "W0651"),
        ("val.acuracy >= 50%", "W0620"),
        ("vall.accuracy >= 50%", "W0607"),
        ("fit.sise <= size", "W0651"),
        ("fit.test.accuracy <= val.accuracy", "W0620"),
        ("other.size >= size", "W0607"),
        ("size <= tiny.size", "W0653"),
        ("size <= 3epochs", "W0654"),
        ('size <= "small"', "W0654"),
        ("accuracy >= 50%", "W0651"),
    ],
)
def test_what_cannot_be_required(text: str, code: str) -> None:
    assert codes_of(variant_spec(f"require {text}")) == [code]


SEVERAL = """
model Part { input x: f32[batch, 4]
    output y = x -> dense(9) as fc -> relu -> dense(4) as head }
data rows { source npz("rows.npz")
    split in_order, train=60%, test=40% }
train ae on rows {
    net enc = Part()
    net dec = Part()
    minimize mse(x -> enc -> dec, x) with sgd(lr=0.1)
    batch 4  epochs 1
}
variant small of ae.enc { apply quantize(stored8) -> finetune  require LIMIT }
"""


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("size <= 0.6 * ae.size", None, ""),
        ("size <= 0.6 * ae.enc.size", None, ""),
        ("latency <= ae.enc.latency", None, ""),
        ("size <= 0.6 * ae.dec.size", "W0654", "`ae.size`"),
        ("size <= 0.6 * ae.encoder.size", "W0620", "`ae.size` is that of the net"),
        ("test.loss <= ae.test.loss", None, ""),
        ("size <= ae.test.size", "W0620", "`ae.size` is that of the net before any pass"),
    ],
)
def test_figures_of_one_net_of_several(
    text: str, code: str | None, said: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "rows.npz", x=np.ones((20, 4), np.float32))
    sink, source = Sink(), Source(str(tmp_path / "s.weft"), SEVERAL.replace("LIMIT", text))
    program = check_source(source, sink=sink)
    if code is None:
        assert not sink.messages, [m.text.title for m in sink.messages]
        assert program is not None
        (requirement,) = program.variants["small"].requires
        assert ".enc" not in describe_requirement(requirement)
        return
    (message,) = sink.messages
    assert message.code == code
    assert said in f"{message.text.label} {message.text.help}"


def test_every_unit_of_size_and_time_can_be_required() -> None:
    for unit in UNITS:
        if unit.endswith("B"):
            assert requirements_of(f"size <= 50000{unit}")
        elif unit in ("ns", "us", "ms", "s", "min", "h"):
            assert requirements_of(f"latency <= 5{unit}")


def test_variants_are_held_against_each_other() -> None:
    other = "variant other of fit { require size <= 20KiB }\n"
    assert not codes_of(variant_spec("require size <= 0.5 * other.size", other))
    circle = "variant other of fit { require size <= tiny.size }\n"
    assert codes_of(variant_spec("require size <= 0.5 * other.size", circle)) == ["W0653"]


def test_a_net_without_a_train_has_no_metrics() -> None:
    assert codes_of(LOADED + "variant v of loaded { require test.accuracy >= 1% }") == ["W0655"]
    assert codes_of(LOADED + "variant v of loaded { require error <= 1% }") == []


# --- of -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", ["fitt", "digits", "tiny"])
def test_what_is_no_net(subject: str) -> None:
    text = variant_spec("").replace("of fit {", f"of {subject} {{", 2)
    assert codes_of(text) == ["W0607"]


# --- what no build is needed for ----------------------------------------------------------------

BROKEN = {
    "train": ("cross_entropy(logits, label)", "cross_entropy(logits, labl)"),
    "model": ("dense(32)", "dens(32)"),
    "data": ("image / 16", "imag / 16"),
}


@pytest.mark.parametrize("item", BROKEN)
def test_faults_are_told_though_the_net_was_refused(item: str) -> None:
    text = variant_spec(
        "apply prune(chanels=50%) -> quantise(int8)  target cpuu"
        "  require sise <= 1KiB and test.x > 1"
    )
    assert "W0651" in codes_of(text)
    right, wrong = BROKEN[item]
    found = codes_of(text.replace(right, wrong))
    assert {"W0221", "W0614", "W0651"} <= set(found)
    assert "W0650" not in found


def test_what_is_known_of_the_net_alone_is_not_asked_of_none() -> None:
    text = variant_spec(
        'apply prune(channels=50%, except=["dense"])  target cpu, batch=2'
        "  require val.accuracy >= 90% and size <= 0.5 * fit.size"
    )
    refused = text.replace("cross_entropy(logits, label)", "cross_entropy(logits, labl)")
    assert codes_of(text) == []
    assert codes_of(refused) == ["W0201"]


def test_a_figure_of_a_train_that_was_refused_is_no_fault_of_the_variant() -> None:
    other = (
        "train other of Net on digits { minimize mse(logits, labl) with sgd  batch 1  epochs 1 }"
    )
    assert codes_of(variant_spec("require size <= other.size", other)) == ["W0201"]


@pytest.mark.parametrize(
    ("clauses", "code"),
    [
        ('apply prune(channels=50%, except=["hidden"])', "W1111"),
        ('apply prune(weights=50%, only=["digits"])', "W0650"),
        ("apply low_rank(rank=32)", "W1350"),
        ('apply low_rank(rank=9, only=["dense"])', "W1350"),
        ('apply low_rank(rank=9, only=["hidden"])', None),
        ('apply quantize(int8, only=["dense"])', None),
        ('apply quantize(weights8, only=["dense"])', "W1155"),
        ('apply quantize(dynamic, except=["dense", "hidden"])', "W1155"),
        ('apply prune(pattern="3:5")', "W1111"),
        ('apply prune(pattern="2:3", only=["hidden", "dense"])', "W1111"),
        ('apply prune(pattern="2:64", only=["hidden", "dense"])', "W1351"),
        ("apply prune(weights=0.01%)", "W1111"),
        ('apply prune(weights=0.1%, only=["dense", "hidden"])', "W1351"),
        ('apply quantize(int8(placement="float_stem"), only=["hidden"])', None),
    ],
)
def test_passes_that_find_nothing_to_do(clauses: str, code: str | None) -> None:
    expected = [] if code is None else [code]
    assert codes_of(variant_spec(clauses)) == expected


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ("finetune", "W1101"),
        ("distill", "W1101"),
        ("prune(channels=50%, importance=taylor)", "W1101"),
        ("prune(channels=50%)", None),
    ],
)
def test_passes_that_need_a_train(step: str, code: str | None) -> None:
    found = codes_of(LOADED + f"variant small of loaded {{ apply {step} }}")
    assert found == ([] if code is None else [code])
