"""`weft weights`: what a file holds, and rules under which a net loads it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from compiler.ir.weights import read_weights, write_weights
from tests.test_commands import weft
from weft.api import loads
from weft.cli.rename_rules import propose_rules

NET = """
block layer(x: f32[n, d], hidden: int) {
    y = x -> layer_norm as ln_1 -> dense(hidden) as fc1 -> gelu -> dense(d) as fc2
    return x + y
}
model Net(layers: int = 3) {
    input x: f32[batch, 4]
    y = x -> layers * layer(6) as h -> layer_norm as ln_f
    output scores: f32[batch, 2] = y -> dense(2) as head
}
"""
RENAMINGS: dict[str, Callable[[str], str]] = {
    "same": lambda path: path,
    "parallel": lambda path: f"module.{path}",
    "compiled": lambda path: f"_orig_mod.{path}",
    "nested": lambda path: f"model.encoder.{path}",
    "layers": lambda path: re.sub(r"^h\.(\d+)", r"layers.block_\1", path),
    "words": lambda path: (
        path.replace("ln_1", "norm").replace("fc1", "mlp.up").replace("fc2", "mlp.down")
    ),
    "all": lambda path: (
        "transformer."
        + re.sub(r"^h\.", "blocks.", path).replace("ln_1", "norm1").replace("head", "classifier")
    ),
}


@pytest.mark.parametrize("name", RENAMINGS)
def test_the_proposed_rules_load_the_file(name: str, tmp_path: Path) -> None:
    weights = loads(NET).model("Net").weights(seed=1)
    renamed = {RENAMINGS[name](path): array for path, array in weights.items()}
    write_weights(tmp_path / "w.safetensors", renamed, {})
    (tmp_path / "net.weft").write_text(NET)
    done = weft("weights", "w.safetensors", "--for", "net.weft", cwd=tmp_path)
    first, proposal = done.stdout.splitlines()
    assert first == f"{len(weights)} of {len(weights)} weights of Net are in w.safetensors"
    (tmp_path / "net.weft").write_text(f"{NET}\n{proposal}\n\ndeploy net as onnx {{ }}\n")
    compiled = weft("compile", "net.weft", "-o", "out", cwd=tmp_path)
    assert compiled.returncode == 0, compiled.stderr
    assert proposal.count("->") <= 5


@pytest.mark.parametrize(
    ("nets", "name", "line"),
    [
        ("net five = Net(layers=5)", "five", "net five = Net(layers=5) -> load("),
        (
            'net five = Net(\n    layers=5,\n) -> load("old.safetensors", rename=["a" -> "b"])',
            "five",
            "net five = Net( layers=5, ) -> load(",
        ),
        ("net two = Net(2)\nnet five = Net(5)", "five", "net five = Net(5) -> load("),
        ("net two = Net(2)\nnet five = Net(5)", "Net", "net net = Net() -> load("),
    ],
)
def test_a_net_has_the_arguments_of_its_file(
    nets: str, name: str, line: str, tmp_path: Path
) -> None:
    layers = 3 if name == "Net" else 5
    weights = loads(NET.replace("layers: int = 3", f"layers: int = {layers}")).model("Net")
    write_weights(tmp_path / "w.safetensors", weights.weights(seed=1), {})
    (tmp_path / "net.weft").write_text(f"{NET}\n{nets}\n")
    asked = () if "two" not in nets else ("--net", name)
    done = weft("weights", "w.safetensors", "--for", "net.weft", *asked, cwd=tmp_path)
    first, proposal = done.stdout.splitlines()
    count = 2 * (2 + 3 * layers)
    assert first == f"{count} of {count} weights of {name} are in w.safetensors"
    assert proposal.startswith(line)


def test_one_of_several_nets_is_to_be_named(tmp_path: Path) -> None:
    write_weights(tmp_path / "w.safetensors", {"a": np.zeros(2, np.float32)}, {})
    (tmp_path / "net.weft").write_text(f"{NET}\nnet two = Net(2)\nnet five = Net(5)\n")
    done = weft("weights", "w.safetensors", "--for", "net.weft", cwd=tmp_path)
    assert "error[W0904]" in done.stderr
    assert "`two`, `five`" in done.stderr


def test_layers_keep_their_numbers() -> None:
    shapes = {f"h.{i}.w": (4, 4) for i in range(12)}
    found = {f"encoder.layer.{i}.w": (4, 4) for i in range(12)}
    made = propose_rules(found, shapes)
    assert (made.missing, made.surplus) == ((), ())
    assert len(made.rules) == 1


def test_what_nothing_fits_is_named(tmp_path: Path) -> None:
    weights = loads(NET).model("Net").weights(seed=1)
    weights["head.weight"] = np.zeros((9, 4), np.float32)
    weights["extra"] = np.zeros(3, np.float32)
    write_weights(tmp_path / "w.safetensors", weights, {})
    (tmp_path / "net.weft").write_text(NET)
    done = weft("weights", "w.safetensors", "--for", "net.weft", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert lines[-2] == "not in the file, or of another shape: head.weight"
    assert lines[-1] == "in the file only: extra, head.weight"


def test_a_file_is_listed_with_its_dtypes(tmp_path: Path) -> None:
    made = {"a": torch.zeros(2, 3, dtype=torch.bfloat16), "b": torch.zeros((), dtype=torch.int64)}
    save_file(made, tmp_path / "w.safetensors")
    done = weft("weights", "w.safetensors", cwd=tmp_path)
    assert sorted(done.stdout.splitlines()) == [
        "2 tensors, 7 numbers",
        "a  bf16[2, 3]",
        "b  i64[]",
    ]


def test_faults_are_told(tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"PK")
    (tmp_path / "net.weft").write_text(NET + NET.replace("Net", "Other").replace("layer(", "l("))
    write_weights(tmp_path / "w.safetensors", {"a": np.zeros(2, np.float32)}, {})
    for arguments, code in (
        (("bad.safetensors",), "W0906"),
        (("absent.safetensors",), "W0906"),
        (("hf:acme/m", "--revision", "../x"), "W1385"),
        (("w.safetensors", "--revision", "main"), "W1385"),
        (("w.safetensors", "--for", "net.weft"), "W0904"),
        (("w.safetensors", "--for", "net.weft", "--net", "Nett"), "W0904"),
    ):
        done = weft("weights", *arguments, cwd=tmp_path)
        assert done.returncode == 1
        assert f"error[{code}]" in done.stderr


LINEAR = """
block attend(x: f32[n, t, d]) {
    q = x -> dense(d) as q
    k = x -> dense(d) as k
    v = x -> dense(d) as v
    return (q, k, v) -> scaled_dot_product_attention -> dense(d) as c_proj
}
block layer(x: f32[n, t, d]) {
    x = x + (x -> layer_norm as ln_1 -> attend as attn)
    return x + (x -> dense(3 * d) as c_fc -> gelu -> dense(d) as c_proj)
}
model Net {
    input x: i64[n, t]
    x = x -> embedding(10, 8) as wte
    x = x -> 2 * layer as h
    output y = x -> dense(10, bias=false) as lm_head
}
"""
GPT2_RULE = '"h.*.attn.c_attn.*" -> ["h.*.attn.q.*", "h.*.attn.k.*", "h.*.attn.v.*"]'


def make_gpt2(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights in the layout of GPT-2's published file."""
    made = {path: array for path, array in weights.items() if path != "lm_head.weight"}
    for i in range(2):
        for name in ("weight", "bias"):
            parts = [made.pop(f"h.{i}.attn.{part}.{name}") for part in "qkv"]
            made[f"h.{i}.attn.c_attn.{name}"] = np.concatenate(parts)
        made[f"h.{i}.attn.bias"] = np.tri(16, dtype=np.float32)[None, None]
    turned = re.compile(r".*\.c_\w+\.weight")
    made = {p: np.ascontiguousarray(a.T) if turned.match(p) else a for p, a in made.items()}
    return {f"transformer.{path}": array for path, array in made.items()}


