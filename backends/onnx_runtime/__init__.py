"""ONNX files at work: sessions on CPU and CUDA, measurement, and verification."""
