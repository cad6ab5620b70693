"""Symbolic links that somebody has put where Weft writes or deletes lead it nowhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import weft
from backends.pytorch.run.running import LOG, run_training
from backends.pytorch.train.folder import write_training
from compiler.driver import check
from compiler.report.diagnostics import CompileError, Sink
from compiler.system.files import write_text
from tests.table_train import write_table
from weft.cli.main import app
from weft.results.cache import forget
from weft.results.generated import GeneratedFiles
from weft.results.links import refuse_links
from weft.results.lock import NAME, hold_folder

SECRET = "the only copy"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec, with a file and a folder of somebody else's beside it."""
    (tmp_path / "victim").write_text(SECRET)
    (tmp_path / "elsewhere" / "inner").mkdir(parents=True)
    for path in ("kept.txt", "inner/kept.txt"):
        (tmp_path / "elsewhere" / path).write_text(SECRET)
    return write_table(tmp_path)


def list_files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def run_weft(*words: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, words)))


def assert_refused(result: Result, link: Path) -> None:
    assert isinstance(result.exception, CompileError), result.output
    (message,) = result.exception.messages
    assert message.code == "W1382"
    assert message.text.title == (
        f"`{link}` is a symbolic link to `{link.readlink()}`, and nothing is written there"
    )


BUILD, TRAIN, CODE, COMPILE = ("build",), ("train",), ("train", "--code-only"), ("compile",)


@pytest.mark.parametrize(
    ("command", "link", "target"),
    [
        (BUILD, ".weft.lock", "victim"),
        (TRAIN, ".weft.lock", "victim"),
        (BUILD, ".weft", "elsewhere"),
        ((*BUILD, "--force"), ".weft", "elsewhere"),
        (BUILD, ".weft/build.json", "victim"),
        (BUILD, "report.html", "victim"),
        (BUILD, "earlier", "elsewhere"),
        (BUILD, "fit", "elsewhere"),
        (BUILD, "fit/earlier", "elsewhere"),
        (TRAIN, "fit/train.log", "victim"),
        (TRAIN, "fit/metrics.jsonl", "nothing yet"),
        (TRAIN, "fit/metrics.part", "victim"),
        (CODE, "fit", "elsewhere"),
        (CODE, "fit/model.py", "victim"),
        (COMPILE, ".weft", "elsewhere"),
        (COMPILE, "earlier", "elsewhere"),
        (COMPILE, "Net.py", "victim"),
        (COMPILE, "Net.onnx.data", "nothing yet"),
        (COMPILE, "Net.safetensors", "victim"),
    ],
)
def test_a_link_below_the_folder_is_refused_before_anything_is_written(
    spec: Path, command: tuple[str, ...], link: str, target: str
) -> None:
    if command is COMPILE:
        spec.write_text(spec.read_text().partition("data table")[0])
    place = spec.parent / "out" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(spec.parent / target)
    before = list_files(spec.parent)
    assert_refused(run_weft(command[0], spec, "-o", spec.parent / "out", *command[1:]), place)
    assert list_files(spec.parent) == before


def test_a_folder_that_the_user_names_may_be_a_link(spec: Path) -> None:
    (spec.parent / "out").symlink_to("elsewhere")
    result = run_weft("train", spec, "--code-only", "-o", spec.parent / "out")
    assert result.exit_code == 0, result.output
    assert (spec.parent / "elsewhere" / "fit" / "train.py").is_file()
    # What is neither Weft's nor in its way is the user's own.
    (spec.parent / "elsewhere" / "pictures").symlink_to(spec.parent)
    assert not run_weft("train", spec, "--code-only", "-o", spec.parent / "out").exit_code


@pytest.mark.parametrize("link", ["output", "output/net"])
@pytest.mark.parametrize("command", [BUILD, CODE])
def test_a_folder_that_nobody_has_named_may_be_none(
    spec: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], link: str
) -> None:
    monkeypatch.chdir(spec.parent)
    Path(link).parent.mkdir(exist_ok=True)
    Path(link).symlink_to(spec.parent / "elsewhere")
    before = list_files(spec.parent)
    assert_refused(run_weft(command[0], spec, *command[1:]), Path(link))
    assert list_files(spec.parent) == before


