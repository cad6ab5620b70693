"""Whole specs at random, with their data: what `weft check` passes, `weft build` does."""
