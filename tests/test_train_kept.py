"""States kept within an epoch: a training that is killed between them ends as if it were not."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.checking import check_text
from tests.train_scripts import (
    DDPM,
    DIGITS,
    DINO,
    GAN,
    MOCO,
    VAE,
    assert_same,
    assert_two_processes_agree,
    check_equal,
    load_state,
    one_thread,
    run,
    share,
    write,
)

SPECS = {
    "digits": DIGITS.replace("epochs 5", "epochs 2  checkpoint every=5steps"),
    "vae": VAE.replace("epochs 3", "epochs 2  checkpoint every=7steps"),
    "gan": GAN.replace("epochs 2", "epochs 2  checkpoint every=5steps"),
    "timed": DIGITS.replace("epochs 5", "epochs 2  checkpoint every=0.001s"),
}


def stop_at(folder: Path, step: int) -> None:
    """Lets the script of a folder end hard right after it has kept its state so many times."""
    path = folder / "train.py"
    text = path.read_text()
    killed = text.replace(
        'part.replace(out / "last.pt")\n',
        'part.replace(out / "last.pt")\n'
        "    global KEPT\n    KEPT += 1\n"
        f"    if KEPT == {step}:\n        import os\n        os._exit(9)\n",
    ).replace("\nParts = ", "\nKEPT = 0\nParts = ", 1)
    assert killed.count("os._exit") == 1
    (folder / "killed.py").write_text(killed)


def run_killed(folder: Path, *options: str) -> int:
    command = [sys.executable, "killed.py", "--out", "killed", "--device", "cpu", *options]
    return subprocess.run(
        command, cwd=folder, env=one_thread(), capture_output=True, check=False
    ).returncode


@pytest.mark.parametrize("name", SPECS)
def test_a_training_goes_on_in_the_middle_of_an_epoch(name: str, tmp_path: Path) -> None:
    folder = write(SPECS[name], tmp_path)
    assert run(folder, "whole").returncode == 0
    stop_at(folder, 2)
    assert run_killed(folder) == 9
    assert load_state(folder / "killed")["begun"]["step"] > 0
    assert (folder / "killed" / "best.safetensors").exists()
    for _ in range(3):
        if run_killed(folder, "--resume") == 0:
            break
    assert run(folder, "killed", "--resume").returncode == 0
    one, two = (load_state(folder / out) for out in ("whole", "killed"))
    for state in (one, two):
        for record in state["history"]:
            record.pop("seconds")
    assert_same(one, two)
    best = [(folder / out / "best.safetensors").read_bytes() for out in ("whole", "killed")]
    assert best[0] == best[1]


KILLS = int(os.environ.get("WEFT_KILLS", "2"))
"""How often a training is killed; 20 is a run by hand, of minutes."""
ADVERSARIAL = GAN.replace("G(code)", "G(normal([batch, 16]))").replace(
    "-> flatten -> dense(1) as head", "-> flatten -> dropout(20%) -> dense(1) as head"
)
KILLED = {"digits": DIGITS, "gan": ADVERSARIAL, "ddpm": DDPM, "dino": DINO, "moco": MOCO}


@pytest.mark.parametrize("name", KILLED)
def test_a_training_that_is_killed_anywhere_ends_the_same(name: str, tmp_path: Path) -> None:
    """Killed at random moments, in steps, evaluations and while files are written."""
    epochs = (12 if name in ("dino", "moco") else 1) * (2 + KILLS)
    kept = f"epochs {epochs}  checkpoint every=1steps"
    folder = write(re.sub(r"epochs \d+", kept, KILLED[name]), tmp_path)
    done = run(folder, "whole")
    assert done.returncode == 0, done.stderr
    moments = random.Random(name)
    last, unfinished = folder / "killed" / "last.pt", 0
    for _ in range(KILLS):
        unfinished += kill_at(folder, last, moments.uniform(0, 0.15))
    done = run(folder, "killed", "--resume")
    assert done.returncode == 0, done.stderr
    assert unfinished == KILLS, "the training was at its end before all kills"
    check_equal(folder / "whole", folder / "killed")


def kill_at(folder: Path, last: Path, delay: float) -> bool:
    """Goes on with a training, and kills it some time after it has kept a state; whether it was
    not at its end."""
    command = [sys.executable, "train.py", "--out", "killed", "--device", "cpu"]
    process = subprocess.Popen(
        [*command, "--resume" if last.exists() else "--overwrite"],
        cwd=folder,
        env=one_thread(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    before = last.stat().st_mtime_ns if last.exists() else 0
    while process.poll() is None and (not last.exists() or last.stat().st_mtime_ns == before):
        time.sleep(0.003)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("name", ["digits", "gan"])
def test_two_processes_keep_states(name: str, tmp_path: Path) -> None:
    spec = SPECS[name].replace("batch_norm", "relu").replace("dropout(25%)", "relu")
    spec = spec.replace("every=5steps", "every=4steps")
    assert_two_processes_agree(write(share(spec), tmp_path))
    folder = tmp_path
    stop_at(folder, 2)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc-per-node", "2"]

    def start(script: str, *options: str) -> int:
        return subprocess.run(
            [*launch, script, "--out", "shared", "--device", "cpu", *options],
            cwd=folder,
            env=one_thread(),
            capture_output=True,
            check=False,
        ).returncode

    assert start("killed.py") != 0
    assert load_state(folder / "shared")["begun"]["step"] > 0
    assert start("train.py", "--resume") == 0
    one, two = (load_state(folder / out) for out in ("two", "shared"))
    assert_same(one["model"], two["model"])
    for left, right in zip(one["history"], two["history"], strict=True):
        assert {k: v for k, v in left.items() if k != "seconds"} == pytest.approx(
            {k: v for k, v in right.items() if k != "seconds"}, rel=1e-6
        )


def test_a_state_without_numbers_is_not_kept(tmp_path: Path) -> None:
    spec = (
        SPECS["digits"]
        .replace("every=5steps", "every=1steps")
        .replace(
            "minimize cross_entropy(logits, label)",
            "bad = where(step < 6, 0.0, log(-1.0 * abs(logits) - 1))\n"
            "    minimize cross_entropy(logits, label) + mean(bad)",
        )
    )
    folder = write(spec, tmp_path)
    done = run(folder, "out")
    assert done.stderr.strip().endswith("the loss is nan at epoch 1, step 6")
    state = load_state(folder / "out")
    assert state["begun"]["step"] == 5
    assert all(value.isfinite().all() for value in state["model"].values())


def test_without_the_clause_nothing_of_it_stands_in_the_script(tmp_path: Path) -> None:
    text = (write(DIGITS, tmp_path) / "train.py").read_text()
    assert "begun: dict" not in text
    assert "10**9" not in text


def test_a_training_that_kept_no_states_is_another_one(tmp_path: Path) -> None:
    folder = write(SPECS["digits"], tmp_path)
    assert run(folder, "out").returncode == 0
    done = run(write(DIGITS.replace("epochs 5", "epochs 2"), tmp_path), "out", "--resume")
    assert done.returncode == 1
    assert "'checkpoint': 'within epochs'" in done.stderr


@pytest.mark.parametrize(
    "clause",
    ["every=0steps", "every=5", "every=5epochs", "5steps", "every=5steps, 3", "every=-1min"],
)
def test_other_intervals_are_refused(clause: str, tmp_path: Path) -> None:
    text = DIGITS.replace('npz("digits.npz")', 'sklearn("digits")').replace(
        "epochs 5", f"epochs 5  checkpoint {clause}"
    )
    with pytest.raises(AssertionError, match="W0208"):
        check_text(text)
