"""Writes a spec of 200 lines, on which the cost of a check is measured."""

from __future__ import annotations


def _write_train(index: int) -> str:
    """Twelve lines of a train, and its deployment."""
    return (
        f"train fit{index}(lr: float = 3e-3) of M{index} on digits {{\n"
        "    minimize cross_entropy(logits, label)\n"
        '        with adamw(lr=lr, weight_decay=0) over "*.bias"\n'
        "        with adamw(lr=lr, schedule=cosine(warmup=5%))\n"
        "    metric accuracy = accuracy(logits, label)\n"
        "    metric top = top_k(logits, label, k=3)\n"
        "    batch 64\n    epochs 30\n    seed 0\n    clip 1.0\n"
        "    until stalled(val.accuracy, epochs=8)\n}\n"
        f"deploy fit{index} as onnx {{ dynamic batch  preprocess digits }}\n"
    )


def write_long_spec() -> str:
    """A spec of 200 lines with everything in it: ten blocks, five models, data, three trains."""
    parts = []
    for index in range(10):
        parts.append(
            f"## Block number {index}.\n"
            f"block b{index}(x: f32[n, c, h, w], width: int, act: layer = relu) {{\n"
            '    y = x -> conv(width, kernel=3, padding="same", bias=false) as conv1\n'
            "          -> batch_norm as bn1 -> act\n"
            '    y = y -> conv(width, kernel=3, padding="same", bias=false) as conv2\n'
            "          -> batch_norm as bn2\n"
            "    if c != width { x = x -> conv(width, kernel=1) as skip }\n"
            "    return (x + y) -> act\n}\n"
        )
    for index in range(5):
        parts.append(
            f"model M{index}(classes: int = 10, width: int = 8) {{\n"
            "    input image: f32[batch, 1, 8, 8]\n"
            "    x = image\n"
            f'    for i in 0..3 {{ x = x -> b{index}(width * 2 ** i) as "a"[i] }}\n'
            f'    for i in 0..3 {{ x = x -> b{index + 5}(width * 2 ** i) as "b"[i] }}\n'
            "    pooled = x -> global_avg_pool\n"
            "    hidden = pooled -> dense(64) as hidden -> gelu -> dropout(10%)\n"
            "    output logits: f32[batch, classes] = hidden -> dense(classes) as head\n}\n"
        )
    parts.append(
        'data digits {\n    source sklearn("digits")\n'
        "    image = (image / 16) -> reshape([1, 8, 8])\n"
        "    split random(seed=0, stratify=label), train=80%, val=10%, test=10%\n}\n"
    )
    parts += [_write_train(index) for index in range(3)]
    return "\n".join(parts)
