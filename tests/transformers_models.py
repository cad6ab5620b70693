"""Small models of Hugging Face's transformers with random weights: an oracle that others wrote."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from tests.torchvision_models import import_models


@cache
def import_transformers() -> Any:
    """`transformers`, which asks nobody, and finds a torchvision that can be imported. Its packages
    read the environment while they are imported; what this process starts later is told nothing."""
    with patch.dict(os.environ, HF_HUB_OFFLINE="1"):
        import_models()
        import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


CONFIGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gpt_neox": (
        "GPTNeoXForCausalLM",
        "GPTNeoXConfig",
        {
            "vocab_size": 60,
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 128,
            "rotary_pct": 0.25,
            "max_position_embeddings": 64,
        },
    ),
    "bert": (
        "BertModel",
        "BertConfig",
        {
            "vocab_size": 60,
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 128,
        },
    ),
    "gpt2": (
        "GPT2LMHeadModel",
        "GPT2Config",
        {"vocab_size": 60, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 1024},
    ),
    "llama": (
        "LlamaForCausalLM",
        "LlamaConfig",
        {
            "vocab_size": 60,
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "intermediate_size": 80,
            "rms_norm_eps": 1e-5,
            "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
        },
    ),
    "clip": (
        "CLIPModel",
        "CLIPConfig",
        {
            "text_config": {
                "vocab_size": 60,
                "hidden_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "intermediate_size": 128,
                "max_position_embeddings": 20,
                "bos_token_id": 58,
                "eos_token_id": 59,
            },
            "vision_config": {
                "hidden_size": 48,
                "num_hidden_layers": 3,
                "num_attention_heads": 6,
                "intermediate_size": 192,
                "image_size": 32,
                "patch_size": 8,
            },
            "projection_dim": 24,
        },
    ),
    "vit": (
        "ViTForImageClassification",
        "ViTConfig",
        {
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 128,
            "image_size": 32,
            "patch_size": 8,
            "num_labels": 7,
        },
    ),
    "dinov2": (
        "Dinov2Model",
        "Dinov2Config",
        {
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": 56,
            "patch_size": 14,
        },
    ),
    "t5": (
        "T5ForConditionalGeneration",
        "T5Config",
        {
            "vocab_size": 60,
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 64,
            "num_layers": 3,
            "num_heads": 4,
        },
    ),
}
"""By name: the class, the class of its configuration, and a small one."""


def make_model(name: str, seed: int = 0) -> Any:
    """A model with random weights that leave no part without effect: norms, biases and scales
    start as ones and zeros."""
    transformers = import_transformers()
    kind, config, options = CONFIGS[name]
    torch.manual_seed(seed)
    made = getattr(transformers, config)(**options, attn_implementation="eager")
    model = getattr(transformers, kind)(made).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model


def save_model(model: Any, folder: Path, shards: bool = False) -> None:
    """Saves a model as those on Hugging Face are saved; in several files, if asked."""
    model.save_pretrained(folder, max_shard_size="40KB" if shards else "5GB")
