"""A build that a variant ends still reports what it finished before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compiler.report.diagnostics import CompileError
from compiler.report.messages.contracts import contract_failed
from compiler.report.messages.search import search_goal_missed
from tests.variant_folder import PASSES, REQUIRE, SPEC, TRAINED, Folder

LATER = """
variant never of fit {
    apply search([prune], trials=30)
    target cpu(threads=1), batch=8
    require latency <= 0.1% * fit.latency
}
variant after of fit { apply prune(channels=50%) }
"""
TUNED = (
    TRAINED
    + """
variant tiny of fit {
    apply search([prune], trials=30) -> finetune(epochs=2) -> quantize(stored8)
    require size <= 3KiB
}
"""
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("unfinished"))


def test_a_failed_search_leaves_the_report_of_what_is_finished(folder: Folder) -> None:
    with pytest.raises(CompileError) as caught:
        folder.build(spec=SPEC + LATER)
    assert [message.kind for message in caught.value.messages] == [search_goal_missed]
    report = json.loads((folder.out / "report.json").read_text())
    by_title = {section["title"]: section for section in report["sections"]}
    assert list(by_title) == ["train fit", "not finished", "variant tiny of fit"]
    assert all(c["verdict"] == "pass" for c in by_title["variant tiny of fit"]["contract"])
    rows = by_title["not finished"]["rows"]
    assert rows["variant never"].startswith("W1198: the search found no net with latency")
    assert rows["variant after"] == "not begun"
    for name in ("report.md", "report.html"):
        assert "W1198" in (folder.out / name).read_text()
    folder.build(spec=SPEC)
    titles = [s["title"] for s in json.loads((folder.out / "report.json").read_text())["sections"]]
    assert "not finished" not in titles


def test_contracts_that_failed_before_are_said_too(folder: Folder) -> None:
    with pytest.raises(CompileError) as caught:
        folder.build(PASSES, REQUIRE + " and size <= 2KiB", spec=SPEC + LATER)
    assert [m.kind for m in caught.value.messages] == [contract_failed, search_goal_missed]


def test_a_search_tunes_its_candidates_and_holds_what_follows_to_the_bound(tmp_path: Path) -> None:
    """The size is that behind `quantize`: without it, no setting comes to 3 KiB."""
    folder = Folder(tmp_path)
    folder.build(spec=TUNED)
    report = folder.report()
    said = [note["done"] for note in report["journal"] if note["step"] == "search"]
    assert any(done.startswith("tuned baseline prune(") for done in said)
    assert any(done.startswith("took ") for done in said)
    assert (folder.out / "tiny" / "search_1_finetune" / "train.py").is_file()
    (kept,) = report["contract"]
    assert kept["verdict"] == "pass"
    assert kept["left"] > 2048, "the weakest that keeps the bound, not the strongest"
