"""Training scripts: `train.py` as a careful engineer would have written it."""

from backends.pytorch.script.emit import emit_script

__all__ = ["emit_script"]
