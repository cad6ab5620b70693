"""Trees of code, how expressions are written, and the names in them."""