def test_layouts_are_proposed_and_square_matrices_asked_for(tmp_path: Path) -> None:
    weights = loads(LINEAR).model("Net").weights(seed=1)
    weights["lm_head.weight"] = weights["wte.weight"]
    write_weights(tmp_path / "w.safetensors", make_gpt2(weights), {})
    (tmp_path / "net.weft").write_text(LINEAR)
    done = weft("weights", "w.safetensors", "--for", "net.weft", cwd=tmp_path)
    found, proposal, parts, heads, asked, left = done.stdout.splitlines()
    assert heads.startswith("undecided, as no shape tells: whether the parts of ")
    assert found == f"{len(weights)} of {len(weights)} weights of Net are in w.safetensors"
    assert f'rename=["transformer.*" -> "*", {GPT2_RULE}]' in proposal
    assert 'copy=["wte.weight" -> "lm_head.weight"]' in proposal
    # A pattern `h.*.c_proj.weight` would be of the square `h.0.attn.c_proj.weight` too.
    turned = '"h.*.c_fc.weight", "h.0.c_proj.weight", "h.1.c_proj.weight"'
    assert f"transpose=[{turned}]" in proposal
    assert parts.startswith("parts are taken to lie behind one another")
    square = [f"h.*.attn.{name}.weight" for name in ("c_proj", "k", "q", "v")]
    assert asked.endswith(f": {', '.join(square)}")
    assert left == (
        "left out by rule: h.0.attn.bias (a causal mask), h.1.attn.bias (a causal mask)"
    )
    (tmp_path / "net.weft").write_text(f"{LINEAR}\n{proposal}\n")
    refused = weft("compile", "net.weft", "-o", "out", cwd=tmp_path)
    assert "error[W1399]" in refused.stderr
    told = proposal.replace(turned, '"h.*.attn.?.weight", "h.*.c_*.weight"')
    (tmp_path / "net.weft").write_text(f"{LINEAR}\n{told}\n")
    compiled = weft("compile", "net.weft", "-o", "out", cwd=tmp_path)
    assert compiled.returncode == 0, compiled.stderr
    assert "left out by rule: h.*.attn.bias (2 of a causal mask)" in compiled.stdout
    made = read_weights(tmp_path / "out" / "net.safetensors")
    for path, array in weights.items():
        np.testing.assert_array_equal(made[path], array)


