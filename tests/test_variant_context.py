"""What a build shows to compression passes: rows that are disjoint, an evaluator, meters."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import weft
from backends.onnx_runtime.measure import Comparison, Timing
from backends.onnx_runtime.session import Session
from compiler.compression.base import CompressionContext
from compiler.compression.contracts import Spread
from compiler.compression.pruning.prune import Prune
from compiler.compression.quantization.base import Quantize
from compiler.compression.quantization.int8 import Int8
from compiler.compression.quantization.stored import Stored8
from compiler.compression.requirements import isolate
from compiler.compression.sizes import choose_sizes
from compiler.ir.printer import print_graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import draw_weights
from compiler.program.program import Program
from compiler.program.variant import Target
from tests.checking import check_text
from tests.quantizing import check_net, make_net
from tests.variant_folder import SHARES, TRAINED
from weft.building import timing
from weft.building.compression_context import (
    DataSamples,
    OnnxLatencyMeter,
    OnnxSizeMeter,
    RowPlan,
    SplitEvaluator,
    SyntheticSamples,
    TrialFile,
    open_net,
)
from weft.building.describing import describe_change
from weft.building.figures import (
    OutputError,
    count_memory,
    count_numbers,
    measure_error,
    sample_score,
)
from weft.building.front import draw_front
from weft.building.layers import count_parameters
from weft.building.timing import settle_sizes
from weft.deployed.exporting import ExportSpec
from weft.deployed.measuring import BoundNet, Score
from weft.results.nets import list_net, read_net, write_net

SPEC = TRAINED + "variant tiny of fit { require REQUIRE }\n"


def program_of(shares: str = SHARES, require: str = "size <= 1MiB") -> Program:
    return check_text(SPEC.replace(SHARES, shares).replace("REQUIRE", require))


def plan_of(shares: str = SHARES) -> RowPlan:
    train = program_of(shares).trains["fit"]
    return RowPlan(BoundNet(train, "fit", Path()), 0)


def net_of(width: int = 32) -> WeightedNet:
    text = SPEC.replace(SHARES, "train=80%, val=20%").replace("REQUIRE", "size <= 64MiB")
    graph = check_text(text.replace("int = 32", f"int = {width}")).variants["tiny"].graph
    return WeightedNet(graph, draw_weights(graph))


# --- rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shares", ["train=60%, val=20%, test=20%", "train=80%, test=20%"])
def test_rows_of_passes_are_disjoint(shares: str) -> None:
    plan = plan_of(shares)
    calibration, judgement = set(plan.calibration), set(plan.judgement)
    test = set(plan.place.data.rows["test"])
    assert calibration
    assert judgement
    assert not calibration & judgement
    assert not test & (calibration | judgement)
    assert calibration <= set(plan.place.data.rows["train"])


@pytest.mark.parametrize(("rows", "judged"), [(1, 0), (2, 1), (3, 1), (20, 4)])
def test_few_rows_are_shared_so_that_each_side_has_some(rows: int, judged: int) -> None:
    plan = plan_of("train=80%, test=20%")
    kept = plan.place.data.rows["train"][:rows]
    plan.place.data.rows["train"] = kept  # type: ignore[index]
    assert len(plan.judgement) == judged
    assert len(plan.calibration) == rows - judged


def test_calibration_gives_the_columns_of_the_training_rows() -> None:
    plan = plan_of()
    batches = list(DataSamples(plan).batches(100, 32))
    assert [len(batch["image"]) for batch in batches] == [32, 32, 32, 4]
    expected = plan.place.data.columns["image"][plan.calibration[:100]]
    np.testing.assert_array_equal(np.concatenate([b["image"] for b in batches]), expected)
    assert sum(len(b["image"]) for b in DataSamples(plan).batches(10**6)) == len(plan.calibration)


def test_synthetic_rows_are_marked_and_differ() -> None:
    samples = SyntheticSamples(net_of().graph, Target())
    first, second = samples.batches(40, 32)
    assert samples.synthetic
    assert (first["image"].shape, second["image"].shape) == ((32, 64), (8, 64))
    assert not np.array_equal(first["image"][:8], second["image"])


def test_large_nets_get_fewer_synthetic_rows() -> None:
    graph = net_of().graph  # 64 * 32 + 32 * 10 multiply-adds a row
    for most_work, rows in ((12 * 2368, 12), (0, 5), (1e9, 40)):
        samples = SyntheticSamples(graph, Target(), most_work=most_work, least_rows=5)
        assert sum(len(batch["image"]) for batch in samples.batches(40, 8)) == rows


def test_the_judge_scores_the_validation_rows() -> None:
    plan, net = plan_of(), net_of()
    scores = SplitEvaluator(plan).score(net)
    columns = plan.place.data.split("val")
    stem = np.maximum(columns["image"] @ net.weights["stem.weight"].T + net.weights["stem.bias"], 0)
    logits = stem @ net.weights["head.weight"].T + net.weights["head.bias"]
    assert scores["accuracy"] == pytest.approx(np.mean(logits.argmax(1) == columns["label"]))
    shifted = logits - logits.max(1, keepdims=True)
    log = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    expected = -log[np.arange(len(log)), columns["label"]].mean()
    assert scores["loss"] == pytest.approx(expected, rel=1e-5)


# --- clock, scale, memory -----------------------------------------------------------------------


def test_the_clock_tells_a_large_net_from_a_small_one() -> None:
    small, large = net_of(8), net_of(4096)
    target = Target("cpu", 1, (("batch", 16),))
    fast, slow = OnnxLatencyMeter(small.graph, target, ExportSpec()).compare([small, large])
    assert 0 < fast < slow


def test_the_scale_weighs_the_file(tmp_path: Path) -> None:
    net = net_of()
    report = ExportSpec().write(net, tmp_path / "net.onnx")
    assert (
        OnnxSizeMeter(ExportSpec()).weigh(net)
        == report.bytes
        == (tmp_path / "net.onnx").stat().st_size
    )


def test_trials_outlive_an_interruption(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    memory = TrialFile.open(path)
    memory.remember("a", {"loss": 0.5})
    memory.remember("b", {"loss": 0.25})
    path.write_text(path.read_text()[:-9])  # killed while it wrote
    again = TrialFile.open(path)
    assert again.recall("a") == {"loss": 0.5}
    assert again.recall("b") is None
    again.remember("b", {"loss": 0.75})
    assert TrialFile.open(path).recall("b") == {"loss": 0.75}


def test_trials_on_other_data_are_not_recalled(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    TrialFile.open(path, "these rows").remember("a", {"loss": 0.5})
    assert TrialFile.open(path, "other rows").recall("a") is None
    assert TrialFile.open(path, "these rows").recall("a") == {"loss": 0.5}


# --- figures ------------------------------------------------------------------------------------


def test_memory_is_weights_and_what_lives_at_once() -> None:
    graph = net_of().graph
    weights = 4 * (64 * 32 + 32 + 320 + 10)
    alive = 4 * 8 * (64 + 32)  # the input and the first layer's output
    assert count_memory(graph, {"batch": 8}) == weights + alive
    assert count_numbers(graph) == weights // 4


def test_memory_is_that_of_weights_as_they_are_held() -> None:
    net = net_of()
    sizes = {"batch": 8}
    whole = count_memory(net.graph, sizes)
    context = CompressionContext(samples=SyntheticSamples(net.graph, Target()))
    stored = Quantize(Stored8()).run(net, context)
    assert count_memory(stored.graph, sizes) == whole, "unpacked when the file is loaded"
    rounded = Quantize(Int8(placement="all")).run(net, context)
    fewer = 3 * (64 * 32 + 320)  # bytes for floats
    assert whole - fewer - 8 * 64 * 3 < count_memory(rounded.graph, sizes) < whole - fewer


def test_a_weight_that_two_calls_unpack_is_held_once() -> None:
    net = make_net("""model M() {
        input a: f32[batch, 64]
        input b: f32[batch, 64]
        net shared = dense(32)
        output y: f32[batch, 32] = shared(a) + shared(b)
    }""")
    stored = Quantize(Stored8()).run(
        net, CompressionContext(samples=SyntheticSamples(net.graph, Target()))
    )
    sizes = {"batch": 1}
    assert count_memory(stored.graph, sizes) == count_memory(net.graph, sizes)


def test_a_pruned_group_norm_is_measured_where_both_nets_run(tmp_path: Path) -> None:
    """With a channel in each group one pixel has no variance, which PyTorch refuses."""
    net = make_net("""model M() {
        input x: f32[batch, 3, h, w]
        output y: f32[batch, 4, h, w] = x -> conv(8, kernel=1) as a -> group_norm(2) as norm
            -> conv(4, kernel=1) as b
    }""")
    context = CompressionContext(samples=SyntheticSamples(net.graph, Target()))
    small = Prune(channels=0.75).run(net, context)
    assert small.weights["norm.weight"].shape == (2,)
    assert [str(c.right) for c in small.graph.conditions] == ["h * w"]
    report, messages = check_net(small, tmp_path, net.graph)
    assert report.passed, [(m.text.title, m.text.label) for m in messages]
    sizes = dict(settle_sizes([net.graph, small.graph], Target()).sizes)
    assert sizes == choose_sizes(small.graph, Target()) == {"batch": 1, "h": 32, "w": 32}


def test_the_error_is_relative_to_the_base() -> None:
    net = net_of()
    weights = {**net.weights, "head.bias": net.weights["head.bias"] + 1}
    base, moved = open_net(net), open_net(replace(net, weights=weights))
    batches = list(SyntheticSamples(net.graph, Target()).batches(64))
    outputs = np.concatenate([base.run(base.cast_inputs(b))["logits"] for b in batches])
    expected = np.sqrt(outputs.size / np.sum(outputs**2))
    found = measure_error(moved, base, iter(batches))
    assert found.error == pytest.approx(expected, rel=1e-4)
    spread = np.sqrt(np.mean(outputs.var(axis=0)))
    assert found.of_spread == pytest.approx(1 / spread, rel=1e-4)
    assert measure_error(base, base, iter(batches)) == OutputError(0.0, 0.0)


def test_a_mean_of_rows_has_a_sample_for_each_row() -> None:
    values = np.random.default_rng(0).random(50)
    measured = sample_score(Score(50, lambda rows: float(values[rows].mean())))
    assert measured.spread is Spread.ROWS
    np.testing.assert_array_equal(measured.samples, values)


def test_what_is_no_mean_is_resampled() -> None:
    values = np.random.default_rng(0).normal(size=200)
    measured = sample_score(Score(200, lambda rows: float(values[rows].std())))
    assert measured.spread is Spread.RESAMPLED
    assert measured.samples is not None
    assert measured.value == pytest.approx(values.std())
    assert np.std(measured.samples) == pytest.approx(values.std() / np.sqrt(2 * 200), rel=0.3)


def test_layers_own_their_parameters() -> None:
    found = count_parameters(net_of().graph)
    assert found == {"stem": ("dense", "32×64", 2080), "head": ("dense", "10×32", 330)}


FACTORED = """
model Net {
    input x: f32[batch, 64]
    param place: f32[64] = normal(std=0.1)
    h = (x + place) -> dense(48) as wide -> relu
    output y = h -> dense(10) as head
}
data rows { source sklearn("digits")
    x = cast(image, f32) -> reshape([64])
    split random(seed=0), train=80%, val=20% }
