"""Graphs as ONNX files: a builder over onnx-ir, streamed writing, and checks."""
