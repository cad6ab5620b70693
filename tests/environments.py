"""The environment of commands that tests run: that of this process, without what a user, or a test
before, told packages of Hugging Face."""

from __future__ import annotations

import os

OF_HUGGING_FACE = ("HF_", "HUGGING", "TRANSFORMERS_")
"""How the names begin of variables that `huggingface_hub` and `transformers` read."""


def make_environment(**more: str) -> dict[str, str]:
    """The environment of a command: variables that are given, and those of this process."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OF_HUGGING_FACE)}
    return kept | more
