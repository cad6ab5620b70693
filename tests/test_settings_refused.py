"""Settings that cannot be carried out are refused, by `weft check` where it can know."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import weft
from compiler.compression.base import CompressionContext
from compiler.compression.quantization.automatic import Auto
from compiler.compression.quantization.base import SCHEMES, Quantize
from compiler.compression.quantization.int8 import Int8
from compiler.compression.registry import load_compression
from compiler.program.variant import Target
from compiler.report.diagnostics import CompileError, Severity
from compiler.report.messages.variants import variant_spec
from tests.quantizing import check_net, make_net
from weft.building.build import find_crowded
from weft.cli.main import app


def check(folder: Path, clauses: str) -> tuple[int, str]:
    (folder / "spec.weft").write_text(variant_spec(clauses))
    done = CliRunner().invoke(app, ["check", str(folder / "spec.weft"), "--format", "json"])
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("clauses", "code"),
    [
        ('apply quantize(bfloat16(compute="always"))', "W1156"),
        ("apply quantize(int8(float_layers=2))", "W1218"),
        ("apply quantize(int8)  require params <= 10", "W1219"),
        ("apply prune(weights=90%)  require params <= 2367", "W1219"),
        ("apply quantize(int8)  require latency <= 0ms", "W1219"),
        ("apply quantize(int8)  require 0B >= memory", "W1219"),
        ("apply quantize(int8)  require size <= 256B", "W1171"),
        ("apply quantize(int8)  require error <= -5%", "W1219"),
        ("apply quantize(int8)  require error < 0%", "W1219"),
        ("apply quantize(int8)  require flops < 0", "W1219"),
        ("apply quantize(int8)  require val.loss <= -1", "W0658"),
        ("apply prune(weights=0%)", "W0601"),
        ('apply prune(channels=50%, ranking="global", most=0%)', "W0601"),
        ("apply prune(channels=50%, most=30%)", "W0602"),
        ("apply prune(weights=50%, most=30%)", "W0602"),
        ('apply prune(weights=50%, ranking="global", most=30%)', "W0602"),
        ('apply prune(channels=50%, ranking="global", most=30%)', "W0602"),
        ('apply prune(channels=50%, ranking="layer", most=30%)', "W0602"),
        ('apply prune(channels=95%, ranking="global")', "W0602"),
        ("apply prune(zeros=true, importance=l1)", "W0602"),
        ("apply prune(channels=50%, round_to=64)", "W1350"),
        ('apply prune(channels=50%, ranking="global", round_to=64)', "W1350"),
        ("apply prune(channels=50%, importance=batch_norm)", "W1111"),
        ("apply finetune(learn_scales=true)", "W1105"),
        ("apply quantize(stored8) -> finetune(learn_scales=true)", "W1105"),
        ('apply quantize(stored8, only=["hidden"], except=["hidden"])', "W1350"),
        ('apply quantize(float16, except=["*"])', "W1350"),
        ("target cpu(threads=1000)", "W0601"),
        ("apply quantize(weights4(block=2 ** 70))", "W0353"),
        ("apply quantize(weights4(block=512))", "W0353"),
        ("apply quantize(float16) -> prune(channels=50%)", "W0657"),
        ("apply quantize(float16) -> low_rank(rank=1)", "W0657"),
        ('apply quantize(bfloat16(compute="never")) -> prune(weights=50%)', "W0657"),
        ("apply low_rank(budget=100%)", "W0353"),
        ('apply prune(channels=50%, only=["hidden", "dense"])', "W1351"),
        ('apply low_rank(rank=8, only=["hidden", "dense"])', "W1351"),
        ("apply search([prune], seed=-1)  require size <= 9KiB", "W0601"),
        ("apply low_rank(energy=90%, only=[])", "W1350"),
        ('apply low_rank(rank=1, method="tucker")', "W0602"),
    ],
)
def test_check_refuses_what_cannot_be_done(tmp_path: Path, clauses: str, code: str) -> None:
    status, said = check(tmp_path, clauses)
    assert status == 1
    assert f'"{code}"' in said


@pytest.mark.parametrize(
    ("clauses", "code"),
    [
        ("apply quantize(int8)  require size <= 256B", "W1171"),
        ("apply quantize(int8)  require params <= 10", "W1219"),
        ("apply quantize(int8)  require size >= 256B", "W1389"),
    ],
)
def test_python_is_told_what_check_tells(tmp_path: Path, clauses: str, code: str) -> None:
    path = tmp_path / "spec.weft"
    path.write_text(variant_spec(clauses))
    assert [message.code for message in weft.check(path)] == [code]
    said = check(tmp_path, clauses)[1]
    assert f'"{code}"' in said
    if code == "W1389":
        assert [message.code for message in weft.load(path).warnings] == [code]
        return
    with pytest.raises(weft.WeftError) as refused:
        weft.loads(path.read_text(), folder=tmp_path)
    assert [message.code for message in refused.value.messages] == [code]


@pytest.mark.parametrize(
    "clauses",
    [
        'apply quantize(bfloat16(compute="always"))  target cuda',
        'apply quantize(float16(compute="always"))',
        "apply quantize(int8)  require params <= 2500 and latency <= 1ms and flops >= 0",
    ],
)
def test_what_may_hold_is_not_refused(tmp_path: Path, clauses: str) -> None:
    assert check(tmp_path, clauses)[0] == 0


def test_layers_that_stay_float_are_as_many_as_asked() -> None:
    net = make_net("""model M() {
        input x: f32[batch, 16]
        output y = x -> dense(16) as a -> relu -> dense(16) as b -> relu -> dense(4) as c
    }""")
    for count in (0, 1, 2):
        context = CompressionContext()
        made = Quantize(Int8(placement="layers", float_layers=count)).run(net, context)
        rounded = {n.path for n in context.journal if n.done.startswith("weights i8")}
        assert len(rounded) == 3 - count
        assert made.graph is not net.graph
    with pytest.raises(CompileError) as refused:
        Quantize(Int8(placement="layers", float_layers=3)).run(net, CompressionContext())
    assert [m.code for m in refused.value.messages] == ["W1218"]
    assert "at most 2 of them" in (refused.value.messages[0].text.help or "")


def test_integer_operators_that_onnx_has_not_are_refused(tmp_path: Path) -> None:
    net = make_net("model M() { input x: f32[16]  output y = x -> dense(8) as fc }")
    made = Quantize(Int8(placement="layers", form="qoperator")).run(net, CompressionContext())
    with pytest.raises(CompileError) as refused:
        check_net(made, tmp_path, net.graph)
    assert [m.code for m in refused.value.messages] == ["W1217"]


def test_layers_without_an_integer_operator_are_named(tmp_path: Path) -> None:
    """One layer has an operator; the other multiplies a vector."""
    net = make_net("""model M() {
        input x: f32[batch, 16]
        input v: f32[16]
        output z = x -> dense(4) as head
        output y = v -> dense(8) as inner
    }""")
    made = Quantize(Int8(placement="layers", form="qoperator")).run(net, CompressionContext())
    with pytest.raises(CompileError) as refused:
        check_net(made, tmp_path, net.graph)
    (message,) = refused.value.messages
    assert message.code == "W1217"
    assert "`inner` of `M` becomes no integer operator" in message.text.title
    assert 'except=["inner"]' in (message.text.help or "")
    kept = Quantize(Int8(placement="layers", form="qoperator"), except_=("inner",))
    check_net(kept.run(net, CompressionContext()), tmp_path, net.graph)


def test_more_threads_than_cores_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    targets = [Target(threads=threads) for threads in (None, 1, 4, 5)]
    (warning,) = find_crowded(targets)
    assert (warning.code, warning.severity) == ("W1392", Severity.WARNING)
    assert warning.text.title == "latency is measured with 5 threads on 4 cores"


def test_only_what_chooses_may_leave_a_net_as_it_is() -> None:
    load_compression()
    assert Quantize(Auto()).may_leave_whole
    others = [scheme for scheme in SCHEMES.classes() if scheme is not Auto]
    assert not any(Quantize(scheme()).may_leave_whole for scheme in others)


@pytest.mark.parametrize(
    ("clauses", "code"),
    [
        ('apply prune(channels=50%, ranking="layer")', "W1110"),
        ("apply prune(channels=50%, importance=taylor)", "W1101"),
        ('apply prune(channels=50%, ranking="global")', None),
    ],
)
def test_check_knows_what_needs_rows(tmp_path: Path, clauses: str, code: str | None) -> None:
    spec = variant_spec(clauses).replace("variant tiny of fit", "variant tiny of Net")
    (tmp_path / "spec.weft").write_text(spec)
    found = [message.code for message in weft.check(tmp_path / "spec.weft")]
    assert found == ([code] if code is not None else [])


DISTILLED = """
model Net { input x: f32[batch, 4]
    output y = x -> dense(1) }
data rows { source sklearn("iris")
    x = features
    target = features[:1]
    split random(seed=0), train=80%, val=20% }
train fit of Net on rows {
    minimize mse(y, target) with adam(lr=0.01)
    batch 16  epochs 1 }
variant small of fit { apply distill(epochs=1OPTIONS) }
"""


@pytest.mark.parametrize(
    ("options", "codes"),
    [("", []), (", alpha=0.9", []), (", temperature=2", ["W0602"]), (", temperature=4", ["W0602"])],
)
def test_a_temperature_needs_scores_to_divide(options: str, codes: list[str]) -> None:
    text = DISTILLED.replace("OPTIONS", options)
    if not codes:
        assert weft.loads(text).warnings == ()
        return
    with pytest.raises(weft.WeftError, match="has no cross-entropy") as refused:
        weft.loads(text)
    assert [message.code for message in refused.value.messages] == codes