def test_parts_are_proposed_to_be_joined(tmp_path: Path) -> None:
    spec = (
        "model Net {\n    input x: f32[n, 4]\n"
        '    output y = x -> dense(12) as "h.0.in_proj" -> dense(5) as head\n}\n'
    )
    weights = loads(spec).model("Net").weights(seed=1)
    made = {path: array for path, array in weights.items() if "in_proj" not in path}
    for name in ("weight", "bias"):
        parts = np.split(weights[f"h.0.in_proj.{name}"], 3)
        made |= {f"h.0.{p}_proj.{name}": a for p, a in zip("qkv", parts, strict=True)}
    write_weights(tmp_path / "w.safetensors", made, {})
    (tmp_path / "net.weft").write_text(spec)
    done = weft("weights", "w.safetensors", "--for", "net.weft", cwd=tmp_path)
    first, proposal, *_ = done.stdout.splitlines()
    assert first == "4 of 4 weights of Net are in w.safetensors"
    assert '["h.*.q_proj.*", "h.*.k_proj.*", "h.*.v_proj.*"] -> "h.*.in_proj.*"' in proposal
    (tmp_path / "net.weft").write_text(f"{spec}\n{proposal}\n")
    compiled = weft("compile", "net.weft", "-o", "out", cwd=tmp_path)
    assert compiled.returncode == 0, compiled.stderr
    found = read_weights(tmp_path / "out" / "net.safetensors")
    np.testing.assert_array_equal(found["h.0.in_proj.weight"], weights["h.0.in_proj.weight"])


def test_a_weight_stays_with_its_bias() -> None:
    # By shapes alone, the transposed `up` would be `fc2`, and the transposed `down` `fc1`.
    wanted = {f"h.{i}.{name}": shape for i in range(2) for name, shape in MLP.items()}
    found = {f"h.{i}.mlp.{name}": shape for i in range(2) for name, shape in TURNED_MLP.items()}
    rules = dict(propose_rules(found, wanted).rules)
    assert rules == {"h.*.mlp.up.*": "h.*.fc1.*", "h.*.mlp.down.*": "h.*.fc2.*"}


MLP = {"fc1.weight": (12, 4), "fc1.bias": (12,), "fc2.weight": (4, 12), "fc2.bias": (4,)}
TURNED_MLP = {"up.weight": (4, 12), "up.bias": (12,), "down.weight": (12, 4), "down.bias": (4,)}


