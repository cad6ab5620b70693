"""Linear models in closed form: the weights of NumPy and scikit-learn, and what has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from compiler.driver import check_source
from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from tests.train_scripts import lint, load_state, run, write

Numbers = NDArray[np.float64]
SPEC = """
model Line {
    input x: f32[batch, 3]
    BODY
}
data rows {
    source npz("rows.npz")
    split in_order, train=64, val=16
}
train fit of Line on rows {
    minimize LOSS with OPTIMIZER
    batch 16  epochs 1  seed 0
    CLAUSES
}
"""
LINE = "output y: f32[batch, 2] = x -> dense(2) as fc"


def fill(
    optimizer: str = "least_squares()",
    body: str = LINE,
    loss: str = "mse(y, target)",
    clauses: str = "",
) -> str:
    texts = {"OPTIMIZER": optimizer, "BODY": body, "LOSS": loss, "CLAUSES": clauses}
    text = SPEC
    for word, value in texts.items():
        text = text.replace(word, value)
    return text


def solve(folder: Path, text: str) -> tuple[dict[str, Numbers], Numbers, Numbers]:
    """The weights that a script finds, and the rows that it trains on."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(80, 3)) * [1, 100, 0.01] + [0, 3, 1]
    target = x @ generator.normal(size=(3, 2)) + 3 + generator.normal(size=(80, 2))
    x, target = x.astype(np.float32), target.astype(np.float32)
    np.savez(folder / "rows.npz", x=x, target=target, first=target[:, 0])
    write(text, folder)
    lint(folder)
    done = run(folder, "run")
    assert done.returncode == 0, done.stderr
    found = load_state(folder / "run")["model"]
    weights = {path: tensor.double().numpy() for path, tensor in found.items()}
    return weights, x[:64].astype(np.float64), target[:64].astype(np.float64)


def test_weights_are_those_of_lstsq(tmp_path: Path) -> None:
    """Whatever the batch is, and however the features are scaled."""
    found, x, target = solve(tmp_path, fill())
    padded = np.hstack([x, np.ones((64, 1))])
    expected = np.linalg.lstsq(padded, target, rcond=None)[0]
    np.testing.assert_allclose(found["fc.weight"], expected[:3].T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["fc.bias"], expected[3], rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "alpha"), [('mse(y, target, reduction="sum")', 0.5), ("mse(y, target)", 64 * 2 * 0.5)]
)
def test_ridge_is_scikit_learns(loss: str, alpha: float, tmp_path: Path) -> None:
    found, x, target = solve(tmp_path, fill("least_squares(ridge=0.5)", loss=loss))
    expected = Ridge(alpha=alpha).fit(x, target)
    np.testing.assert_allclose(found["fc.weight"], expected.coef_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["fc.bias"], expected.intercept_, rtol=1e-5, atol=1e-5)


def test_a_layer_needs_no_bias(tmp_path: Path) -> None:
    body = "output y: f32[batch, 2] = x -> dense(2, bias=false) as fc"
    found, x, target = solve(tmp_path, fill(body=body))
    expected = np.linalg.lstsq(x, target, rcond=None)[0]
    np.testing.assert_allclose(found["fc.weight"], expected.T, rtol=1e-5, atol=1e-6)


def test_a_choice_by_data_is_linear_in_what_it_chooses(tmp_path: Path) -> None:
    """Rows that a mask leaves out tell nothing of the weights."""
    loss = "mean(where(target > 0, (y - target) ** 2, 0))"
    found, x, target = solve(tmp_path, fill(loss=loss))
    padded = np.hstack([x, np.ones((64, 1))])
    for column in range(2):
        chosen = target[:, column] > 0
        assert 8 < chosen.sum() < 64
        expected = np.linalg.lstsq(padded[chosen], target[chosen, column], rcond=None)[0]
        np.testing.assert_allclose(found["fc.weight"][column], expected[:3], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["fc.bias"][column], expected[3], rtol=1e-4)


def test_a_loss_that_turns_out_not_convex_ends_the_training(tmp_path: Path) -> None:
    loss = "mse(y, target) - 2 * mse(y, 3 * target)"
    x = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", x=x, target=x[:, :2])
    write(fill(loss=loss), tmp_path)
    done = run(tmp_path, "run")
    assert done.returncode == 1
    assert "the loss is not convex: no weights have the least" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_script_goes_on_and_keeps_no_state_of_the_optimizer(tmp_path: Path) -> None:
    solve(tmp_path, fill("least_squares(lr=0.5)").replace("epochs 1", "epochs 2"))
    text = (tmp_path / "train.py").read_text()
    assert not [word for word in ("old_dirs", "scratch", "find_state") if word in text]
    done = run(tmp_path, "run", "--resume")
    assert done.returncode == 0, done.stderr


def test_squares_may_be_written_out(tmp_path: Path) -> None:
    """A polynomial of the first feature, whose weights are a `param`."""
    body = """param w: f32[4] = zeros()
    t = x[:, 0]
    y = sum(stack([t ** 0, t, t ** 2, t ** 3], axis=1) * w, axis=1)
    output y = y"""
    found, x, target = solve(tmp_path, fill(body=body, loss="mean((y - first) ** 2) / 2"))
    features = np.vander(x[:, 0], 4, increasing=True)
    expected = np.linalg.lstsq(features, target[:, 0], rcond=None)[0]
    np.testing.assert_allclose(found["w"], expected, rtol=1e-4, atol=1e-5)


