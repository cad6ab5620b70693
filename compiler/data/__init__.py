"""Data sources and the row-wise column expressions on them."""
