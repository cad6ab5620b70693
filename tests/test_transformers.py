"""Weights of Hugging Face's models by name: outputs of PyTorch and ONNX are the original's."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device, open_session
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.loading import find_loaded
from compiler.program.net import Net
from tests.elaborating import elaborate, elaborate_file
from tests.test_commands import weft
from tests.transformers_models import make_model, save_model

MODELS = Path(__file__).resolve().parents[1] / "specs" / "models"
Inputs = dict[str, torch.Tensor]
VIT = (MODELS / "vit_b_16.weft").read_text().partition("rename=[\n")[2].partition("])")[0]
VIT_RULES = VIT.replace("#", "")
"""The rules that the file of the model gives."""
LOADS = {
    "bert": ("bert_base", "Bert(vocab=60, d=32, layers=3, heads=4)", ""),
    "gpt2": (
        "gpt2",
        "GPT2(vocab=60, d=32, layers=3, heads=4)",
        ', rename=["transformer.*" -> "*"]',
    ),
    "llama": (
        "llama3_8b",
        "Llama3(vocab=60, d=32, layers=3, heads=8, kv_heads=2, hidden=80)",
        "",
    ),
    "clip": (
        "clip_vit_b_32",
        "Clip(size=32, patch=8, image_width=48, image_layers=3, image_heads=6, vocab=60, "
        "longest=20, text_width=32, text_layers=2, text_heads=4, d=24)",
        "",
    ),
    "vit": (
        "vit_b_16",
        "ViT(classes=7, size=32, patch=8, d=32, layers=3, heads=4, eps=1e-12)",
        f", rename=[{VIT_RULES}]",
    ),
    "dinov2": ("dinov2_vits14", "Dinov2(d=32, layers=3, heads=4, size=56)", ""),
    "t5": ("t5_small", "T5(vocab=60, d=32, layers=3, heads=4, head_size=8, hidden=64)", ""),
}
"""By name: the file, the model with the arguments of the small one, and options of `load`."""


def load_net(name: str, folder: Path, options: str | None = None) -> Net:
    """The net of the model's file with the weights that lie in a folder."""
    file, model, usual = LOADS[name]
    path = MODELS / f"{file}.weft"
    text = path.read_text().partition("\nnet ")[0]
    given = usual if options is None else options
    line = f'net tiny = {model} -> load("{folder}"{given})\n'
    nets, messages = elaborate(f"{text}\n{line}", str(path))
    assert not messages, messages
    return nets["tiny"]


def draw_tokens(batch: int, t: int) -> torch.Tensor:
    return torch.randint(0, 58, (batch, t))


def draw_mask(batch: int, t: int) -> torch.Tensor:
    lengths = torch.randint(1, t + 1, (batch, 1))
    return (torch.arange(t) < lengths).long()


def run_bert(model: Any, batch: int, t: int) -> tuple[Inputs, tuple[torch.Tensor, ...]]:
    inputs = {
        "input_ids": draw_tokens(batch, t),
        "attention_mask": draw_mask(batch, t),
        "token_type_ids": torch.randint(0, 2, (batch, t)),
    }
    made = model(**inputs)
    return inputs, (made.last_hidden_state, made.pooler_output)


def run_gpt2(model: Any, batch: int, t: int) -> tuple[Inputs, tuple[torch.Tensor, ...]]:
    inputs = {"input_ids": draw_tokens(batch, t)}
    return inputs, (model(**inputs).logits,)


def run_llama(model: Any, batch: int, t: int) -> tuple[Inputs, tuple[torch.Tensor, ...]]:
    tokens = draw_tokens(batch, t)
    return {"tokens": tokens}, (model(tokens).logits,)


def run_clip(model: Any, batch: int, t: int) -> tuple[Inputs, tuple[torch.Tensor, ...]]:
    tokens = draw_tokens(batch + 1, t)
    for row in tokens:
        row[torch.randint(1, t, ()) :] = 59  # the end of a text, and what fills its row
    image = torch.randn(batch, 3, 32, 32)
    made = model(input_ids=tokens, pixel_values=image)
    inputs = {"image": image, "tokens": tokens}
    return inputs, (made.image_embeds, made.text_embeds, made.logits_per_image)


