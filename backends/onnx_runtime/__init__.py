"""ONNX files at work: sessions on CPU and CUDA, and measurement."""
