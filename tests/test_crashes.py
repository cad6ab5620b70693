"""An exception that reaches the command line ends in one line with a code, never in a traceback."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

from compiler.system.files import write_text
from weft.cli import crash, main


def run(error: BaseException, monkeypatch: pytest.MonkeyPatch, folder: Path) -> object:
    """The status of a command that raises."""

    def broken() -> None:
        raise error

    monkeypatch.setattr(main, "app", broken)
    monkeypatch.setattr(sys, "argv", ["weft", "check", "net.weft"])
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(SystemExit) as end:
        main.run_command()
    return end.value.code


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a row of the user: 17.3"),
        KeyError("label"),
        RecursionError("maximum recursion depth exceeded"),
        AssertionError(),
        ValueError("Exceeds the limit (4300 digits)"),
        OSError("of no file"),
    ],
)
def test_a_fault_of_weft_is_one_line_and_a_report(
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(error, monkeypatch, tmp_path) == main.CRASHED
    printed = capsys.readouterr().err
    line, _, count = printed.strip().split("\n")
    (report,) = tmp_path.glob("weft-crash-*.txt")
    assert line.startswith(f"error[W1323]: a fault in Weft ({type(error).__name__} at ")
    assert str(report) in line
    assert crash.VARIABLE in line
    assert count == "1 error"
    text = report.read_text()
    assert "command: weft check net.weft" in text
    assert "numpy: " in text
    assert "in broken\n    raise error" in text
    assert "17.3" not in text


def test_a_report_names_the_package_that_brought_a_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    brought = {"numpy": ["numpy"], "onnxruntime": ["onnxruntime-gpu", "onnxruntime-gpu"]}
    monkeypatch.setattr(crash, "packages_distributions", lambda: brought)
    monkeypatch.setattr(crash, "version", lambda name: f"1.{len(name)}")
    lines = list(crash.list_versions())
    assert "numpy: 1.5" in lines
    assert "onnxruntime: 1.15 (onnxruntime-gpu)" in lines
    assert "torch: not installed" in lines


def test_the_traceback_is_shown_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(crash.VARIABLE, "1")
    assert run(ValueError("shown"), monkeypatch, tmp_path) == main.CRASHED
    printed = capsys.readouterr().err
    assert "Traceback (most recent call last)" in printed
    assert "ValueError: shown" in printed


def test_a_report_that_cannot_be_written_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run(ValueError(), monkeypatch, tmp_path / "file") == main.CRASHED
    assert "please send" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (MemoryError(), 1, "error[W1324]: the system has no memory left for this"),
        (KeyboardInterrupt(), 130, "weft: interrupted"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "out"), 1, "`out` cannot be written"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "n" * 300), 1, "File name too long"),
    ],
)
def test_what_is_no_fault_of_weft_says_so(
    error: BaseException,
    status: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(error, monkeypatch, tmp_path) == status
    printed = capsys.readouterr().err
    assert text in printed
    assert "Traceback" not in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("command", ["check", "ops"])
def test_a_closed_output_is_no_fault(closed: str, command: str, tmp_path: Path) -> None:
    spec = tmp_path / "net.weft"
    spec.write_text("model Net { input x: f32[batch, 2]\n output y = x -> relu }\n")
    given = "" if command == "ops" else str(spec)
    line = f"'{sys.executable}' -m weft.cli.main {command} {given} {closed}"
    done = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


MODEL = "model Net { input x: f32[batch, 2]\n output y = x -> relu }\n"


def weft(
    *arguments: str, folder: Path, encoding: str = "utf-8"
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "weft.cli.main", *arguments]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run(command, cwd=folder, capture_output=True, env=environment)


def test_an_interrupted_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("weft.cli.commands.check.check", interrupt)
    monkeypatch.setattr(sys, "argv", ["weft", "check", "net.weft"])
    with pytest.raises(SystemExit) as end:
        main.run_command()
    assert end.value.code == 130
    assert capsys.readouterr().err.strip() == "weft: interrupted"


def test_names_of_files_move_no_terminal(tmp_path: Path) -> None:
    name = "a\x1b[31m\x9b\nb.weft"
    (tmp_path / name).write_text(MODEL.replace("relu", "rellu"))
    for arguments in (["check", name], ["fmt", name], ["show", f"c{name}"], ["new", f"d{name}"]):
        done = weft(*arguments, folder=tmp_path)
        said = (done.stdout + done.stderr).decode()
        assert "a" in said
        assert not {"\x1b", "\x9b"} & set(said), arguments
    (tmp_path / name).write_text(MODEL)
    done = weft("show", name, "--graph", "e\x1b[3m\n.svg", folder=tmp_path)
    assert done.stdout == b"wrote e\\x1b[3m\\n.svg\n"


@pytest.mark.parametrize("arguments", [["ops"], ["explain", "W0701"], ["check", "net.weft"]])
def test_what_a_terminal_has_no_letters_for_is_escaped(
    arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "net.weft").write_text(MODEL.replace("relu", "\N{GREEK SMALL LETTER PSI}"))
    done = weft(*arguments, folder=tmp_path, encoding="ascii")
    assert done.returncode == (1 if "check" in arguments else 0)
    assert b"W1323" not in done.stderr
    assert b"\\" in done.stdout + done.stderr or "W0701" in arguments


@pytest.mark.parametrize("size", ["9" * 5000, "1" + "0" * 400, "0", "-1", "\u0663", "\u00b2", ""])
def test_sizes_that_are_none(size: str, tmp_path: Path) -> None:
    (tmp_path / "net.weft").write_text(MODEL)
    done = weft("show", "net.weft", "--size", f"batch={size}", folder=tmp_path)
    assert done.returncode == 1
    assert b"error[W0903]" in done.stderr


def test_devices_stay_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.svg")
    with pytest.raises(OSError, match="it is a named pipe"):
        write_text(tmp_path / "pipe.svg", "text")
    assert (tmp_path / "pipe.svg").is_fifo()


@pytest.mark.parametrize("module", ["weft.cli.main", "typer", "compiler.driver"])
def test_an_interrupt_while_modules_are_imported_is_one_line(module: str, tmp_path: Path) -> None:
    (tmp_path / "net.weft").write_text(MODEL)
    code = (
        "import sys\n"
        "class Interrupt:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt)\n"
        "from weft.cli.entry import main\n"
        "main()"
    )
    command = [sys.executable, "-c", code, "check", "net.weft"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "weft: interrupted\n")


def test_the_command_starts_at_an_entry_that_imports_nothing_of_the_compiler() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"weft": "weft.cli.entry:main"}
    code = "import sys, weft.cli.entry; print([m for m in sys.modules if m in ('typer', 'numpy')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("command", ["check", "compile", "build"])
def test_a_name_that_is_no_text_is_refused(command: str, tmp_path: Path) -> None:
    done = weft(command, os.fsdecode(b"net\xff.weft"), folder=tmp_path)
    assert done.returncode == 1
    assert b"its name is not text in UTF-8" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_report_of_a_crash_takes_a_name_that_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["weft", "build", "net\udcff.weft"])
    title = crash.describe_crash(ValueError("x")).text.title
    report = re.search("please send `(.*)`", title)
    assert report is not None
    assert "udcff" in Path(report[1]).read_text(encoding="utf-8")
