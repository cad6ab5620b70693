"""torchmetrics' functions, also beside a torchvision that the CPU build of torch cannot load."""

from __future__ import annotations

from importlib import import_module, util

from tests.torchvision_models import import_models

if util.find_spec("torchvision") is not None:
    import_models()
tm = import_module("torchmetrics.functional")
tmc = import_module("torchmetrics.functional.classification")
tmi = import_module("torchmetrics.functional.image")
compute_fid = import_module("torchmetrics.image.fid")._compute_fid

__all__ = ["compute_fid", "tm", "tmc", "tmi"]
