"""Targets of every loss and metric are held to their ranges, over all splits, before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.driver import check
from compiler.ops.expecting import Expect
from compiler.ops.registry import OPS, load_ops
from compiler.report.diagnostics import Message, Sink
from compiler.report.messages.tensor_operands import bad_option
from compiler.rows.validation import validate_data
from compiler.types.tensor import TensorType
from tests.faults import fault_of

ROWS = 40
DRAWN = np.random.default_rng(0)
SPEC = """
use std.losses
model Net {
    input x: f32[batch, 4]
    output scores: f32[batch, 3] = x -> dense(3) as head
}
data d {
    source npz("d.npz")
    split in_order, train=50%, val=25%, test=25%
}
train fit of Net on d {
    CLAUSES
    batch 8  epochs 1
}
"""


def find(tmp_path: Path, target: Any, *clauses: str) -> list[Message]:
    np.savez(tmp_path / "d.npz", x=DRAWN.normal(size=(ROWS, 4)).astype(np.float32), t=target)
    path = tmp_path / "spec.weft"
    path.write_text(SPEC.replace("CLAUSES", "\n    ".join(clauses)))
    sink = Sink()
    program = check(path, sink=sink)
    assert program is not None
    assert not sink.has_errors, [m.text.title for m in sink.messages]
    validate_data(program.trains["fit"], sink)
    return list(sink.messages)


def minimize(loss: str) -> str:
    return f"minimize {loss} with sgd(lr=0.1)"


def put(target: Any, row: int, value: float) -> Any:
    changed = target.copy()
    changed[row] = value
    return changed


CLASSES = DRAWN.integers(0, 3, ROWS)
SHARES = DRAWN.random(ROWS).astype(np.float32)
WIDE = DRAWN.dirichlet((1, 1, 1), ROWS).astype(np.float32)
BITS = (SHARES > 0.5).astype(np.float32)
ONE = "scores[:, 0]"
CE = minimize("cross_entropy(scores, t)")
FREE = minimize(f"mse({ONE}, cast(t, f32))")


@pytest.mark.parametrize(
    ("good", "bad", "clauses", "said"),
    [
        (CLASSES, put(CLASSES, 35, 3), [CE], "takes 0 to 2; row 35 has 3"),
        (put(CLASSES, 35, -100), put(CLASSES, 35, -1), [CE], "takes 0 to 2; row 35 has -1"),
        (
            put(CLASSES, 3, 9),
            put(CLASSES, 3, 8),
            [minimize("cross_entropy(scores, t, ignore_index=9)")],
            "takes 0 to 2, or 9; row 3 has 8",
        ),
        (
            SHARES,
            put(SHARES, 25, 2),
            [minimize(f"bce_with_logits({ONE}, t)")],
            "takes 0 to 1; row 25 has 2",
        ),
        (
            BITS,
            2 * BITS - 1,
            [minimize(f"bce(sigmoid({ONE}), t)")],
            "takes 0 to 1; row ",
        ),
        (WIDE, 2 * WIDE / WIDE.max() - 0.5, [CE], "takes 0 to 1; row 0 has "),
        (WIDE, put(WIDE, 22, 0.5), [CE], "probabilities add up to 1; those of row 22 to 1.5"),
        (
            WIDE,
            put(WIDE, 39, -0.25),
            [minimize("kl(log_softmax(scores, axis=1), t)")],
            "takes 0 to 1; row 39 has -0.25",
        ),
        (
            np.log(WIDE),
            put(np.log(WIDE), 39, 0.25),
            [minimize("kl(log_softmax(scores, axis=1), t, log_target=true)")],
            "takes 0 or below; row 39 has 0.25",
        ),
        *(
            (2 * BITS - 1, BITS, [minimize(loss)], "takes -1 or 1; row ")
            for loss in (
                f"hinge({ONE}, t)",
                f"hinge({ONE}, t, squared=true)",
                f"soft_margin({ONE}, t)",
                f"hinge_embedding({ONE}, t)",
                "cosine_embedding(scores, x[:, :3], t)",
                f"margin_ranking({ONE}, scores[:, 1], t)",
                f"mean(relu(1 - expect(t, values=[-1, 1]) * {ONE}))",
            )
        ),
        (BITS, 2 * BITS - 1, [minimize("contrastive(scores, x[:, :3], t)")], "takes 0 to 1; row "),
        (BITS, 255 * BITS, [minimize(f"soft_dice({ONE}, t)")], "takes 0 to 1; row "),
        (SHARES, SHARES - 1, [minimize(f"poisson_nll({ONE}, t)")], "takes 0 or above; row "),
        # Computed in the train, in another order and dtype, or joined with another axis.
        (
            CLASSES + 1,
            put(CLASSES, 30, 0),
            [minimize("cross_entropy(scores, t - 1)")],
            "takes 0 to 2; row ",
        ),
        (
            BITS,
            put(BITS, 11, 3),
            [minimize(f"bce_with_logits(flatten(stack([{ONE}, {ONE}], axis=1), 0), "
                      "flatten(stack([t, t], axis=1), 0))")],
            "takes 0 to 1; row 11 has 3",
        ),
        # Metrics, where no loss reads the target.
        (CLASSES, put(CLASSES, 33, 3), [FREE, "metric a = accuracy(scores, t)"], "row 33 has 3"),
        (CLASSES, put(CLASSES, 33, 3), [FREE, "metric a = top_k(scores, t, 2)"], "row 33 has 3"),
        (
            BITS,
            SHARES,
            [minimize(f"bce_with_logits({ONE}, t)"), f"metric a = binary_accuracy({ONE}, t)"],
            "takes 0 or 1; row 0 has ",
        ),
    ],
)  # fmt: skip
def test_a_target_outside_is_an_error(
    tmp_path: Path, good: Any, bad: Any, clauses: list[str], said: str
) -> None:
    assert find(tmp_path, good, *clauses) == []
    (found,) = find(tmp_path, bad, *clauses)
    assert found.code == "W0724"
    assert "`t`" in found.text.title
    assert said in found.text.label


def test_bits_for_sides_are_told_how_to_mend(tmp_path: Path) -> None:
    (found,) = find(tmp_path, BITS, minimize(f"hinge({ONE}, t)"))
    assert found.text.title == "the column `t` holds numbers that `hinge` does not take"
    assert found.text.help == "they are 0 and 1: write `2 * t - 1`"
    (call,) = found.calls
    assert call.text == "in this call of `hinge`"
    assert call.span.text == "hinge"
    assert find(tmp_path, BITS, minimize(f"hinge({ONE}, 2 * t - 1)")) == []
    (found,) = find(tmp_path, 2 * BITS - 1, minimize(f"bce_with_logits({ONE}, t)"))
    assert found.text.help == "they are -1 and 1: write `(t + 1) / 2`"
    (found,) = find(tmp_path, BITS, minimize(f"mse(expect(t, low=1) * {ONE}, t)"))
    assert found.text.title.endswith("that `expect` does not take")


@pytest.mark.parametrize(
    "op", [Expect(), Expect(values=()), Expect(values=(1,), low=0), Expect(low=1, high=0)]
)
def test_what_expects_nothing_is_refused(op: Expect) -> None:
    message = fault_of(lambda: op.infer(lambda *_: None, TensorType.of("f32", [3])))
    assert message.kind is bad_option


def test_a_fault_of_loss_and_metric_is_said_once(tmp_path: Path) -> None:
    clauses = (CE, "metric a = accuracy(scores, t)", "metric b = perplexity(scores, t)")
    assert len(find(tmp_path, put(CLASSES, 0, 7), *clauses)) == 1


def test_what_a_net_puts_out_is_no_target_of_the_data(tmp_path: Path) -> None:
    assert find(tmp_path, SHARES, minimize(f"bce_with_logits({ONE}, scores[:, 1])")) == []
    assert find(tmp_path, 9 * SHARES, minimize(f"mse({ONE}, t)")) == []


def test_weights_of_metrics_below_zero_are_an_error(tmp_path: Path) -> None:
    metric = f"metric m = mae({ONE}, x[:, 0], weight=t)"
    assert find(tmp_path, SHARES, FREE, metric) == []
    (found,) = find(tmp_path, put(SHARES, 33, -0.5), FREE, metric)
    assert found.code == "W0724"
    assert found.text.title == "the column `t` holds numbers that `mae(weight=…)` does not take"
    assert found.text.label == "takes 0 or above; row 33 has -0.5"


def test_a_split_of_ignored_labels_is_an_error(tmp_path: Path) -> None:
    labels = np.where(np.arange(ROWS) < 30, CLASSES, -100)
    (found,) = find(tmp_path, labels, CE, "metric a = accuracy(scores, t)")
    assert found.code == "W1210"
    assert "`test`" in found.text.title


@pytest.mark.parametrize(
    "clauses",
    [
        (CE.replace("scores, t", "scores, t, weight=[1, 1, 0]"),),
        (CE.replace("scores, t", "scores, where(t == 2, -100 * (t - 1), t)"),),
        (FREE, "metric a = accuracy(scores, t, mask=t != 2)"),
        (FREE, "metric a = accuracy(scores, t, weight=cast(t - 2, f32) ** 2)"),
        (FREE, "metric a = accuracy(scores, t, weight=[1, 1, 0])"),
        (FREE, f"metric a = mae({ONE}, scores[:, 0], mask=t != 2)"),
    ],
)
def test_a_split_in_which_nothing_counts_is_an_error_before_training(
    tmp_path: Path, clauses: tuple[str, ...]
) -> None:
    assert find(tmp_path, CLASSES, *clauses) == []
    (found,) = find(tmp_path, np.where(np.arange(ROWS) < 30, CLASSES, 2), *clauses)
    assert found.code == "W1210"
    assert "`test`" in found.text.title


def test_every_loss_of_probabilities_says_its_range() -> None:
    load_ops()
    pair = [TensorType.of("f32", ("batch", 3))] * 2
    for name in ("cross_entropy", "bce", "bce_with_logits", "kl"):
        cls = OPS.get(name)
        assert cls is not None
        assert cls().target_range(pair) is not None


def test_lengths_of_a_recurrent_layer(tmp_path: Path) -> None:
    text = SPEC.replace("input x", "input t: i64[batch]\n    input x").replace(
        "x -> dense(3)", "(x[:, :, none] -> lstm(2, lengths=t))[:, 0] -> dense(3)"
    )
    for lengths, told in ((CLASSES + 1, []), (CLASSES + 2, ["takes 1 to 4"]), (CLASSES, ["takes"])):
        lengths = put(lengths, 0, 4) if not told else put(lengths, 0, 5 if "4" in told[0] else 0)
        arrays = {"x": DRAWN.normal(size=(ROWS, 4)).astype(np.float32), "t": lengths}
        np.savez(tmp_path / "d.npz", **arrays)
        (tmp_path / "spec.weft").write_text(
            text.replace("CLAUSES", minimize("mse(scores[:, 0], x[:, 0])"))
        )
        sink = Sink()
        program = check(tmp_path / "spec.weft", sink=sink)
        assert program is not None
        validate_data(program.trains["fit"], sink)
        assert bool(sink.messages) == bool(told)
        assert all(told[0] in str(message.text) for message in sink.messages)


def test_a_loss_over_the_places_of_a_batch_is_measured(tmp_path: Path) -> None:
    metric = "metric n = cross_entropy(scores @ transpose(scores, 0, 1), arange(scores.shape[0]))"
    assert find(tmp_path, CLASSES, CE, metric) == []
