"""How layers start: `init=` and `bias_init=`, in generated code and where Weft draws them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import weft
from compiler.report.messages.arguments import wrong_argument
from compiler.report.messages.nets import (
    no_initializer,
    nothing_to_start,
    numbers_differ,
    start_needs_axes,
)
from compiler.report.messages.shapes import shape_not_settled

HEAD = "model M() {\n    input x: f32[batch, 64]\n    param eye: f32[64, 64] = identity\n"


def find_kinds(layers: str) -> list[object]:
    """The kinds of the messages about layers in a model."""
    with pytest.raises(weft.WeftError) as found:
        weft.loads(f"{HEAD}    output y = x -> {layers}\n}}\n")
    return [message.kind for message in found.value.messages]


LAYERS = """
model M() {
    input x: f32[batch, 64]
    input image: f32[batch, 8, 16, 16]
    input word: i64[batch]
    dense = x -> dense(256, init=normal(0.5), bias_init=constant(0.25)) as a
    image = image -> conv(32, kernel=3, init=he_uniform(nonlinearity="relu"), bias_init=2) as b
    image = image -> conv_transpose(16, kernel=3, init=xavier_normal()) as c
    image = image -> group_norm(4, init=uniform(0.5, 0.6), bias_init=ones()) as d
    rows = word -> embedding(500, 64, padding_idx=7, init=lecun_normal()) as e
    output y = concat([flatten(image), dense, rows], axis=1) -> dense(2, bias_init=[3, 4]) as f
}
"""


def test_code_and_weft_draw_alike() -> None:
    spec = weft.loads(LAYERS).model("M")
    torch.manual_seed(0)
    ours = spec.weights(seed=0)
    for path, tensor in spec.torch().state_dict().items():
        theirs, drawn = tensor.numpy(), ours[path]
        assert drawn.shape == theirs.shape
        spread = 0.03 * max(float(theirs.std()), 0.1)
        assert drawn.mean() == pytest.approx(theirs.mean(), abs=spread), path
        if theirs.size > 1000:
            assert drawn.std() == pytest.approx(theirs.std(), rel=0.03, abs=1e-6), path
    assert ours["a.weight"].std() == pytest.approx(0.5, rel=0.02)
    np.testing.assert_array_equal(ours["a.bias"], np.float32(0.25))
    np.testing.assert_array_equal(ours["b.bias"], np.float32(2))
    np.testing.assert_array_equal(ours["f.bias"], [3, 4])
    assert 0.5 <= ours["d.weight"].min() <= ours["d.weight"].max() <= 0.6
    assert ours["e.weight"].std() == pytest.approx(1 / 8, rel=0.03)
    assert not ours["e.weight"][7].any()


BLOCK = """
block two(x, init: initializer = normal(0.5)) {
    return x -> dense(64, init=init) as a -> dense(64, init=init) as b
}
model M(start: initializer = zeros(), std: float = 2) {
    input x: f32[batch, 64]
    y = x -> two() -> two(init=start) -> two(init=normal(std))
    output z = y -> two(init=0.125) -> dense(1, init=normal(std))
}
"""


@pytest.mark.parametrize(("std", "start", "level"), [(2, "zeros()", 0), (3, "constant(9)", 9)])
def test_blocks_hand_on_how_their_layers_start(std: int, start: str, level: int) -> None:
    text = BLOCK.replace("std: float = 2", f"std: float = {std}").replace("zeros()", start)
    spec = weft.loads(text).model("M")
    module = spec.torch()
    for weights in (module.state_dict(), spec.weights(seed=0)):
        for label in "ab":
            found = [np.asarray(weights[f"{two}.{label}.weight"]) for two in TWOS]
            assert found[0].std() == pytest.approx(0.5, rel=0.1)
            assert np.all(found[1] == level)
            assert found[2].std() == pytest.approx(std, rel=0.1)
            assert np.all(found[3] == 0.125)
        assert np.asarray(weights["dense.weight"]).std() == pytest.approx(std, rel=0.3)


TWOS = ("two", "two_2", "two_3", "two_4")


def test_set_names_an_initializer(tmp_path: Path) -> None:
    path = tmp_path / "net.weft"
    path.write_text(BLOCK, encoding="utf-8")
    spec = weft.load(path, {"M.start": "constant(7)"})
    weights = spec.model("M").weights(seed=0)
    assert np.all(weights["two_2.a.weight"] == 7)


def test_recurrent_layers_start_by_three_arguments() -> None:
    layer = "lstm(16, layers=2, init=lecun_normal(), recurrent_init=orthogonal(), bias_init=0)"
    text = "model M() {\n    input x: f32[batch, t, 8]\n    output y = x -> "
    model = weft.loads(f"{text}{layer}\n}}\n").model("M")
    for weights in (model.torch().state_dict(), model.weights(seed=0)):
        for path, numbers in ((path, np.asarray(array)) for path, array in weights.items()):
            if "weight_hh" in path:
                np.testing.assert_allclose(numbers.T @ numbers, np.eye(16), atol=1e-5)
            elif "weight_ih" in path:
                assert numbers.std() == pytest.approx(numbers.shape[1] ** -0.5, rel=0.1)
            else:
                assert not numbers.any()


def test_a_net_starts_once() -> None:
    text = f"{HEAD}    net f = dense(64, init=constant(3))\n    output y = f(f(x))\n}}\n"
    weights = weft.loads(text).model("M").weights(seed=0)
    assert list(weights) == ["eye", "f.weight", "f.bias"]
    assert np.all(weights["f.weight"] == 3)


@pytest.mark.parametrize(
    ("layers", "kind"),
    [
        ("dense(4, bias=false, bias_init=zeros())", nothing_to_start),
        ("relu(init=zeros())", nothing_to_start),
        ("batch_norm(running_mean_init=zeros())", nothing_to_start),
        ("dense(64, weight=eye, init=zeros())", nothing_to_start),
        ("dense(4, init=dirac())", start_needs_axes),
        ("reshape([batch, 1, 8, 8]) -> conv(4, kernel=3, init=identity())", start_needs_axes),
        ("dense(4, bias_init=he_normal())", shape_not_settled),
        ("dense(4, init=nromal(0.1))", no_initializer),
        ('dense(4, init="zeros")', no_initializer),
        ("dense(4, init=[1, 2])", numbers_differ),
        ("dense(4, init=relu)", no_initializer),
    ],
)
def test_starts_that_mean_nothing_are_refused(layers: str, kind: object) -> None:
    assert find_kinds(layers) == [kind]


def test_a_parameter_for_an_initializer_takes_no_layer() -> None:
    text = BLOCK.replace("init=start", "init=relu")
    with pytest.raises(weft.WeftError) as found:
        weft.loads(text)
    assert [m.kind for m in found.value.messages] == [wrong_argument]