train fit of Net on rows {
    minimize cross_entropy(y, label) with adam(lr=0.01)
    batch 64  epochs 1 }
variant small of fit { apply low_rank(rank=8, only=["wide"]) }
deploy small as onnx
"""


def test_the_columns_of_the_layer_table_add_up(tmp_path: Path) -> None:
    weft.loads(FACTORED).build(tmp_path, device="cpu")
    report = json.loads((tmp_path / "report.json").read_text())
    (layers,) = [s["layers"] for s in report["sections"] if s.get("layers")]
    rows = {row["path"]: (row["parameters"], row["before"]) for row in layers}
    assert rows.pop("(other)", (0, 0)) == (0, 0)
    assert rows.pop("place") == (64, 64)
    assert rows.pop("head") == (490, 490)
    assert sum(before for _, before in rows.values()) == 64 * 48 + 48
    assert sum(own for own, _ in rows.values()) == 64 * 8 + 8 * 48 + 48


def test_an_own_figure_is_isolated() -> None:
    (one, other, none) = (
        program_of(
            require="size <= 0.5 * fit.size and 90% <= val.accuracy and fit.size / size >= 2"
        )
        .variants["tiny"]
        .requires
    )
    for requirement, name, relation in ((one, "size", "<="), (other, "accuracy", ">=")):
        found = isolate(requirement)
        assert found is not None
        assert (found[0].name, found[1]) == (name, relation)
    assert isolate(none) is None


def test_a_front_of_nothing_draws_nothing() -> None:
    assert draw_front([]) == ""


# --- nets on disk -------------------------------------------------------------------------------


def test_a_net_is_read_as_it_was_written(tmp_path: Path) -> None:
    net = net_of()
    write_net(net, [], tmp_path / "net")
    assert all(path.is_file() for path in list_net(tmp_path / "net"))
    again, notes = read_net(tmp_path / "net", net.graph)
    assert print_graph(again.graph) == print_graph(net.graph)
    assert again.graph.nodes[0].origin.span == net.graph.nodes[0].origin.span
    assert notes == []
    for path, array in net.weights.items():
        np.testing.assert_array_equal(again.weights[path], array)


def test_a_size_says_which_way_it_went() -> None:
    assert describe_change(100, 460) == ": 4.6 times smaller"
    assert describe_change(130, 100) == ": 1.3 times larger"
    assert describe_change(101, 100) == ""


def test_the_least_disturbed_window_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = iter(((10.0, 7.0), (4.0, 2.0), (5.0, 2.0)))
    opened: list[int] = []

    def open_all() -> dict[str, Session]:
        opened.append(1)
        return {}

    def time_window(*_: object, **__: object) -> Comparison:
        before, after = next(windows)
        return Comparison({"before": Timing((before,) * 9), "after": Timing((after,) * 9)})

    monkeypatch.setattr(timing, "time_sessions", time_window)
    found = timing.time_undisturbed(open_all, {}, rounds=9)
    assert found.ratio("after", "before") == 0.5
    assert len(opened) == timing.WINDOWS, "each with sessions of its own"