@pytest.mark.parametrize(
    ("old", "new", "rules"),
    [
        ("embed_tokens lm_head", "output tok_embeddings", {}),
        ("logvar mu", "mean_head spread_head", {}),
        ("input_layernorm post_attention_layernorm", "attention_norm ffn_norm", {}),
        ("a.output.LayerNorm output.LayerNorm", "norm1 norm2", {}),
        (
            "query key value dense",
            "q k v proj",
            {"query": "q", "key": "k", "value": "v", "dense": "proj"},
        ),
        ("enc.norm2 enc.norm1", "ln_1 ln_2", {"enc.norm2": "ln_2", "enc.norm1": "ln_1"}),
        ("zeta.head alpha.tail", "a.tail z.head", {"zeta": "z", "alpha": "a"}),
        ("gate_proj b", "gate c", {"gate_proj": "gate", "b": "c"}),
    ],
)
def test_only_what_words_tell_is_proposed_where_shapes_tie(
    old: str, new: str, rules: dict[str, str]
) -> None:
    found = {f"{name}.weight": (4, 4) for name in old.split()}
    made = propose_rules(found, {f"{name}.weight": (4, 4) for name in new.split()})
    assert dict(made.rules) == {f"{o}.*": f"{n}.*" for o, n in rules.items()}


def test_what_nothing_tells_is_undecided_and_named(tmp_path: Path) -> None:
    spec = (
        "block layer(x: f32[n, d]) {\n    x = x + (x -> layer_norm as norm1 -> dense(d) as fc)\n"
        "    return x -> layer_norm as norm2\n}\n"
        "model Net {\n    input x: f32[n, 4]\n    x = x -> 2 * layer as h\n"
        "    output a = x -> dense(3) as mean_head\n"
        "    output b = x -> dense(3) as spread_head\n}\n"
    )
    weights = loads(spec).model("Net").weights(seed=1)
    words = {"norm1": "before", "norm2": "after", "mean_head": "mu", "spread_head": "logvar"}
    found = {
        "net." + re.sub("|".join(words), lambda m: words[m[0]], path): array
        for path, array in weights.items()
    }
    write_weights(tmp_path / "w.safetensors", found, {})
    (tmp_path / "net.weft").write_text(spec)
    done = weft("weights", "w.safetensors", "--for", "net.weft", cwd=tmp_path)
    first, proposal, *undecided, hint = done.stdout.splitlines()
    assert first == "4 of 16 weights of Net are in w.safetensors; 12 undecided"
    assert proposal == 'net net = Net() -> load("w.safetensors", rename=["net.*" -> "*"])'
    told = "undecided, as neither shapes nor names tell: "
    assert sorted(undecided) == [
        f"{told}net.h.*.after.*, net.h.*.before.* of the file could be h.*.norm1.*, h.*.norm2.*",
        f"{told}net.logvar.*, net.mu.* of the file could be mean_head.*, spread_head.*",
    ]
    assert hint == "put the pairs that you know in front, in `rename=`"
    known = [f'"net.h.*.{words[n]}.*" -> "h.*.{n}.*"' for n in ("norm1", "norm2")]
    known += [f'"net.{words[n]}.*" -> "{n}.*"' for n in ("mean_head", "spread_head")]
    full = proposal.replace("rename=[", f"rename=[{', '.join(known)}, ")
    (tmp_path / "net.weft").write_text(f"{spec}\n{full}\n")
    compiled = weft("compile", "net.weft", "-o", "out", cwd=tmp_path)
    assert compiled.returncode == 0, compiled.stderr
    made = read_weights(tmp_path / "out" / "net.safetensors")
    for path, array in weights.items():
        np.testing.assert_array_equal(made[path], array)


def test_layers_of_other_numbers_are_not_taken_for_each_other() -> None:
    # Layers that are counted from 1: that layer 1 of the file is layer 0, no name says.
    wanted = {f"h.{i}.w": (4, 4) for i in range(3)}
    found = {f"h.{i + 1}.w": (4, 4) for i in range(3)}
    made = propose_rules(found, wanted)
    assert (made.rules, made.missing, made.surplus) == ((), ("h.0.w",), ("h.3.w",))


@pytest.mark.timed
def test_a_large_file_is_proposed_in_time() -> None:
    names = [f"{place}.{i}" for i in range(8) for place in ("attn", "mlp")]
    wanted = {f"layers.{i}.{name}.weight": (8, 8) for i in range(100) for name in names}
    start = time.process_time()
    made = propose_rules({f"module.{path}": shape for path, shape in wanted.items()}, wanted)
    assert made.rules == (("module.*", "*"),)
    assert time.process_time() - start < 10
