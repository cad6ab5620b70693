"""Verification: the meaning of a graph against PyTorch and ONNX Runtime."""
