"""Rows of data in memory: columns computed, split, fitted, and held to their ranges."""
