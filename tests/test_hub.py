"""`load("hf:OWNER/NAME")`: from a server on the loopback address, and from the cache alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import save

from compiler.report.messages.repositories import bad_repository, bad_revision
from tests.elaborating import elaborate
from tests.environments import make_environment
from tests.hub_server import Hub, serve

ROOT = Path(__file__).resolve().parents[1]
NET = """
model Net {
    input x: f32[n, 4]
    output y = x -> dense(3, bias=false) as a -> dense(2, bias=false) as b
}
"""
A = {"a.weight": np.arange(12, dtype=np.float32).reshape(3, 4)}
B = {"b.weight": np.ones((2, 3), np.float32)}
WHOLE = {"model.safetensors": save(A | B), "README.md": b"# tiny", "config.json": b"{}"}
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
PLACES = {"a.weight": FIRST, "b.weight": SECOND}
SHARDS = {
    "model.safetensors.index.json": json.dumps({"weight_map": PLACES}).encode(),
    FIRST: save(A),
    SECOND: save(B),
}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve() as made:
        yield made


def weft(
    folder: Path, address: str, *arguments: str, **more: str
) -> subprocess.CompletedProcess[str]:
    settings = {
        "PYTHONPATH": str(ROOT),
        "HF_HOME": str(folder / "cache"),
        "HF_ENDPOINT": address,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_ETAG_TIMEOUT": "120",  # a busy machine is not one that cannot be reached
        "NO_PROXY": "127.0.0.1",
        **more,
    }
    environment = make_environment(**settings)
    command = [sys.executable, "-m", "weft.cli.main", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def write_spec(folder: Path, load: str) -> None:
    text = f"{NET}net n = Net() -> load({load})\n\ndeploy n as onnx {{ dynamic n }}\n"
    (folder / "net.weft").write_text(text)


def build(folder: Path, hub: Hub, load: str, **more: str) -> dict[str, object]:
    write_spec(folder, load)
    done = weft(folder, hub.address, "build", "net.weft", "-o", "out", **more)
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / "out" / "report.json").read_text())
    (section,) = [s for s in report["sections"] if s["title"] == "weights n"]
    (loaded,) = section["loaded"]
    assert loaded["commit"] in section["rows"]["loaded from"]
    return dict(loaded)


def read_sum(folder: Path) -> float:
    """The sum of the weights `b` of the file that was built."""
    graph = onnx.load(folder / "out" / "n.onnx").graph
    arrays = (onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer)
    (found,) = (array for array in arrays if sorted(array.shape) == [2, 3])
    return float(found.sum())


def refuse(folder: Path, address: str, load: str, code: str, **more: str) -> str:
    write_spec(folder, load)
    done = weft(folder, address, "compile", "net.weft", "-o", "o", "--onnx", **more)
    assert done.returncode == 1
    assert f"error[{code}]" in done.stderr, done.stderr
    assert "net.weft:" in done.stderr
    return done.stderr


def test_a_repository_is_loaded_and_its_commit_reported(tmp_path: Path, hub: Hub) -> None:
    first = hub.add("acme/tiny", WHOLE)
    loaded = build(tmp_path, hub, '"hf:acme/tiny"')
    assert (loaded["commit"], loaded["revision"]) == (first, None)
    assert loaded["files"] == ["model.safetensors"]
    assert not any("README" in request for request in hub.asked)
    # Another commit of the branch has other numbers: the build makes its file anew.
    assert read_sum(tmp_path) == 6
    second = hub.add("acme/tiny", {"model.safetensors": save(A | {"b.weight": B["b.weight"] * 2})})
    assert build(tmp_path, hub, '"hf:acme/tiny"')["commit"] == second
    assert read_sum(tmp_path) == 12
    assert build(tmp_path, hub, f'"hf:acme/tiny", revision="{first}"')["commit"] == first
    assert read_sum(tmp_path) == 6


def test_the_cache_serves_offline(tmp_path: Path, hub: Hub) -> None:
    commit = hub.add("acme/tiny", SHARDS)
    loaded = build(tmp_path, hub, '"hf:acme/tiny"')
    assert loaded["files"] == [FIRST, SECOND]
    hub.asked.clear()
    assert build(tmp_path, hub, '"hf:acme/tiny"', HF_HUB_OFFLINE="1")["commit"] == commit
    build(tmp_path, hub, f'"hf:acme/tiny", revision="{commit}"')
    assert hub.asked == [], "a commit that the cache has is not asked for"
    nowhere = Hub("http://127.0.0.1:9")
    assert build(tmp_path, nowhere, '"hf:acme/tiny"')["commit"] == commit


def test_a_file_and_a_tag_are_named(tmp_path: Path, hub: Hub) -> None:
    several = {"sub/x.safetensors": save(A | B), "y.safetensors": save(A)}
    hub.add("acme/tiny", several)
    text = refuse(tmp_path, hub.address, '"hf:acme/tiny"', "W1397")
    assert "`sub/x.safetensors` and `y.safetensors`" in text
    assert 'load("hf:acme/tiny/sub/x.safetensors")' in text
    tagged = hub.add("acme/tiny", {**several, "z.safetensors": save(A)}, "v1.0")
    loaded = build(tmp_path, hub, '"hf:acme/tiny/sub/x.safetensors", revision="v1.0"')
    assert (loaded["commit"], loaded["files"]) == (tagged, ["x.safetensors"])
    sharded = {f"sub/{name}": content for name, content in SHARDS.items()}
    hub.add("acme/deep", sharded)
    index = "hf:acme/deep/sub/model.safetensors.index.json"
    assert build(tmp_path, hub, f'"{index}"')["files"] == [FIRST, SECOND]


def test_what_is_not_there_is_said(tmp_path: Path, hub: Hub) -> None:
    hub.add("acme/tiny", WHOLE)
    hub.add("acme/old", {"pytorch_model.bin": b"PK"})
    text = refuse(tmp_path, hub.address, '"hf:acme/huge"', "W1396")
    assert "there is no repository `acme/huge`, or it is private" in text
    text = refuse(tmp_path, hub.address, '"hf:acme/tiny", revision="v9"', "W1396")
    assert "the revision `v9`" in text
    text = refuse(tmp_path, hub.address, '"hf:acme/tiny/no.safetensors"', "W1396")
    assert "the file `no.safetensors`" in text
    text = refuse(tmp_path, hub.address, '"hf:acme/old"', "W1397")
    assert "only `pytorch_model.bin`" in text
    refuse(tmp_path, hub.address, '"hf:acme/old/pytorch_model.bin"', "W1383")
    assert not any(request.endswith(".bin") for request in hub.asked)
    lying = json.dumps({"weight_map": PLACES | {"b.weight": "../../x"}}).encode()
    hub.add("acme/lies", {**SHARDS, "model.safetensors.index.json": lying})
    refuse(tmp_path, hub.address, '"hf:acme/lies"', "W1398")
    assert not any(Path(request).name == "x" for request in hub.asked)
    lacking = {k: v for k, v in SHARDS.items() if k != SECOND}
    hub.add("acme/lacks", lacking)
    assert SECOND in refuse(tmp_path, hub.address, '"hf:acme/lacks"', "W1396")


def test_offline_without_a_cache_is_said(tmp_path: Path) -> None:
    text = refuse(tmp_path, "http://127.0.0.1:9", '"hf:acme/tiny"', "W1395")
    assert "cannot be reached, and the cache does not have it" in text
    text = refuse(tmp_path, "http://127.0.0.1:9", '"hf:acme/tiny"', "W1395", HF_HUB_OFFLINE="1")
    commit = "0" * 40
    load = f'"hf:acme/tiny", revision="{commit}"'
    refuse(tmp_path, "http://127.0.0.1:9", load, "W1395", HF_HUB_OFFLINE="1")


def test_without_the_package_its_install_line_is_given(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    (absent / "huggingface_hub").mkdir(parents=True)
    (absent / "huggingface_hub" / "__init__.py").write_text("raise ImportError('not here')\n")
    path = f"{absent}{os.pathsep}{ROOT}"
    text = refuse(tmp_path, "http://127.0.0.1:9", '"hf:acme/tiny"', "W1386", PYTHONPATH=path)
    assert "pip install 'weft[hub]'" in text


def test_commands_say_the_commit(tmp_path: Path, hub: Hub) -> None:
    commit = hub.add("acme/tiny", SHARDS)
    write_spec(tmp_path, '"hf:acme/tiny"')
    done = weft(tmp_path, hub.address, "compile", "net.weft", "-o", "o", "--onnx")
    assert f"n loads hf:acme/tiny, 2 files at commit {commit} (main)" in done.stdout
    done = weft(tmp_path, hub.address, "weights", "hf:acme/tiny", "--for", "net.weft")
    assert done.stdout.splitlines() == [
        f"hf:acme/tiny at commit {commit}",
        "2 of 2 weights of n are in hf:acme/tiny",
        'net n = Net() -> load("hf:acme/tiny")',
    ]
    done = weft(tmp_path, hub.address, "weights", "hf:tiny")
    assert "error[W1384]" in done.stderr


def test_a_repository_is_given_on_the_command_line(tmp_path: Path, hub: Hub) -> None:
    commit = hub.add("acme/tiny", SHARDS)
    write_spec(tmp_path, '"absent.safetensors"')
    given = ("--weights", "hf:acme/tiny")
    done = weft(tmp_path, hub.address, "compile", "net.weft", "-o", "out", "--onnx", *given)
    assert done.returncode == 0, done.stderr
    assert f"hf:acme/tiny at commit {commit}" in done.stdout
    done = weft(tmp_path, hub.address, "verify", "net.weft", "out/n.onnx", *given)
    assert done.returncode == 0, done.stderr
    given = ("--weights", "hf:tiny")
    done = weft(tmp_path, hub.address, "compile", "net.weft", "-o", "out", "--onnx", *given)
    assert "error[W1384]" in done.stderr


@pytest.mark.parametrize(
    ("load", "kind"),
    [
        ('"hf:gpt2"', bad_repository),
        ('"hf:a/../b"', bad_repository),
        ('"hf:a/b/../../c"', bad_repository),
        ('"hf:/a/b"', bad_repository),
        ('"hf:a//b"', bad_repository),
        ('"hf:a/b c"', bad_repository),
        ('"hf:"', bad_repository),
        ('"hf:a/b", revision="../../x"', bad_revision),
        ('"hf:a/b", revision=""', bad_revision),
        ('"hf:a/b", revision="a b"', bad_revision),
        ('"b.safetensors", revision="main"', bad_revision),
    ],
)
def test_names_are_checked_with_the_spec(load: str, kind: object) -> None:
    _, messages = elaborate(f"{NET}net n = Net() -> load({load})\n")
    assert [message.kind for message in messages] == [kind]
