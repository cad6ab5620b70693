"""`net m = fit` in models, blocks and at file level, and trains with arguments: `member(k=0)`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from backends.pytorch.run import running
from compiler.driver import check
from compiler.program.program import Program
from compiler.report.diagnostics import CompileError, Message, Sink
from compiler.report.source import Source
from compiler.text.parse import parse
from tests.train_scripts import lint
from weft.api import load
from weft.building.build import Build
from weft.building.plan import plan_build
from weft.errors import WeftError

HEAD = """
model Net(width: int = 8, act: layer = tanh) {
    input features: f32[b, 4]
    output logits: f32[b, 3] = features -> dense(width) as hidden -> act -> dense(3) as head
}
data iris {
    source npz("iris.npz")
    split random(seed=0), train=70%, val=15%, test=15%
}
train member(k: int = 0, width: int = 5) of Net(width=width) on iris {
    minimize cross_entropy(logits, label) with adam(lr=1e-2)
    metric accuracy = accuracy(logits, label)
    batch 20  epochs 2  seed k
}
"""
ENSEMBLE = """
model Ensemble(n: int = 2) {
    input features: f32[b, 4]
    net members = [member(k=k, width=5 + k) for k in 0..n]
    p = stack([m(features) -> softmax(axis=-1) for m in members])
    output probability = mean(p, axis=0)
}
"""
DEPLOY = "deploy Ensemble as onnx { dynamic b }\n"
OTHERS = """
data plain { source npz("iris.npz")  split random(seed=0), train=70%, val=30% }
train pair(scale: float = 1.0) on plain {
    net left = Net(width=3)
    net right = Net(width=4)
    minimize scale * cross_entropy(left(features) + right(features), label) with adam(lr=1e-2)
    batch 20  epochs 1
}
"""


def save_rows(folder: Path) -> np.ndarray[Any, Any]:
    rows = np.random.default_rng(0)
    features = rows.normal(size=(80, 4)).astype(np.float32)
    np.savez(folder / "iris.npz", features=features, label=rows.integers(0, 3, 80))
    return features


def elaborate(text: str, folder: Path) -> tuple[Program, list[Message]]:
    save_rows(folder)
    path = folder / "spec.weft"
    path.write_text(HEAD + text)
    sink = Sink()
    program = check(path, sink=sink)
    assert program is not None
    return program, sink.messages


def open_program(text: str, folder: Path) -> Program:
    program, messages = elaborate(text, folder)
    assert not messages, [f"{m.code} {m.text.title}" for m in messages]
    return program


def make(program: Program, out: Path) -> list[str]:
    said: list[str] = []
    Build(program, out, echo=said.append).run()
    return said


def list_trained(said: list[str]) -> list[str]:
    return [line.split()[1].rstrip(":") for line in said if line.endswith(": training")]


def run_member(folder: Path, **options: int) -> Any:
    """A trained net as its generated code and its file alone make it."""
    spec = importlib.util.spec_from_file_location(f"m_{folder.name}", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    net = module.Net(**options)
    net.load_state_dict(load_file(folder / "best.safetensors"))
    return net.eval()


# --- values -------------------------------------------------------------------------------------


def test_an_ensemble_is_the_mean_of_its_members(tmp_path: Path) -> None:
    import onnxruntime

    program = open_program(ENSEMBLE + DEPLOY, tmp_path)
    out = tmp_path / "out"
    said = make(program, out)
    names = ["member", "member_k1_width6"]
    assert list_trained(said) == names, "the arguments of the first are its defaults"
    rows = np.random.default_rng(7).normal(size=(11, 4)).astype(np.float32)
    with torch.no_grad():
        each = [run_member(out / n, width=5 + k)(torch.tensor(rows)) for k, n in enumerate(names)]
        wanted = torch.stack([x.softmax(-1) for x in each]).mean(0).numpy()
    session = onnxruntime.InferenceSession(out / "Ensemble.onnx")
    (found,) = session.run(["probability"], {"features": rows})
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    model = load(tmp_path / "spec.weft").model("Ensemble")
    module = model.torch(build=out)
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.tensor(rows)).numpy(), wanted, atol=1e-6)
    assert set(model.weights(build=out)) == {
        f"members.{k}.{part}.{what}"
        for k in range(2)
        for part in ("hidden", "head")
        for what in ("weight", "bias")
    }
    with pytest.raises(WeftError, match="has not run"):
        model.torch()


def test_members_differ_by_their_arguments_alone(tmp_path: Path) -> None:
    program = open_program(ENSEMBLE.replace("width=5 + k", "width=9"), tmp_path)
    first, *others = (t for t in program.trains.values() if t.arguments)
    assert [t.seed for t in (first, *others)] == [0, 1]
    assert [t.arguments for t in others] == ["k=1, width=9"]
    plain = {t.name: t.nets[0].net.graph.parameter["hidden.weight"] for t in (first, *others)}
    assert {p.value.type.known_shape for p in plain.values()} == {(9, 4)}
    assert program.trains["member"].arguments == ""


def test_nets_stand_in_blocks_pipes_files_and_trains(tmp_path: Path) -> None:
    text = (
        OTHERS
        + """
    net whole = member(k=4)
    net half = pair.right
    let shared = member(k=4)
    block scores(x: f32[b, 4]) {
        net inner = pair(scale=0.5).left
        return x -> inner
    }
    model All {
        input x: f32[b, 4]
        net own = shared
        output y = scores(x) + whole(x) + (x -> member(k=4)) + (x -> half) + own(x) + member(x)
    }
    train on_top on plain {
        net all = All()
        net fresh = Net()
        freeze all
        minimize mse(fresh(features), all(features)) with adam(lr=1e-2)
        batch 20  epochs 1
    }
    """
    )
    program = open_program(text, tmp_path)
    loads = {load.prefix: (load.train, load.source) for load in program.models["All"].loads}
    assert loads == {
        "own": ("member_k4", ""),
        "whole": ("member_k4", ""),
        "member_k4": ("member_k4", ""),
        "member": ("member", ""),
        "half": ("pair", "right."),
        "scores.inner": ("pair_scale0p5", "left."),
    }
    assert program.nets["whole"].loads[0].train == "member_k4"
    names = [train.name for train in plan_build(program).trains]
    assert names.index("on_top") > max(names.index(n) for n in ("member", "pair_scale0p5"))
    make(program, tmp_path / "out")
    lint(tmp_path / "out" / "on_top")
    start = load_file(tmp_path / "out" / "on_top" / "start.safetensors")
    learned = load_file(tmp_path / "out" / "pair_scale0p5" / "best.safetensors")
    assert torch.equal(start["all.scores.inner.head.bias"], learned["left.head.bias"])


def test_generations_are_trained_in_their_order(tmp_path: Path) -> None:
    text = """
    train born(k: int = 2) on iris {
        net m = if k > 0 then born(k=k - 1) else Net()
        minimize cross_entropy(m(features), label) with adam(lr=1e-2)
        batch 20  epochs 1
    }
    deploy born(k=3) as onnx { dynamic b }
    """
    program = open_program(text, tmp_path)
    names = [train.name for train in plan_build(program).trains]
    assert names == ["born_k0", "born_k1", "born", "born_k3"]
    assert [deploy.name for deploy in program.deploys] == ["born_k3"]


def test_trains_that_nothing_needs_are_left_out_and_named(tmp_path: Path) -> None:
    """Those of an item of which another one is made are not among them."""
    text = """
    train other of Net on iris {
        minimize cross_entropy(logits, label) with adam(lr=1e-2)
        batch 20  epochs 1
    }
    net chosen = member(k=3)
    deploy chosen as onnx { dynamic b }
    """
    plan = plan_build(open_program(text, tmp_path))
    assert [train.name for train in plan.trains] == ["member_k3"]
    assert [train.name for train in plan.left_out] == ["other"]


def test_a_sampler_calls_a_trained_net_in_a_loop(tmp_path: Path) -> None:
    text = """
    model Sampler(steps: int = 3) {
        input x: f32[b, 3]
        net eps = back.m
        scan i in 0..steps {
            x = clip(x - 0.5 * eps(x), -1, 1)
        }
        output y = x
    }
    model Back {
        input x: f32[b, 3]
        output y = x -> dense(4, bias=false) -> batch_norm -> silu -> dense(3)
    }
    train back on iris {
        net m = Back()
        net n = Net()
        minimize mse(m(n(features)), n(features)) with adam(lr=1e-2)
        batch 20  epochs 1
    }
    deploy Sampler as onnx { dynamic b }
    """
    import onnxruntime

    program = open_program(text, tmp_path)
    out = tmp_path / "out"
    make(program, out)
    rows = np.random.default_rng(3).normal(size=(5, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(out / "Sampler.onnx")
    learned = load_file(out / "back" / "best.safetensors")
    net = load(tmp_path / "spec.weft").model("Back")
    module = net.torch({k.removeprefix("m."): v for k, v in learned.items() if k[0] == "m"})
    x = torch.tensor(rows)
    with torch.no_grad():
        for _ in range(3):
            x = (x - 0.5 * module(x)).clamp(-1, 1)
    np.testing.assert_allclose(session.run(["y"], {"x": rows})[0], x.numpy(), atol=1e-6)


def test_words_of_a_train_with_arguments_are_known(tmp_path: Path) -> None:
    """A file of new rows that lack a word is coded as the training coded them."""
    from weft.deployed.trained_data import find_words

    text = """
    model Words {
        input a: f32[b]
        output logits = a[:, none] -> dense(3)
    }
    data rows {
        source csv("rows.csv")
        split random(seed=0), train=60%, val=40%
    }
    data others { source csv("others.csv")  split random(seed=0), train=60%, val=40% }
    train fit(k: int) of Words on rows {
        minimize cross_entropy(logits, word) with adam(lr=1e-2)
        batch 4  epochs k
    }
    train fit_more(k: int) of Words on others {
        minimize cross_entropy(logits, word) with adam(lr=1e-2)
        batch 4  epochs k
    }
    deploy fit(k=1) as onnx
    deploy fit_more(k=2) as onnx
    """
    for name, words in (("rows", "xyz"), ("others", "pqr")):
        lines = [f"{i % 7}.5,{words[i % 3]}" for i in range(30)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["a,word", *lines]) + "\n")
    program = open_program(text, tmp_path)
    make(program, tmp_path / "out")
    found = find_words(
        parse(Source("", (tmp_path / "spec.weft").read_text()), Sink()), tmp_path / "out"
    )
    assert found["rows"].columns == {"word": ("x", "y", "z")}
    assert found["others"].columns == {"word": ("p", "q", "r")}


# --- deployments, variants, contracts -------------------------------------------------------------


def test_items_take_trains_with_arguments(tmp_path: Path) -> None:
    text = (
        OTHERS
        + """
    variant tiny(share: float = 50%) of member(width=16) {
        apply prune(channels=share) -> quantize(int8)
        require test.accuracy >= member(width=16).test.accuracy - 90%
        require size <= 30 * member(k=6).size
    }
    deploy tiny as onnx { dynamic b }
    deploy pair.left as onnx { dynamic b }
    deploy member(width=2 * 8) as onnx { dynamic b  preprocess iris }
    """
    )
    program = open_program(text, tmp_path)
    tiny = program.variants["tiny"]
    assert tiny.train == "member_width16"
    assert [r.right.left.owner for r in tiny.requires[:1]] == ["member_width16"]  # type: ignore[union-attr]
    said = make(program, tmp_path / "out")
    assert list_trained(said) == ["member_width16", "member_k6", "pair"]
    for name in ("tiny", "pair.left", "member_width16"):
        assert (tmp_path / "out" / f"{name}.onnx").is_file()
    report = (tmp_path / "out" / "report.md").read_text()
    assert "k=6" in report
    assert "width=16" in report


def test_a_model_of_trained_nets_is_compressed(tmp_path: Path) -> None:
    text = "variant small of Ensemble { apply quantize(int8)  require error <= 50% }\n"
    program = open_program(ENSEMBLE + text + "deploy small as onnx { dynamic b }\n", tmp_path)
    out = tmp_path / "out"
    said = make(program, out)
    assert len(list_trained(said)) == 2
    assert list_trained(make(program, out)) == []


# --- builds ---------------------------------------------------------------------------------------


def test_a_killed_build_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = open_program(ENSEMBLE + DEPLOY, tmp_path)
    out = tmp_path / "out"
    run, begun = running.run_training, []

    def stop(folder: Path, **options: Any) -> Any:
        begun.append(folder.name)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return run(folder, **options)

    monkeypatch.setattr("weft.building.train_stages.run_training", stop)
    with pytest.raises(KeyboardInterrupt):
        make(program, out)
    monkeypatch.undo()
    said = make(program, out)
    assert "train member: up to date" in said
    assert "train member_k1_width6: going on" in said
    assert list_trained(
        make(open_program(ENSEMBLE.replace("5 + k", "5 + 2 * k") + DEPLOY, tmp_path), out)
    ) == ["member_k1_width7"]


def test_commands_take_the_nets_of_a_build(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from weft.cli.main import app

    program = open_program(ENSEMBLE + DEPLOY, tmp_path)
    spec, out = str(tmp_path / "spec.weft"), tmp_path / "out"
    invoke = CliRunner().invoke
    compile_it = ["compile", spec, "-o", str(tmp_path / "c"), "--build", str(out)]
    result = invoke(app, compile_it)
    assert isinstance(result.exception, CompileError)
    assert [m.code for m in result.exception.messages] == ["W1103"] * 2
    make(program, out)
    assert invoke(app, compile_it).exit_code == 0
    assert {p.suffix for p in (tmp_path / "c").glob("Ensemble.*")} == {
        ".py",
        ".onnx",
        ".safetensors",
    }
    assert invoke(app, ["verify", spec, "--build", str(out)]).exit_code == 0
    shown = invoke(app, ["show", spec]).output
    assert "train member_k1_width6 (k=1, width=6)" in shown
    (tmp_path / "spec.weft").write_text((HEAD + ENSEMBLE + DEPLOY).replace("seed k", "seed k + 1"))
    stale = invoke(app, compile_it)
    assert isinstance(stale.exception, CompileError)
    assert {m.code for m in stale.exception.messages} == {"W1103"}


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value", "name"),
    [
        ("k: int", "-3", "odd_k-3"),
        ("k: float", "1.5e-7", "odd_k1p5e-07"),
        ("k: float", "50%", "odd_k0p5"),
        ("k: bool", "true", "odd_ktrue"),
        ("k: str", '"../../etc"', "odd_k"),
        ("k: str", '"a b\\n%"', "odd_k"),
        ("k: list", "[1, [2, 3]]", "odd_k"),
        ("k: layer", "relu", "odd_k"),
        ("k: str", '"' + "x" * 400 + '"', "odd_k"),
        ("`k/é`: int", "3", "odd_"),
    ],
)
def test_names_are_names_of_files(parameter: str, value: str, name: str, tmp_path: Path) -> None:
    own = parameter.partition(":")[0]
    text = f"""
    train odd({parameter}) of Net() on iris {{
        minimize cross_entropy(logits, label) with adam(lr=1e-2)
        batch 20  epochs 1
    }}
    model Uses {{
        input features: f32[b, 4]
        net one = odd({own}={value})
        net two = odd({own}={value})
        output y = one(features) + two(features)
    }}
    """
    program, messages = elaborate(text, tmp_path)
    assert {m.code for m in messages} == {"W1001"}, "nothing reads the parameter"
    (found,) = (
        train.name for train in program.trains.values() if train.span and "odd" in train.name
    )
    assert found.startswith(name)
    assert found == name or len(found) == len(name) + 8
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    assert {load.train for load in program.models["Uses"].loads} == {found}


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    text = """
    train Member_K1 of Net() on iris {
        minimize cross_entropy(logits, label) with adam(lr=1e-2)
        batch 20  epochs 1
    }
    net m = member(k=1)
    """
    program = open_program(text, tmp_path)
    assert set(program.trains) == {"member", "member_k1_2", "Member_K1"}


def test_what_is_the_same_is_one_train(tmp_path: Path) -> None:
    text = """
    net a_net = member(0)
    net b_net = member(k=0, width=5)
    net c_net = member
    net d_net = member(width=6)
    net e_net = member(0, 6)
    net f_net = member(width=3 * 2, k=0)
    """
    program = open_program(text, tmp_path)
    assert set(program.trains) == {"member", "member_width6"}


def test_a_train_without_defaults_needs_arguments(tmp_path: Path) -> None:
    without = "train other(k: int) of Net(width=k) on iris {\n" + HEAD.partition(
        "width=width) on iris {\n"
    )[2].replace("seed k", "")
    assert [m.code for m in elaborate(without, tmp_path)[1]] == ["W0609"]
    assert [m.code for m in elaborate(without + "net m = other\n", tmp_path)[1]] == ["W0609"]
    program = open_program(without + "net m = other(k=7)\n", tmp_path)
    assert set(program.trains) == {"member", "other_k7"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("net m = member(kk=3)", "W0221"),
        ("net m = member(1, 2, 3)", "W0222"),
        ("net m = member(k=0.5)", "W0225"),
        ("net m = pair", "W0644"),
        ("net m = pair(scale=2.0)", "W0644"),
        ("net m = pair.middle", "W0203"),
        ("deploy pair(scale=2.0) as onnx", "W0644"),
        ("deploy member(j=1) as onnx", "W0221"),
        ("variant v of member(k=1) { require member(j=2).size <= 3KiB and size <= 1MiB }", "W0221"),
        ("variant v of member { require nothing(j=2).size <= 3KiB and size <= 1MiB }", "W0201"),
        ("model M { input x: f32[b, 4]\n    net m = member(k=b)\n    output y = m(x) }", "W1541"),
        ("model M { input x: f32[b, 5]\n    net m = member\n    output y = m(x) }", "W0302"),
    ],
)
def test_what_cannot_be_is_told(text: str, code: str, tmp_path: Path) -> None:
    _, messages = elaborate(OTHERS + text + "\n", tmp_path)
    assert [m.code for m in messages if m.severity.name == "ERROR"] == [code]


def test_the_only_net_of_a_train_has_its_name_too(tmp_path: Path) -> None:
    """`gan.G` means the same where `G` is the only net."""
    train = OTHERS.replace("    net right = Net(width=4)\n", "").replace(" + right(features)", "")
    model = "model Use() {\n    net m = pair.left\n    net n = pair\n"
    model += "    input features: f32[b, 4]\n    output y = m(features) - n(features)\n}\n"
    program = open_program(train + model, tmp_path)
    loads = [(load.train, load.source) for load in program.models["Use"].loads]
    assert loads == [("pair", "left.")] * 2
