"""Targets: PyTorch source, ONNX graphs, and ONNX Runtime to run and check them."""
