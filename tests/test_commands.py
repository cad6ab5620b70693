"""The commands as a user runs them: what they print, and the status they end with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from compiler.manual.pages import find_pages
from compiler.manual.search import search_pages
from compiler.report.diagnostics import MESSAGES
from compiler.report.messages import load_messages

ROOT = Path(__file__).resolve().parents[1]
LENET = str(ROOT / "specs" / "models" / "lenet5.weft")


def weft(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "weft.cli.main", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "net.weft"
    path.write_text("model M {\n    input x: f32[n, 4]\n    output y = x -> dens(3)\n}\n")
    return path


def test_check_is_silent_when_all_is_well() -> None:
    done = weft("check", LENET)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_check_points_at_the_fault(broken: Path) -> None:
    done = weft("check", str(broken))
    assert done.returncode == 1
    assert f"{broken}:3:21" in done.stderr
    assert "did you mean `dense`?" in done.stderr


def test_check_speaks_json(broken: Path) -> None:
    done = weft("check", "--format=json", str(broken))
    assert done.returncode == 1
    assert "W0201" in json.dumps(json.loads(done.stdout))


def test_check_names_a_missing_file() -> None:
    done = weft("check", "specs/models/lenet.weft")
    assert done.returncode == 1
    assert "lenet5.weft" in done.stderr


@pytest.mark.parametrize("assignment", ["lr", "LeNet5.clases=3", "LeNet5.classes=x y"])
def test_set_refuses_what_is_no_assignment(assignment: str) -> None:
    done = weft("check", "--set", assignment, LENET)
    assert done.returncode == 1
    assert "error[" in done.stderr


def test_fmt_checks_and_formats(tmp_path: Path) -> None:
    path = tmp_path / "a.weft"
    path.write_text("let  x=3\n")
    assert weft("fmt", "--check", str(path)).returncode == 1
    assert path.read_text() == "let  x=3\n"
    assert weft("fmt", str(path)).returncode == 0
    assert path.read_text() == "let x = 3\n"
    assert weft("fmt", "--check", str(path)).returncode == 0


def test_fmt_leaves_a_broken_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.weft"
    path.write_text("model M {\n")
    assert weft("fmt", str(path)).returncode == 1
    assert path.read_text() == "model M {\n"


def test_explain_and_ops_answer_and_suggest() -> None:
    assert "channels do not match" in weft("explain", "W0312").stdout
    assert weft("explain", "W9999").returncode == 1
    assert "max_pool" in weft("ops", "pool").stdout
    assert "did you mean `conv`?" in weft("ops", "convv").stderr


def test_explain_lists_each_message_by_what_it_says_itself() -> None:
    load_messages()
    lines = weft("explain").stdout.splitlines()
    assert [line[:5] for line in lines] == sorted(MESSAGES)
    said = [line[7:] for line in lines]
    assert len(set(said)) == len(said)
    for code, sentence in zip(sorted(MESSAGES), said, strict=True):
        assert sentence.endswith((".", "…"))
        assert " ".join(MESSAGES[code].page.split()).startswith(sentence)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("label smoothing", "cross_entropy"),
        ("warm restarts", "cosine_restarts"),
        ("early stopping", "until"),
        ("gradient clipping", "clip"),
        ("mean squared error", "mse"),
        ("positional encoding", "sinusoidal_positions"),
        ("KL divergence", "kl"),
        ("deconvolution", "conv_transpose"),
        ("dilated", "conv"),
        ("sensitivity", "binary_recall"),
        ("specificity", "recall"),
        ("cross-entropy", "cross_entropy"),
        ("one hot", "one_hot"),
        ("auc", "auroc"),
        ("fid", "frechet_distance"),
        ("transposed conv", "conv_transpose"),
        ("ignore_index", "cross_entropy"),
    ],
)
def test_words_find_pages(words: str, name: str) -> None:
    assert name in {page.name for page in search_pages(list(find_pages()), words)}


def test_words_are_found_at_their_beginning_only() -> None:
    pages = list(find_pages())
    assert [page.name for page in search_pages(pages, "fid")] == ["frechet_distance"]
    assert not search_pages(pages, "nfidence")


def test_ops_takes_words_without_quotes() -> None:
    assert weft("ops", "label", "smoothing").stdout == weft("ops", "label smoothing").stdout != ""


def test_the_readme_shows_the_code_that_is_written(tmp_path: Path) -> None:
    spec = str(ROOT / "specs" / "examples" / "digits.weft")
    done = weft(*("compile", spec, "--item=fit", "--pytorch", "--no-verify", "-o", str(tmp_path)))
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert (tmp_path / "fit.py").read_text() in shown


def test_ops_shows_what_an_example_becomes() -> None:
    page = weft("ops", "softmax").stdout
    assert "    output probability = softmax(logits, axis=-1)\n" in page
    assert "        return F.softmax(logits, dim=-1)  # [n, 10]\n" in page
    assert page.endswith("In ONNX: `Softmax`\n")
    assert (
        "In ONNX: None (W1446): ONNX has no operator for `cholesky`."
        in weft("ops", "cholesky").stdout
    )
    assert "    optimizer = torch.optim.RAdam(" in weft("ops", "radam").stdout


def test_show_counts_and_draws(tmp_path: Path) -> None:
    assert "61,706" in weft("show", LENET).stdout
    drawing = tmp_path / "net.svg"
    assert weft("show", LENET, "LeNet5", "--graph", str(drawing)).returncode == 0
    assert drawing.read_text().startswith("<svg ")
    assert weft("show", LENET, "LeNet6").returncode == 1


GROUPS = """
model Net() {
    input features: f32[batch, 4]
    output logits = features -> dense(16) as hidden -> relu -> dense(3) as head
}
data iris {
    source sklearn("iris")
    split random(seed=0), train=80%, val=20%
}
train fit of Net on iris {
    minimize cross_entropy(logits, label)
        with adamw(lr=1e-2, weight_decay=5%)
        with sgd(lr=1e-2) over "*.bias"
    batch 30  epochs 2
    freeze "hidden.bias"
}
"""


def test_show_lists_what_each_optimizer_holds(tmp_path: Path) -> None:
    spec = tmp_path / "groups.weft"
    spec.write_text(GROUPS)
    text = weft("show", str(spec)).stdout
    first, second, frozen = text.split("train fit: ")[1:]
    assert first.startswith("adamw(lr=0.01, ")
    assert "weight_decay=0.05" in first
    assert "over the rest: 2 parameters, 112 numbers\n    hidden.weight, head.weight" in first
    assert second.startswith("sgd(")
    assert 'over "*.bias": 1 parameter, 3 numbers' in second
    assert frozen.startswith("frozen\n")
    assert "hidden.bias" in frozen
    shown = json.loads(weft("show", str(spec), "fit", "--format", "json").stdout)
    held = [group["parameters"] for group in shown["train fit"]["groups"]]
    assert held == [["hidden.weight", "head.weight"], ["head.bias"], ["hidden.bias"]]


@pytest.mark.parametrize("text", ["[1, 2", "{}", "[1, 2]"])
def test_run_refuses_labels_that_are_no_names(text: str, tmp_path: Path) -> None:
    (tmp_path / "net.weft").write_text(
        "model M {\n    input x: f32[2, 3]\n    output y = x -> relu\n}\n"
    )
    compiled = weft("compile", "net.weft", "-o", ".", "--onnx", "--no-verify", cwd=tmp_path)
    assert compiled.returncode == 0, compiled.stderr
    model = onnx.load(tmp_path / "M.onnx")
    model.metadata_props.add(key="labels", value=text)
    onnx.save(model, tmp_path / "M.onnx")
    np.save(tmp_path / "x.npy", np.zeros((2, 3), np.float32))
    done = weft("run", "M.onnx", "x=x.npy", cwd=tmp_path)
    assert done.returncode == 1
    assert "error[W0902]: `M.onnx` cannot be read: its labels are not a list" in done.stderr


def test_compile_run_and_verify(tmp_path: Path) -> None:
    done = weft("compile", LENET, "-o", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "verified lenet5" in done.stdout
    assert "W0915" in done.stderr, "fresh weights are said to be fresh"
    np.save(tmp_path / "x.npy", np.zeros((2, 1, 28, 28), np.float32))
    model = str(tmp_path / "lenet5.onnx")
    done = weft("run", model, f"image={tmp_path / 'x.npy'}", "--format=json")
    assert np.shape(json.loads(done.stdout)["logits"]) == (2, 10)
    np.save(tmp_path / "bad.npy", np.zeros((2, 3), np.float32))
    assert weft("run", model, f"image={tmp_path / 'bad.npy'}").returncode == 1
    assert weft("run", model, f"img={tmp_path / 'x.npy'}").returncode == 1
    assert weft("verify", LENET, model).returncode == 0


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"PK")
    done = weft("compile", LENET, "-o", str(tmp_path / "out"), "--weights", str(path))
    assert done.returncode == 1
    assert "error[W0906]" in done.stderr
    assert not (tmp_path / "out" / "lenet5.onnx").exists()


@pytest.mark.parametrize("template", ["image", "table", "text"])
def test_new_writes_a_sound_spec(template: str, tmp_path: Path) -> None:
    made = weft("new", "net", "--template", template, cwd=tmp_path)
    assert made.stdout == "wrote net.weft; next: weft build net.weft\n"
    checked = weft("check", "--data", "net.weft", cwd=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.splitlines()[1].split()[:2] == ["column", "kind"]


@pytest.mark.parametrize(
    ("model", "count"),
    [
        ("resnet34", "21,797,672"),
        ("vgg11", "132,863,336"),
        ("char_rnn", "4,333,696"),
        ("llama3_405b", "405,853,388,800"),
    ],
)
def test_new_copies_a_published_network(model: str, count: str, tmp_path: Path) -> None:
    made = weft("new", "net", "--model", model, cwd=tmp_path)
    assert made.stdout == "wrote net.weft; next: weft show net.weft\n"
    copied = weft("show", "net.weft", model, cwd=tmp_path)
    assert copied.returncode == 0
    assert count in copied.stdout.split()


@pytest.mark.parametrize(("model", "near"), [("foo", ""), ("resnet5", "resnet50")])
def test_new_lists_the_published_networks(model: str, near: str, tmp_path: Path) -> None:
    done = weft("new", "net", "--model", model, cwd=tmp_path)
    assert done.returncode == 1
    first, *table = done.stderr.split("= help: ")[1].split("\n\n")[0].splitlines()
    assert ("did you mean" in first) == bool(near)
    assert near in first
    assert max(map(len, table)) <= 80
    known = {path.stem for path in (ROOT / "specs" / "models").glob("*.weft")}
    assert {word for line in table for word in line.split()} == known
    assert len(table) < len(known) / 2


def test_explain_knows_the_passes(tmp_path: Path) -> None:
    done = weft("compile", LENET, "-o", str(tmp_path), "--onnx", "--explain", "fold_batchnorm")
    assert done.returncode == 1
    assert "did you mean `fold_batch_norm`?" in done.stderr


def test_commands_are_imported_when_they_are_called() -> None:
    listed = weft("--help").stdout
    files = sorted((ROOT / "weft" / "cli" / "commands").glob("[a-z]*.py"))
    shown = re.findall(r"^  ([\w-]+) ", listed.partition("Commands:")[2], re.MULTILINE)
    assert shown == [file.stem.removesuffix("_").replace("_", "-") for file in files]
    assert "Did you mean 'check'?" in weft("chek", LENET).stderr
    code = "import sys, weft.cli.main; print(sorted(m for m in sys.modules if 'cli.' in m))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (
        done.stdout
        == "['weft.cli.interrupt', 'weft.cli.main', 'weft.cli.options', 'weft.cli.printing']\n"
    )


@pytest.mark.parametrize("name", ["Bad.name", "net.py", "", ".weft", ".."])
def test_a_spec_is_a_file_with_a_name(name: str, tmp_path: Path) -> None:
    made = weft("new", name, cwd=tmp_path)
    assert made.returncode == 1
    assert "a spec is a file `NAME.weft`" in made.stderr
    assert not list(tmp_path.iterdir())


def test_a_check_loads_only_what_a_spec_has(tmp_path: Path) -> None:
    spec = tmp_path / "net.weft"
    spec.write_text("model M() {\n    input x: f32[batch, 3]\n    output y = x -> dense(2)\n}\n")
    code = (
        "import os, sys\n"
        "os._exit = lambda status: (print(*sorted(sys.modules)), sys.stdout.flush())\n"
        f"sys.argv = ['weft', 'check', {str(spec)!r}]\n"
        "from weft.cli.entry import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    loaded = set(done.stdout.split())
    assert "compiler.elaborate.items.program" in loaded, done.stderr
    items = {f"compiler.elaborate.items.{item}" for item in ("data", "train", "deploy")}
    others = {"compiler.describe", "compiler.elaborate.calls.adapters", "weft.survey", "onnx"}
    assert not loaded & (items | others | {"torch", "onnxruntime", "compiler.rows.loading"})