def run_vit(model: Any, batch: int, t: int) -> tuple[Inputs, tuple[torch.Tensor, ...]]:
    image = torch.randn(batch, 3, 32, 32)
    return {"image": image}, (model(image).logits,)


def run_dinov2(model: Any, batch: int, t: int) -> tuple[Inputs, tuple[torch.Tensor, ...]]:
    size = {4: (56, 56), 9: (84, 70)}[t]  # as the places are learned, and other ones
    image = torch.randn(batch, 3, *size)
    made = model(image)
    return {"image": image}, (made.last_hidden_state, made.pooler_output)


def run_t5(model: Any, batch: int, t: int) -> tuple[Inputs, tuple[torch.Tensor, ...]]:
    long = 30 * t  # far enough for every bucket of places
    inputs = {
        "input_ids": draw_tokens(batch, long),
        "attention_mask": draw_mask(batch, long),
        "decoder_input_ids": draw_tokens(batch, long // 2 + 1),
    }
    return inputs, (model(**inputs).logits,)


RUNS: dict[str, Callable[..., tuple[Inputs, tuple[torch.Tensor, ...]]]] = {
    "bert": run_bert,
    "gpt2": run_gpt2,
    "llama": run_llama,
    "clip": run_clip,
    "vit": run_vit,
    "dinov2": run_dinov2,
    "t5": run_t5,
}


def run_both(net: Net, folder: Path) -> Callable[[Inputs], Iterator[tuple[np.ndarray, ...]]]:
    """What computes the outputs of a net in PyTorch, then in ONNX Runtime."""
    weights = find_loaded(net, Path())
    assert weights.keys() == {p.path for p in net.graph.parameters}
    module = load_module(emit_module([net.graph], title=net.name), net.graph).eval()
    assign_weights(module, weights)
    compile_onnx(net.graph, weights, folder / "net.onnx")
    session = open_session(folder / "net.onnx", device=Device.CPU)

    def run(inputs: Inputs) -> Iterator[tuple[np.ndarray, ...]]:
        made = module(*inputs.values())
        yield tuple(t.numpy() for t in (made if isinstance(made, tuple) else (made,)))
        yield tuple(session.run({name: t.numpy() for name, t in inputs.items()}).values())

    return run


@pytest.mark.parametrize("name", RUNS)
def test_outputs_are_those_of_the_original(name: str, tmp_path: Path) -> None:
    model = make_model(name)
    save_model(model, tmp_path / "saved", shards=name in ("bert", "llama", "t5"))
    net = load_net(name, tmp_path / "saved")
    assert [i.name for i in net.graph.inputs] == list(RUNS[name](model, 1, 4)[0])
    run = run_both(net, tmp_path)
    with torch.no_grad():
        for batch, t in ((1, 4), (3, 9)):
            inputs, expected = RUNS[name](model, batch, t)
            for made in run(inputs):
                for mine, original in zip(made, expected, strict=True):
                    wanted = original.numpy()
                    assert wanted.std() > 1e-2, "the oracle must say something"
                    most = 1e-4 * max(1.0, float(wanted.std()))
                    np.testing.assert_allclose(mine, wanted, atol=most)


DENSE_GPT2 = """
block attention(x: f32[n, t, d], heads: int) {
    split_heads = reshape([n, t, heads, d / heads]) -> transpose(1, 2)
    q = x -> dense(d) as q -> split_heads
    k = x -> dense(d) as k -> split_heads
    v = x -> dense(d) as v -> split_heads
    y = (q, k, v) -> scaled_dot_product_attention(causal=true)
    return y -> transpose(1, 2) -> flatten(2) -> dense(d) as c_proj
}
block layer(x: f32[n, t, d], heads: int) {
    x = x + (x -> layer_norm as ln_1 -> attention(heads) as attn)
    y = x -> layer_norm as ln_2 -> dense(4 * d) as "mlp.c_fc" -> gelu(approximate="tanh")
    return x + (y -> dense(d) as "mlp.c_proj")
}
model Net {
    input input_ids: i64[batch, t]
    x = (input_ids -> embedding(60, 32) as wte) + (arange(t) -> embedding(1024, 32) as wpe)
    x = x -> 3 * layer(4) as h -> layer_norm as ln_f
    output logits = x -> dense(60, bias=false) as lm_head
}
"""
GPT2_OPTIONS = (
    'rename=["transformer.*" -> "*", '
    '"h.*.attn.c_attn.*" -> ["h.*.attn.q.*", "h.*.attn.k.*", "h.*.attn.v.*"]], '
    'copy=["wte.weight" -> "lm_head.weight"], transpose=["h.*.attn.?.*", "h.*.c_*"]'
)


def test_gpt2_becomes_a_net_of_dense_layers_with_a_head_of_its_own(tmp_path: Path) -> None:
    model = make_model("gpt2")
    save_model(model, tmp_path / "saved")
    load = f'load("{tmp_path / "saved"}", {GPT2_OPTIONS})'
    nets, messages = elaborate(f"{DENSE_GPT2}\nnet tiny = Net() -> {load}\n")
    assert not messages
    run = run_both(nets["tiny"], tmp_path)
    with torch.no_grad():
        inputs, (expected,) = run_gpt2(model, 2, 7)
        for (made,) in run(inputs):
            np.testing.assert_allclose(made, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("name", ["bert", "llama", "dinov2"])
def test_a_model_with_a_prefix_is_renamed(name: str, tmp_path: Path) -> None:
    model = torch.nn.ModuleDict({"module": torch.nn.ModuleDict({"_orig_mod": make_model(name)})})
    state = {path: tensor.clone() for path, tensor in model.state_dict().items()}
    save_file(state, tmp_path / "m.safetensors")
    proposed = weft(
        "weights", str(tmp_path / "m.safetensors"), "--for", str(write_small(name, tmp_path))
    )
    assert "in m.safetensors" in proposed.stdout, proposed.stderr
    found = re.match(r"([\d,]+) of ([\d,]+) weights", proposed.stdout)
    assert found is not None
    assert found[1] == found[2], proposed.stdout


def write_small(name: str, folder: Path) -> Path:
    """A spec with the small net, for commands."""
    file, model, _ = LOADS[name]
    text = (MODELS / f"{file}.weft").read_text().partition("\nnet ")[0]
    arguments = model.rstrip(")").partition("(")[2]
    for argument in arguments.split(", "):
        key, _, value = argument.partition("=")
        text = re.sub(rf"\b{key}: (int|float) = [\w.]+", rf"{key}: \1 = {value}", text)
    (folder / "small.weft").write_text(text)
    return folder / "small.weft"


@pytest.mark.parametrize(
    ("count", "longest", "causal"),
    [(32, 128, False), (32, 128, True), (12, 50, False), (16, 1000, True), (10, 20, True)],
)
def test_t5_puts_places_into_the_buckets_of_the_original(
    count: int, longest: int, causal: bool
) -> None:
    text = (MODELS / "t5_small.weft").read_text().partition("\nmodel ")[0]
    model = f"""
    model Places(count: int, longest: int) {{
        input x: i64[t, s]
        output y = x + relative_buckets(t, s, count, longest, {str(causal).lower()})
    }}
    net places = Places({count}, {longest})
    """
    nets, messages = elaborate(f"{text}\n{model}")
    assert not messages
    graph = nets["places"].graph
    made = load_module(emit_module([graph], title="places"), graph)(torch.zeros(700, 900).long())
    apart = torch.arange(900) - torch.arange(700)[:, None]
    find = importlib.import_module("transformers.models.t5.modeling_t5").T5Attention
    wanted = find._relative_position_bucket(apart, not causal, count, longest)
    assert torch.equal(made, wanted)


def test_every_number_of_t5_is_an_argument() -> None:
    source = emit_module(
        [elaborate_file(MODELS / "t5_small.weft")[0]["t5_small"].graph], title="t5"
    )
    head = source.partition("class T5(")[2].partition(") -> None")[0]
    assert re.findall(r"^ +(\w+): int = (\d+)", head, re.MULTILINE) == [
        *(("vocab", "32128"), ("d", "512"), ("layers", "6"), ("heads", "8"), ("head_size", "64")),
        *(("hidden", "2048"), ("buckets", "32"), ("longest", "128")),
    ]
