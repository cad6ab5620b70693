"""Commands that tests run are told nothing by the user, or by a test that ran before them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.environments import make_environment
from tests.sessions import run_with_hub
from tests.transformers_models import import_transformers


def test_an_import_of_transformers_leaves_the_environment_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    before = dict(os.environ)
    import_transformers.__wrapped__()
    assert dict(os.environ) == before


def test_a_command_asks_its_hub_whatever_this_process_was_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path))
    status, printed = run_with_hub("weft weights hf:acme/tiny")
    assert status == 0, printed
    assert "fc.weight" in printed


def test_what_is_given_and_what_is_not_of_hugging_face_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HUGGINGFACE_HUB_CACHE", "cache")
    monkeypatch.setenv("HFX", "kept")
    made = make_environment(HF_HOME="given")
    assert (made["HF_HOME"], made["HFX"], made["PATH"]) == ("given", "kept", os.environ["PATH"])
    assert "HUGGINGFACE_HUB_CACHE" not in made
