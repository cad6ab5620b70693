"""ONNX: graphs built through onnx-ir and written to files."""
