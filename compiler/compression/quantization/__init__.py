"""Quantization: nets in fewer bits, in storage or in computation."""
