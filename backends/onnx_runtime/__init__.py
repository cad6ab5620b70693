"""ONNX Runtime: sessions, measurement and verification."""
