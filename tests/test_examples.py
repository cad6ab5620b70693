"""The examples on real data: what the benchmark asks of their reports, and how it judges."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.examples import CASES, EXAMPLES, Example, Figure, judge, read_figures
from compiler.driver import check
from compiler.report.diagnostics import Sink

SHARED = EXAMPLES.parents[2] / "shared" / "data"
REPORT = {
    "sections": [
        {"title": "train judged", "figures": {"val": {"sure": 0.1}, "test": {"sure": 0.72}}},
        {"title": "train fit", "figures": {"test": {"loss": 0.5, "psnr": 17.0, "noisy": 10.5}}},
        {"title": "deploy judged as onnx", "figures": {"test": {"sure": 0.2}}},
        {"title": "train broken"},
    ]
}


@pytest.mark.parametrize("example", CASES, ids=lambda example: example.name)
def test_figures_of_the_table_are_metrics_of_the_examples(example: Example) -> None:
    if not SHARED.is_dir():
        pytest.skip("../shared/data is absent")
    sink = Sink()
    program = check(EXAMPLES / f"{example.name}.weft", sink=sink)
    assert program is not None
    assert not sink.has_errors, sink.messages
    for figure in example.figures:
        for path in filter(None, (figure.path, figure.minus)):
            train, _, metric = path.partition(".")
            assert metric in {use.name for use in program.trains[train].metrics}, path


def test_figures_are_those_of_trains_on_the_test_split() -> None:
    assert read_figures(REPORT) == {
        "judged.sure": 0.72,
        "fit.loss": 0.5,
        "fit.psnr": 17.0,
        "fit.noisy": 10.5,
    }


@pytest.mark.parametrize(
    ("figure", "minutes", "held"),
    [
        (Figure("judged.sure", 0.72), 9.0, True),
        (Figure("judged.sure", 0.73), 9.0, False),
        (Figure("judged.sure", 0.72), 10.1, False),
        (Figure("fit.psnr", 6.5, minus="fit.noisy"), 1.0, True),
        (Figure("fit.psnr", 6.6, minus="fit.noisy"), 1.0, False),
        (Figure("fit.psnr", 6.5, minus="fit.absent"), 1.0, False),
        (Figure("gan.sure", 0.0), 1.0, False),
    ],
    ids=str,
)
def test_a_bound_holds_or_not(
    figure: Figure, minutes: float, held: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    example = Example("some", (Figure("fit.loss", 0.1), figure))
    assert judge(example, read_figures(REPORT), minutes) is held
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2
    assert printed[1].split()[0] == "some"
    assert figure.title in printed[1]


def test_a_figure_that_is_no_number_does_not_hold() -> None:
    example = Example("some", (Figure("fit.loss", -1.0),))
    assert not judge(example, {"fit.loss": float("nan")}, 1.0)


def test_examples_of_the_table_have_different_names() -> None:
    names = [example.name for example in CASES]
    assert len(set(names)) == len(names)
    assert all(Path(EXAMPLES / f"{name}.weft").is_file() for name in names)
