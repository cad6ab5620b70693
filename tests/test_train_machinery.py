"""How a training computes what it does: compiled nets, and results that are computed again."""

from __future__ import annotations

import json
import runpy
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from backends.pytorch.run.running import run_training
from backends.pytorch.train.folder import write_training
from compiler.driver import check
from compiler.report.diagnostics import CompileError, Sink
from tests.train_scripts import (
    GAN,
    PLAIN,
    assert_two_processes_agree,
    check_equal,
    lint,
    run,
    save_data,
    share,
    write,
)

SGD = PLAIN.replace("OPTIMIZER", "sgd(lr=0.1, momentum=0.9)")
DEEP = """
block Part(x, width: int) {
    h = x -> dense(width) as wide -> tanh -> dropout(20%) -> dense(16) as narrow
    return x + h
}
model Deep(depth: int = 3) {
    input features: f32[batch, 4]
    h = features -> dense(16) as first
    for i in 0..depth { h = h -> Part(64) as parts[i] }
    output logits: f32[batch, 3] = h -> dense(3) as head
}
"""
DEEP_TRAIN = DEEP + SGD[SGD.index("data iris") :].replace("of Net", "of Deep")


def find_codes(text: str, folder: Path) -> list[str]:
    save_data(folder)
    (folder / "spec.weft").write_text(text)
    sink = Sink()
    check(folder / "spec.weft", overrides={}, sink=sink)
    return [m.code for m in sink.messages]


def train(text: str, folder: Path) -> Path:
    folder.mkdir()
    written = write(text, folder)
    lint(written)
    done = run(written, "run")
    assert done.returncode == 0, done.stderr
    return written


# --- results that are computed again ----------------------------------------------------------


def count_kept(folder: Path) -> int:
    """Bytes that a forward pass of the train's net keeps for the backward pass."""
    script = runpy.run_path(str(folder / "train.py"), run_name="script")
    kept = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    lines = [line.strip() for line in (folder / "train.py").read_text().splitlines()]
    start = lines.index("model = Deep().to(device)")
    end = next(n for n, line in enumerate(lines) if line.startswith("optimizer = "))
    made = textwrap.dedent("\n".join((folder / "train.py").read_text().splitlines()[start:end]))
    scope: dict[str, Any] = {**script, "device": "cpu"}
    exec(made, scope)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        scope["model"].train()(torch.zeros(24, 4)).sum()
    return kept


