"""Formulas of docs/textbook/attention.md."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _softmax(scores: Array) -> Array:
    """Over the last axis."""
    shares = np.exp(scores)
    return shares / shares.sum(-1, keepdims=True)


def _attend(q: Array, k: Array, v: Array, seen: Any = True) -> Array:
    """Query by query, over the keys that it sees."""
    seen = np.broadcast_to(seen, (len(q), len(k)))
    rows = []
    for query, keys in zip(q, seen, strict=True):
        shares = _softmax(k[keys] @ query / np.sqrt(q.shape[1]))
        rows.append(shares @ v[keys])
    return np.array(rows)


def _norm(x: Array) -> Array:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def scaled_dot_product(q: Array, k: Array, v: Array) -> dict[str, Array]:
    return {"y": _attend(q, k, v), "weights": _softmax(q @ k.T / np.sqrt(2))}


def temperature(q: Array, k: Array, v: Array) -> dict[str, Array]:
    lengths = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(k, axis=1)
    cosine = q @ k.T / lengths
    assert len(v) == len(k)
    return {"warm": _softmax(cosine), "cold": _softmax(cosine / 0.1)}


def additive(
    q: Array, k: Array, a_query_weight: Array, a_key_weight: Array, a_score_weight: Array
) -> Array:
    rows = []
    for queries, keys in zip(q, k, strict=True):
        scores = [
            [
                float((a_score_weight @ np.tanh(a_query_weight @ x + a_key_weight @ z))[0])
                for z in keys
            ]
            for x in queries
        ]
        rows.append(_softmax(np.array(scores)) @ keys)
    return np.array(rows)


def learned_metric(q: Array, k: Array, v: Array, a_theta_weight: Array) -> dict[str, Array]:
    apart = (q[:, :, None] - k[:, None]) @ a_theta_weight.T
    weights = _softmax(-(apart**2).sum(-1))
    return {"y": weights @ v, "weights": weights}


def attention_pooling(x: Array, query: Array) -> dict[str, Array]:
    weights = _softmax(np.array([[token @ query for token in row] for row in x]))
    return {"y": np.einsum("nt,ntd->nd", weights, x), "weights": weights}


def causal_mask(q: Array, k: Array, v: Array) -> Array:
    seen = np.tri(len(q[0, 0]), dtype=bool)
    return _attend(q[0, 0], k[0, 0], v[0, 0], seen)[None, None]


def padded_keys(q: Array, k: Array, lengths: Array) -> Array:
    weights = np.zeros((len(q), 1, k.shape[1]))
    for n, length in enumerate(lengths):
        weights[n, 0, :length] = _softmax(k[n, :length] @ q[n, 0] / np.sqrt(2))
    return weights


def windowed(q: Array, v: Array) -> Array:
    apart = np.arange(4)[:, None] - np.arange(4)
    return _attend(q, q, v, (apart >= 0) & (apart < 2))


def multi_head(x: Array, attn_in_proj_weight: Array, attn_out_proj_weight: Array) -> dict[str, Any]:
    rows = []
    for row in x:
        q, k, v = np.split(row @ attn_in_proj_weight.T, 3, axis=1)
        heads = [_attend(q[:, [h]], k[:, [h]], v[:, [h]]) for h in range(2)]
        rows.append(np.concatenate(heads, axis=1) @ attn_out_proj_weight.T)
    return {"y": np.array(rows), "parameters": 4 * 2 * 2}


def cross_attention(
    x: Array, memory: Array, cross_in_proj_weight: Array, cross_out_proj_weight: Array
) -> Array:
    w_q, w_k, w_v = np.split(cross_in_proj_weight, 3)
    y = [
        _attend(row @ w_q.T, other @ w_k.T, other @ w_v.T)
        for row, other in zip(x, memory, strict=True)
    ]
    return np.array(y) @ cross_out_proj_weight.T


def grouped_query_count() -> int:
    d, heads, kv_heads = 4096, 32, 8
    return 2 * d**2 + 2 * d * kv_heads * (d // heads)


def cached_keys(q: Array, k: Array, v: Array) -> dict[str, Array]:
    last = _attend(q[0, 0, 2:], k[0, 0], v[0, 0])[None, None]
    return {"last": last, "step": last}


def online_softmax(scores: Array, values: Array) -> Array:
    return (_softmax(scores) * values).sum(1)


def linear_attention(q: Array, k: Array, v: Array) -> Array:
    a, b = (np.where(x > 0, x + 1, np.exp(x)) for x in (q, k))
    scores = np.tril(a @ b.transpose(0, 2, 1))
    return scores / scores.sum(-1, keepdims=True) @ v


def no_order(x: Array) -> dict[str, Array]:
    y = _attend(x, x, x)
    return {"straight": y, "turned": y}


def sinusoids(x: Array) -> Array:
    y = x.astype(float)
    for p in range(3):
        for i in range(2):
            angle = p / 10000 ** (2 * i / 4)
            y[:, p, 2 * i] += np.sin(angle)
            y[:, p, 2 * i + 1] += np.cos(angle)
    return y


def rotary_scores(q: Array, k: Array) -> Array:
    """In the plane a turn is a factor `e^(ip)`."""
    turn = np.exp(1j * np.arange(q.shape[2]))
    a, b = ((x[0, 0, :, 0] + 1j * x[0, 0, :, 1]) * turn for x in (q, k))
    return np.outer(a, b.conj()).real[None, None]


def distance_bias(q: Array, k: Array, v: Array) -> Array:
    assert not np.any(q)
    assert not np.any(k)
    y = np.zeros((1, 4, 3, 1))
    for h in range(4):
        slope = 2.0 ** (-8 * (h + 1) / 4)
        for i in range(3):
            shares = _softmax(np.array([-slope * (i - j) for j in range(i + 1)]))
            y[0, h, i] = shares @ v[0, h, : i + 1]
    return y


def layer_count() -> int:
    d = 512
    return 12 * d**2 + 13 * d


def layer_by_hand(x: Array, inner_weight: Array) -> Array:
    h = np.array([row + _attend(z, z, z) for row, z in zip(x, _norm(x), strict=True)])
    return h + np.maximum(_norm(h) @ inner_weight.T, 0)
