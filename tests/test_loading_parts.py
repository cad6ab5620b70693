"""Weights of a part of a net, loaded under its path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.ir.weights import write_weights
from compiler.loading import find_loaded, find_weights, read_all_weights
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.weights import pattern_unused, weights_collide, weights_surplus
from tests.elaborating import elaborate

SPEC = (
    "model Body {\n    input x: f32[batch, 4]\n    output y = x -> dense(4) as fc\n}\n"
    'net body = Body() -> load("body.safetensors", except=["fc.bias"], rename=["old" -> "fc"])\n'
    "model M {\n    input x: f32[batch, 4]\n    net first = body\n"
    "    output y = x -> first -> dense(4) as head\n}\n"
    "net m = M()\n"
)


def test_a_part_is_loaded_under_its_path(tmp_path: Path) -> None:
    weight = np.arange(16, dtype=np.float32).reshape(4, 4)
    write_weights(tmp_path / "body.safetensors", {"old.weight": weight}, {})
    net = elaborate(SPEC)[0]["m"]
    loaded = find_loaded(net, tmp_path)
    assert list(loaded) == ["first.fc.weight"]
    np.testing.assert_array_equal(loaded["first.fc.weight"], weight)
    assert len(find_weights(net, tmp_path)) == 4


def test_a_missing_weight_of_a_part_is_named_in_full(tmp_path: Path) -> None:
    write_weights(tmp_path / "body.safetensors", {"old.other": np.zeros(3, np.float32)}, {})
    net = elaborate(SPEC)[0]["m"]
    with pytest.raises(CompileError) as caught:
        find_loaded(net, tmp_path)
    assert (
        "first.fc.weight"
        in caught.value.messages[0].text.label + caught.value.messages[0].text.title
    )


NET = "model Net {\n    input x: f32[batch, 4]\n    output y = x -> dense(2) as head\n}\n"
OWN = {"head.weight": np.ones((2, 4), np.float32), "head.bias": np.ones(2, np.float32)}
GATE = {"gate.weight": np.zeros(3, np.float32)}


def load(tmp_path: Path, arrays: dict[str, np.ndarray], options: str = "") -> dict[str, np.ndarray]:
    write_weights(tmp_path / "w.safetensors", arrays, {})
    text = f'{NET}net n = Net() -> load("w.safetensors"{options})\n'
    return find_loaded(elaborate(text)[0]["n"], tmp_path)


def refusal(tmp_path: Path, arrays: dict[str, np.ndarray], options: str = "") -> Message:
    with pytest.raises(CompileError) as caught:
        load(tmp_path, arrays, options)
    (message,) = caught.value.messages
    assert message.span is not None
    return message


def test_a_tensor_that_the_net_does_not_have_is_an_error(tmp_path: Path) -> None:
    message = refusal(tmp_path, OWN | GATE)
    assert message.kind is weights_surplus
    assert "holds `gate.weight`, which" in message.text.title
    assert 'except=["gate.weight"]' in message.text.help


@pytest.mark.parametrize(
    "options",
    [', except=["gate.*"]', ', only=["head"]', ', except=["g"], rename=["gate" -> "g"]'],
)
def test_what_is_left_out_on_purpose_may_be_there(tmp_path: Path, options: str) -> None:
    assert load(tmp_path, OWN | GATE, options).keys() == OWN.keys()


def test_counters_of_batch_norms_are_no_surplus(tmp_path: Path) -> None:
    norm = {f"bn.{name}": np.ones(4, np.float32) for name in ("weight", "bias", "running_mean")}
    norm |= {"bn.running_var": np.ones(4, np.float32)}
    counter = {"bn.num_batches_tracked": np.zeros((), np.int64)}
    write_weights(tmp_path / "w.safetensors", OWN | norm | counter, {})
    text = NET.replace("x -> dense", "x -> batch_norm as bn -> dense")
    net = elaborate(f'{text}net n = Net() -> load("w.safetensors")\n')[0]["n"]
    assert find_loaded(net, tmp_path).keys() == (OWN | norm).keys()
    stray = {"head.num_batches_tracked": np.zeros((), np.int64)}
    assert refusal(tmp_path, OWN | stray).kind is weights_surplus


@pytest.mark.parametrize(
    ("options", "option", "pattern"),
    [
        (', only=["haed.*"]', "only", "haed.*"),
        (', except=["gate.*"]', "except", "gate.*"),
        (', rename=["old.*" -> "head.*"]', "rename", "old.*"),
        (', rename=["head" -> "head", "x" -> "y"]', "rename", "x"),
    ],
)
def test_patterns_that_match_nothing(
    tmp_path: Path, options: str, option: str, pattern: str
) -> None:
    message = refusal(tmp_path, OWN, options)
    assert message.kind is pattern_unused
    assert message.text.title == f'`{option}=` of `load` matches nothing: "{pattern}"'


def test_two_tensors_under_one_path(tmp_path: Path) -> None:
    message = refusal(tmp_path, OWN | GATE, ', rename=["gate" -> "head"]')
    assert message.kind is weights_collide
    assert message.text.title.endswith("both become `head.weight`")


def test_a_tensor_in_two_files(tmp_path: Path) -> None:
    for name in ("a-1.safetensors", "a-2.safetensors"):
        write_weights(tmp_path / name, OWN, {})
    net = elaborate(f'{NET}net n = Net() -> load("a-*.safetensors")\n')[0]["n"]
    with pytest.raises(CompileError) as caught:
        find_loaded(net, tmp_path)
    assert "once more" in caught.value.messages[0].text.title


def test_all_weights_of_a_file_belong_to_the_net(tmp_path: Path) -> None:
    graph = elaborate(f"{NET}net n = Net()\n")[0]["n"].graph
    path = tmp_path / "w.safetensors"
    write_weights(path, OWN | GATE, {})
    with pytest.raises(CompileError) as caught:
        read_all_weights(graph, path)
    assert caught.value.messages[0].kind is weights_surplus
    assert read_all_weights(graph, path, whole=["gate.weight"]).keys() == OWN.keys()