def test_blocks_are_computed_again_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout in them, and less is kept."""
    plain = train(DEEP_TRAIN, tmp_path / "plain")
    said = 'checkpoint_activations "parts.*"  batch 24'
    again = train(DEEP_TRAIN.replace("batch 24", said), tmp_path / "again")
    assert "use_reentrant=False" in (again / "train.py").read_text()
    check_equal(plain / "run", again / "run")
    sizes = []
    for folder in (plain, again):
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, "model", raising=False)
        sizes.append(count_kept(folder))
    assert sizes[1] < 0.6 * sizes[0]


def test_a_training_goes_on_with_and_without(tmp_path: Path) -> None:
    """What is kept is no setting: the figures are the same."""
    text = DEEP_TRAIN.replace("epochs 6", "epochs 2")
    plain = train(text, tmp_path / "plain")
    said = 'checkpoint_activations "parts.1", "head"  batch 24'
    again = write(text.replace("batch 24", said), tmp_path)
    assert '("parts.1", "head")' in (again / "train.py").read_text()
    (again / "train.py").rename(plain / "train.py")
    done = run(plain, "run", "--resume")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("clause", "codes"),
    [
        ('checkpoint_activations "parts.*"', []),
        ('checkpoint_activations "parts"', []),
        ('checkpoint_activations ["parts.0", "head"]', []),
        ('checkpoint_activations "part.*"', ["W0616"]),
        ("checkpoint_activations 3", ["W0208"]),
        ('checkpoint_activations a="parts.*"', ["W0208"]),
        ("compile yes", ["W0201"]),
        ("compile 1", ["W0208"]),
        ('compile "true"', ["W0208"]),
        ("compile true", []),
    ],
)
def test_what_clauses_take(clause: str, codes: list[str], tmp_path: Path) -> None:
    text = DEEP_TRAIN.replace("batch 24", f"{clause}  batch 24")
    assert find_codes(text, tmp_path) == codes


def test_several_nets_have_the_paths_of_the_train(tmp_path: Path) -> None:
    text = GAN.replace("batch_norm", "group_norm(2)").replace("epochs 2", "epochs 1")
    plain = train(text, tmp_path / "plain")
    said = 'checkpoint_activations "D.*", G  batch 64'
    again = train(text.replace("batch 64", said), tmp_path / "again")
    assert '"D.head"' in (again / "train.py").read_text()
    check_equal(plain / "run", again / "run")
    normed = GAN.replace("batch 64", 'checkpoint_activations "G.*"  batch 64')
    assert "W1578" in find_codes(normed, tmp_path)


# --- compiled nets ----------------------------------------------------------------------------


def test_a_compiled_net_trains_as_one_that_is_not(tmp_path: Path) -> None:
    """Up to rounding, with the same paths of weights; and goes on where it stopped."""
    text = SGD.replace("epochs 6", "epochs 3")
    plain = train(text, tmp_path / "plain")
    compiled = train(text.replace("batch 24", "compile true  batch 24"), tmp_path / "compiled")
    wanted = load_file(plain / "run/best.safetensors")
    found = load_file(compiled / "run/best.safetensors")
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)
    state = torch.load(compiled / "run/last.pt", weights_only=True)
    assert not any("_orig_mod" in name for name in state["model"])
    done = run(compiled, "run", "--resume")
    assert done.returncode == 0, done.stderr
    (plain / "train.py").write_text((compiled / "train.py").read_text())
    done = run(plain, "run", "--resume")
    assert "was trained with" in done.stderr, "it is another training, by rounding"


def test_compiled_nets_that_take_turns_and_recompute(tmp_path: Path) -> None:
    text = GAN.replace("batch_norm", "group_norm(2)").replace("epochs 2", "epochs 1")
    said = 'compile true  checkpoint_activations "D.head"  batch 64'
    plain = train(text, tmp_path / "plain")
    compiled = train(text.replace("batch 64", said), tmp_path / "compiled")
    left, right = (
        json.loads((folder / "run/metrics.jsonl").read_text().splitlines()[0])
        for folder in (plain, compiled)
    )
    for name in left.keys() - {"seconds"}:
        assert right[name] == pytest.approx(left[name], rel=1e-3), name


def test_a_replica_that_shares_gradients_is_of_the_compiled_net(tmp_path: Path) -> None:
    """Its text; and two processes that compute results again are as one."""
    text = write(share(SGD).replace("batch 24", "compile true  batch 24"), tmp_path)
    script = (text / "train.py").read_text()
    assert script.index("model.compile()") < script.index("\n    train(parts, splits")
    assert "DistributedDataParallel(model)" in script
    (tmp_path / "again").mkdir()
    said = 'checkpoint_activations "parts.*"  batch 24'
    plain = DEEP_TRAIN.replace(" -> dropout(20%)", "")
    shared = share(plain).replace("batch 24", said)
    assert_two_processes_agree(write(shared, tmp_path / "again"), "val.accuracy")


def test_a_machine_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`compiler_missing`, W1576."""
    save_data(tmp_path)
    text = SGD.replace("batch 24", "compile true  batch 24")
    (tmp_path / "spec.weft").write_text(text)
    program = check(tmp_path / "spec.weft", overrides={}, sink=Sink())
    assert program is not None
    folder = tmp_path / "code"
    write_training(program.trains["fit"], folder)
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(CompileError) as caught:
        run_training(folder, data_root=tmp_path, device="cpu")
    assert [m.code for m in caught.value.messages] == ["W1576"]


def test_tf32_is_a_setting_that_changes_nothing_on_a_cpu(tmp_path: Path) -> None:
    plain, rounded = tmp_path / "plain", tmp_path / "rounded"
    plain.mkdir()
    rounded.mkdir()
    write(SGD, plain)
    write(SGD.replace("batch 24", "precision tf32  batch 24"), rounded)
    text = (rounded / "train.py").read_text()
    assert text.count('torch.set_float32_matmul_precision("high")') == 1
    assert "autocast" not in text
    assert '"precision": "tf32"' in text
    assert "set_float32" not in (plain / "train.py").read_text()
    lint(rounded)
    assert run(plain, "out").returncode == 0
    assert run(rounded, "out").returncode == 0
    assert run(rounded, "out", "--resume").returncode == 0
    left, right = (load_file(f / "out" / "best.safetensors") for f in (plain, rounded))
    for name, value in left.items():
        torch.testing.assert_close(value, right[name], rtol=1e-2, atol=1e-3)
