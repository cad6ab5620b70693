"""Published architectures: each parameter of the spec is an argument of the class, and followed."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import run_source
from tests.elaborating import build, elaborate
from tests.pytorch_compare import assert_arguments_mean_the_same, set_defaults
from tests.test_arguments_other_values import spell

FOLDER = Path(__file__).resolve().parent / "architectures"
SIZES = {"batch": 2, "t": 5, "s": 6, "p": 4, "h": 33, "w": 32}
MODELS = {path.stem: path for path in sorted(FOLDER.glob("*.weft"))}


def vary(value: object) -> list[str]:
    """Other values of a parameter, as a spec writes them."""
    match value:
        case int():
            return [str(2 * value), str(value + 1), str(max(1, value // 2))]
        case float():
            return [str(value / 2)]
        case tuple():
            more, double = [*value, value[-1]], [2 * item for item in value]
            return [spell(more), spell(double), spell(list(value)[:-1])]
    return []


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_of_an_architecture_is_followed(name: str) -> None:
    """Of each, one other value is tried that the spec takes."""
    spec = MODELS[name].read_text(encoding="utf-8")
    (model,) = re.findall(r"^model (\w+)", spec, re.MULTILINE)
    graph = build(spec, model).graph
    own = {a.name: a.value for a in graph.frame.arguments}
    made = getattr(run_source(emit_module([graph], title=model)), model)
    assert set(inspect.signature(made).parameters) == set(own)
    tried = 0
    for parameter, value in own.items():
        for other in vary(value):
            try:
                text = set_defaults(spec, model, {parameter: other})
            except AssertionError:
                break  # its default uses others
            if not elaborate(text)[1]:
                assert_arguments_mean_the_same(spec, model, {parameter: other}, SIZES)
                tried += 1
                break
    assert tried >= len(own) / 2
