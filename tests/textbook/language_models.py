"""Formulas of docs/textbook/language-models.md."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _softmax(scores: Array) -> Array:
    """Over the last axis."""
    shares = np.exp(scores)
    return shares / shares.sum(-1, keepdims=True)


def _logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _layer(d: int) -> int:
    """Weights of a layer of the Transformer whose inner layer is four times as wide."""
    attention, inner, norms = 4 * d * (d + 1), 4 * d * (d + 1) + d * (4 * d + 1), 4 * d
    return attention + inner + norms


def log_likelihood(scores: Array, words: Array) -> Array:
    p = _softmax(scores)
    return np.array(
        [
            np.log(np.prod([row[w] for row, w in zip(rows, text, strict=True)]))
            for rows, text in zip(p, words, strict=True)
        ]
    )


def bigrams(text: Array) -> Array:
    counts = np.full((3, 3), 0.5)
    for u, v in pairwise(text):
        counts[u, v] += 1
    return counts / counts.sum(1, keepdims=True)


def perplexity(p: Array) -> dict[str, Any]:
    found = np.prod(1 / p) ** (1 / len(p))
    return {"perplexity": found, "bits": np.log2(found)}


def skip_gram(centre: Array, near: Array, others: Array) -> Array:
    found = []
    for c, o, rest in zip(centre, near, others, strict=True):
        likelihood = _logistic(o @ c) * np.prod([1 - _logistic(k @ c) for k in rest])
        found.append(-np.log(likelihood))
    return np.array(found)


def glove(counts: Array, word: Array, context: Array) -> float:
    total = 0.0
    for i, j in np.ndindex(*counts.shape):
        error = word[i] @ context[j] - np.log(counts[i, j])
        total += min(1.0, (counts[i, j] / 100) ** 0.75) * error**2
    return total


def next_word(scores: Array, words: Array) -> Any:
    p = _softmax(scores)
    seen = [p[0, t, words[0, t + 1]] for t in range(words.shape[1] - 1)]
    return -np.mean(np.log(seen))


def gpt2_count() -> int:
    d = 768
    return 50257 * d + 1024 * d + 12 * _layer(d) + 2 * d


def masked_words(scores: Array, label: Array) -> Any:
    hidden = label != -100
    p = _softmax(scores)[hidden]
    return -np.mean(np.log(p[np.arange(len(p)), label[hidden]]))


def bert_count() -> int:
    d = 768
    return (30522 + 512 + 2) * d + 2 * d + 12 * _layer(d) + d * (d + 1)


def llama_count() -> int:
    d, inner, words = 4096, 14336, 128256
    attention = 2 * d * d + 2 * d * 8 * 128
    return 2 * words * d + 32 * (attention + 3 * d * inner + 2 * d) + d


def experts(x: Array, gate_weight: Array) -> dict[str, Array]:
    p = np.zeros((len(x), 4))
    for n, row in enumerate(x):
        scores = gate_weight @ row
        best = np.argsort(scores)[-2:]
        p[n, best] = _softmax(scores[best])
    return {"p": p, "y": (p @ np.arange(1, 5))[:, None] * x}


def balance(p: Array) -> Any:
    chosen = np.bincount(p.argmax(1), minlength=3) / len(p)
    return 3 * chosen @ p.mean(0)


def top_k_sampling(scores: Array) -> Array:
    p = np.zeros(scores.shape)
    for n, row in enumerate(scores):
        best = np.argsort(row)[-2:]
        p[n, best] = _softmax(row[best] / 0.5)
    return p


def nucleus(p: Array) -> Array:
    kept = np.zeros(p.shape)
    for n, row in enumerate(p):
        for place in np.argsort(-row, kind="stable"):
            if kept[n].sum() < 0.75:
                kept[n, place] = row[place]
    return kept / kept.sum(1, keepdims=True)


def speculative(p: Array, q: Array) -> dict[str, Any]:
    """What comes out is the large model's distribution."""
    return {"kept": 1 - np.abs(p - q).sum() / 2, "whole": p}


def scaling_law(weights: Array, words: Array) -> dict[str, Array]:
    n, d = weights.astype(float), words.astype(float)
    loss = 1.69 + 406.4 * np.exp(-0.34 * np.log(n)) + 410.7 * np.exp(-0.28 * np.log(d))
    return {"loss": loss, "operations": 6 * n * d}


def preference(better: Array, worse: Array) -> Any:
    return -np.mean(np.log(_logistic(better - worse)))


def direct_preference(
    better: Array, worse: Array, better_before: Array, worse_before: Array
) -> Array:
    ratios = [np.exp(a - b) for a, b in ((better, better_before), (worse, worse_before))]
    return -np.log(_logistic(0.1 * np.log(ratios[0] / ratios[1])))


def policy_step(rewards: Array, ratio: Array) -> dict[str, Array]:
    advantage = (rewards - rewards.mean()) / rewards.std()
    limit = np.where(advantage > 0, np.minimum(ratio, 1.2), np.maximum(ratio, 0.8))
    return {"advantage": advantage, "loss": -limit * advantage}