def test_python_is_told_too(spec: Path) -> None:
    (spec.parent / "out").mkdir()
    (spec.parent / "out" / "fit").symlink_to(spec.parent / "elsewhere")
    before = list_files(spec.parent)
    loaded = weft.load(spec)
    with pytest.raises(weft.WeftError, match="W1382"):
        loaded.train("fit", spec.parent / "out")
    with pytest.raises(weft.WeftError, match="W1382"):
        loaded.build(spec.parent / "out")
    assert list_files(spec.parent) == before


def test_a_copy_of_an_edited_file_lands_beside_it_or_nowhere(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "Net.py").write_text("edited")
    (out / "earlier").symlink_to(elsewhere)
    with pytest.raises(CompileError, match="earlier"):
        GeneratedFiles(out, print).write(out / "Net.py", "generated")
    assert not list_files(elsewhere)
    assert (out / "Net.py").read_text() == "edited"


def test_a_lock_is_opened_through_no_link(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One may be put there after links were looked for."""
    monkeypatch.setattr("weft.results.lock.refuse_links", lambda root, names: None)
    (spec.parent / NAME).symlink_to("victim")
    with pytest.raises(OSError, match=r"weft\.lock"), hold_folder(spec.parent):
        pass
    assert (spec.parent / "victim").read_text() == SECRET


def test_a_log_is_begun_anew_and_not_what_a_link_in_its_place_leads_to(spec: Path) -> None:
    program = check(spec, sink=Sink())
    assert program is not None
    folder = spec.parent / "out" / "fit"
    write_training(program.trains["fit"], folder)
    (folder / LOG).symlink_to(spec.parent / "victim")
    run_training(folder, data_root=spec.parent, device="cpu")
    assert (spec.parent / "victim").read_text() == SECRET
    assert not (folder / LOG).is_symlink()


def test_a_file_is_written_through_no_link_whoever_asks(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "fit").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CompileError, match="fit"):
        GeneratedFiles(tmp_path / "out", print).write(tmp_path / "out" / "fit" / "a.py", "text")
    assert not list_files(tmp_path / "elsewhere")


def test_a_build_forgets_what_is_its_own(tmp_path: Path) -> None:
    for path in ("build.json", "code.json", "tiny/trials.jsonl", "notes/of mine.txt", "mine.txt"):
        write_text(tmp_path / ".weft" / path, SECRET)
    forget(tmp_path, ["tiny", "never built"])
    left = {"code.json", "notes/of mine.txt", "mine.txt"}
    assert list_files(tmp_path / ".weft").keys() == left
    (tmp_path / ".weft" / "tiny").symlink_to("notes")
    with pytest.raises(OSError, match="symbolic link"):
        forget(tmp_path, ["tiny"])
    assert list_files(tmp_path / ".weft").keys() >= left


def test_a_temporary_file_is_new_and_its_name_cannot_be_guessed(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    replace = Path.replace

    def note(self: Path, target: Path) -> Path:
        names.append(self.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", note)
    for _ in range(2):
        write_text(spec.parent / "Net.py", "text")
    # A counter or the time would leave most of it as it was.
    assert sum(one == other for one, other in zip(*names, strict=True)) < len(names[0]) - 8
    monkeypatch.setattr(os, "urandom", bytes)  # a name that is known after all
    (spec.parent / f".Net.{bytes(8).hex()}.py").symlink_to("victim")
    with pytest.raises(FileExistsError):
        write_text(spec.parent / "Net.py", "other text")
    assert (spec.parent / "victim").read_text() == SECRET
    assert (spec.parent / "Net.py").read_text() == "text"


def test_links_are_found_however_deep(tmp_path: Path) -> None:
    deep = tmp_path / "fit" / "earlier" / "a1b2"
    deep.mkdir(parents=True)
    refuse_links(tmp_path, ["fit", "not there"])
    (deep / "model.py").symlink_to("gone")
    refuse_links(tmp_path, ["other"])
    with pytest.raises(CompileError, match=r"a1b2.model\.py"):
        refuse_links(tmp_path, ["other", "fit"])


@pytest.mark.parametrize("name", ["...weft", "..weft", "....weft"])
def test_a_spec_without_a_name_is_built_below_output(
    spec: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (spec.parent / "work").mkdir()
    monkeypatch.chdir(spec.parent / "work")
    for path, copy in ((spec, name), (spec.with_name("table.csv"), "table.csv")):
        shutil.copy(path, copy)
    result = run_weft("train", name, "--code-only")
    assert result.exit_code == 0, result.output
    assert {path.name for path in Path().iterdir()} == {name, "table.csv", "output"}
    assert [path.name for path in Path("output").iterdir()] == [name]
