"""Meaning: from text to a typed program and optimized graphs. Knows no torch and no onnx."""
