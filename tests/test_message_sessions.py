"""The console sessions on pages of messages run, and print what the pages show."""

from __future__ import annotations

import pytest
import torch

from compiler.report.console import PRINTED, read_printed, read_session
from compiler.report.diagnostics import MESSAGES, MessageKind, Severity
from compiler.report.messages import load_messages
from tests.conftest import Golden
from tests.sessions import Shell, hide_figures

load_messages()
SESSIONS = {code: kind for code, kind in sorted(MESSAGES.items()) if kind.console}

BESIDE = {"W1322": {"W0201"}}
"""Codes of other messages that must be there: this one says that there are too many."""
WITHOUT_GPU = ("W0820", "W0863")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("sessions"))


@pytest.mark.parametrize(("code", "kind"), SESSIONS.items(), ids=SESSIONS)
def test_session(
    code: str,
    kind: MessageKind[...],
    shell: Shell,
    golden: Golden,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if code in WITHOUT_GPU and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    steps = read_session(kind.console)
    done = shell.run_session(steps, capsys)
    assert done.codes - BESIDE.get(code, set()) == {code}, done.printed
    assert done.status == (1 if kind.severity is Severity.ERROR else 0)
    found = done.find(code)
    if hide_figures(found) != hide_figures(read_printed(code)):
        golden.check(PRINTED / f"{code}.txt", found)
    if kind.mended:
        done = shell.go_on(read_session(kind.mended), capsys)
        assert (done.status, done.codes) == (0, set()), done.printed


def test_nothing_is_recorded_that_no_session_prints() -> None:
    assert {path.stem for path in PRINTED.iterdir()} == set(SESSIONS)
