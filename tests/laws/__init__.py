"""Laws of ops: type rule, NumPy meaning, PyTorch, ONNX Runtime and onnx.reference agree."""
