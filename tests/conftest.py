"""What all tests share: the option that accepts new goldens."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

from tests.warm_python import WarmPopen

NEW_CASES = "LAWS_NEW_CASES"
"""The variable of the environment with which `make laws` asks for cases of a seed of its own."""

settings.register_profile("weft", derandomize=NEW_CASES not in os.environ)
settings.load_profile("weft")
subprocess.Popen = WarmPopen  # type: ignore[misc]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--accept",
        action="store_true",
        help="write what was found to the golden files instead of comparing",
    )


class Golden:
    """Compares texts with golden files, or writes them there."""

    def __init__(self, *, accepts: bool) -> None:
        self.accepts = accepts

    def check(self, path: Path, text: str) -> None:
        """Fail where a text is not what its golden file holds."""
        if self.accepts:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            return
        assert path.exists(), f"{path.name} is missing: run `make accept` and read what it wrote"
        with path.open(encoding="utf-8", newline="") as file:
            assert text == file.read(), f"{path.name} differs: read it, then `make accept`"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(accepts=request.config.getoption("--accept"))
