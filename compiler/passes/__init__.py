"""Passes over graphs: one file per pass, one per analysis."""
