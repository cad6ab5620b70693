"""The compiler: from the text of a spec to graphs, weights and code; knows neither torch nor onnx."""
