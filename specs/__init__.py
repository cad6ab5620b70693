"""Weft source that ships with Weft: the standard library, published models, examples."""