def test_features_of_frozen_layers_are_those_of_evaluation(tmp_path: Path) -> None:
    body = """h = x -> dense(5, init=normal(std=0.1)) as hidden -> batch_norm -> tanh
    h = h -> dropout(50%)
    output y: f32[batch, 2] = h -> dense(2) as fc"""
    clauses = 'freeze "hidden", "batch_norm"'
    found, x, target = solve(tmp_path, fill(body=body, clauses=clauses))
    hidden = x @ found["hidden.weight"].T + found["hidden.bias"]
    features = np.hstack([np.tanh(hidden / np.sqrt(1 + 1e-5)), np.ones((64, 1))])
    expected = np.linalg.lstsq(features, target, rcond=None)[0]
    np.testing.assert_allclose(found["fc.weight"], expected[:-1].T, rtol=1e-3, atol=1e-3)


def test_what_nothing_tells_of_stays_finite(tmp_path: Path) -> None:
    """Of features that are copies of each other there are many solutions, all equally good."""
    body = "output y: f32[batch, 2] = concat([x, x, x * 0], axis=1) -> dense(2) as fc"
    found, x, target = solve(tmp_path, fill(body=body))
    padded = np.hstack([x, np.ones((64, 1))])
    best = padded @ np.linalg.lstsq(padded, target, rcond=None)[0]
    made = np.hstack([x, x, 0 * x]) @ found["fc.weight"].T + found["fc.bias"]
    np.testing.assert_allclose(made, best, rtol=1e-3, atol=1e-3)


def test_a_share_of_the_way_is_a_share_of_the_way(tmp_path: Path) -> None:
    body = "output y: f32[batch, 2] = x -> dense(2, init=zeros(), bias_init=zeros()) as fc"
    found, x, target = solve(tmp_path, fill("least_squares(lr=0.25)", body=body))
    padded = np.hstack([x, np.ones((64, 1))])
    expected = 0.25 * np.linalg.lstsq(padded, target, rcond=None)[0]
    np.testing.assert_allclose(found["fc.bias"], expected[3], rtol=1e-4)


HIDDEN = "output y: f32[batch, 2] = x -> dense(5) as a -> relu -> dense(2) as b"


@pytest.mark.parametrize(
    ("text", "code", "label"),
    [
        (fill(body=HIDDEN), "W1403", "`relu` of what is trained is not linear"),
        (
            fill(body=HIDDEN.replace("-> relu ", "")),
            "W1403",
            "the loss is a polynomial of degree 4 in them",
        ),
        (fill(loss="l1(y, target)"), "W1403", "`l1` of what is trained is not linear"),
        (fill(loss="mean(y * target)"), "W1403", "the loss is linear in them"),
        (fill(loss="mean((y - target) ** 3)"), "W1403", "the loss is a polynomial of degree 3"),
        (fill(loss="sqrt(mse(y, target))"), "W1403", "`sqrt` of what is trained is not linear"),
        (fill(loss="-mse(y, target)"), "W1403", "the factor of its square is negative"),
        (fill(loss="1 - mse(y, target) / 2"), "W1403", "the factor of its square is negative"),
        (fill(loss="mean(where(x > 0, -3 * (y - target)[:, :1] ** 2, 0))"), "W1403", "is negative"),
        (fill(loss="mean(where(y > 0, y - target, 0))"), "W1403", "of what is trained is not"),
        (fill(clauses="clip norm=1.0"), "W1404", "`clip` bounds the gradients"),
        (fill(clauses="precision bf16"), "W1404", "the precision is bf16"),
        (fill(clauses="regularize l1(1e-3)"), "W1404", "`l1` is no square of weights"),
        (
            fill(body="wide = x -> dense(3000)\n    output y = wide[:, :2]"),
            "W1404",
            "it would solve for 12,000 weights at once",
        ),
        (fill("least_squares(lr=2.0)"), "W0601", "is 2"),
        (fill("least_squares(ridge=-1.0)"), "W0601", "is -1"),
        (fill('least_squares() over "fc.weight" with adam()'), "W1439", "there are other groups"),
        (
            fill() + "variant small of fit { apply prune(weights=50%) -> finetune(epochs=2) }\n",
            "W1404",
            "`finetune` goes on from the weights that there are",
        ),
    ],
)
def test_what_has_no_closed_form_is_refused(
    text: str, code: str, label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {"x": np.zeros((80, 3), np.float32), "target": np.zeros((80, 2), np.float32)}
    np.savez(tmp_path / "rows.npz", **rows)
    monkeypatch.chdir(tmp_path)
    sink = Sink()
    check_source(Source("spec.weft", text), sink=sink)
    found = [(message.code, message.text.label) for message in sink.messages]
    assert any(kind == code and label in said for kind, said in found), found


def test_two_layers_are_solved_for_one_by_one(tmp_path: Path) -> None:
    """What is frozen may be anything."""
    solve(tmp_path, fill(body=HIDDEN, clauses='freeze "a"'))
