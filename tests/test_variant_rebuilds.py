"""Variants built again: what changed is made anew, and what a failed contract proposes holds."""

from __future__ import annotations

from contextlib import suppress

import pytest

from compiler.report.diagnostics import CompileError
from tests.variant_folder import SPEC, Folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    made = Folder(tmp_path_factory.mktemp("rebuild"))
    made.build()
    return made


@pytest.mark.parametrize("content", [b"", b"other weights", None])
def test_a_training_whose_weights_were_changed_is_done_anew(
    folder: Folder, content: bytes | None
) -> None:
    folder.build()
    best = folder.out / "fit" / "best.safetensors"
    before = best.read_bytes()
    best.unlink()
    if content is not None:
        best.write_bytes(content)
    folder.build()
    assert "train fit: training" in folder.said
    assert best.read_bytes() == before


def test_the_time_of_a_training_is_known_without_its_log(folder: Folder) -> None:
    folder.build()
    page = (folder.out / "report.md").read_text()
    (folder.out / "fit" / "metrics.jsonl").write_bytes(b"\xff")
    folder.build()
    assert (folder.out / "report.md").read_text() == page


def test_quality_comes_back_with_channels_and_is_carried_over(folder: Folder) -> None:
    """Whether more or less of a metric is better, less is pruned for it; the figure that is told is
    one of the split that the contract is about, not of the validation split."""
    spec = SPEC.replace(
        "metric accuracy", "metric doubt = perplexity(logits, label)\n    metric accuracy"
    )
    passes = "prune(channels=80%)"
    folder.build(passes, "test.doubt <= 1000 and test.accuracy >= 0%", spec)
    entries = folder.report()["contract"]
    bound = 0.9 * entries[0]["left"]
    with pytest.raises(CompileError) as caught:
        folder.build(passes, f"test.doubt <= {bound} and test.accuracy >= 0%", spec)
    (message,) = caught.value.messages
    assert "points" not in message.text.label
    assert "should hold it: test.doubt about" in (message.text.help or "")
    share = int((message.text.help or "").partition("channels=")[2].partition("%")[0])
    assert share < 80
    told = float((message.text.help or "").partition("about ")[2].partition(" ")[0])
    with suppress(CompileError):
        folder.build(f"prune(channels={share}%)", f"test.doubt <= {bound}", spec)
    found = folder.report()["contract"][0]["left"]
    assert told == pytest.approx(found, rel=0.15)
    with pytest.raises(CompileError) as caught:
        folder.build(passes, f"test.accuracy >= {entries[1]['left'] + 0.01}", spec)
    assert " points below " in caught.value.messages[0].text.label


def test_a_search_follows_from_the_form_of_the_file(folder: Folder) -> None:
    """Labels are part of the size that a search is to reach, and of the trials' figures."""
    passes, require = "search([prune, quantize(stored8)], trials=40)", "size <= 4KiB"
    long = SPEC.replace('["{i}"', '["the digit whose name is {i}, as it is written by hand"')
    folder.build(passes, require)
    folder.build(passes, require)
    assert "variant tiny: 1 search: up to date" in folder.said
    folder.build(passes, require, long)
    assert "variant tiny: 1 search" in folder.said
    before = folder.report()["journal"]
    (folder.out / ".weft" / "tiny" / "trials.jsonl").unlink()
    (folder.out / ".weft" / "build.json").unlink()
    folder.build(passes, require, long)
    assert folder.report()["journal"] == before


@pytest.mark.parametrize(
    ("passes", "require", "said"),
    [
        ("prune(channels=50%)", "params < 1210", "params is 1,210: not below 1,210"),
        ("prune(channels=50%)", "params > 1210", "params is 1,210: not above 1,210"),
        ("prune(channels=50%)", "size / 2 <= 1KiB", "because the figure is not alone"),
        ("prune(channels=50%) -> finetune(epochs=1)", "error <= 1%", "because training moves"),
    ],
)
def test_a_failed_contract_says_what_is_so(
    folder: Folder, passes: str, require: str, said: str
) -> None:
    with pytest.raises(CompileError) as caught:
        folder.build(passes, require)
    (message,) = caught.value.messages
    assert said in f"{message.text.label} {message.text.help}"
