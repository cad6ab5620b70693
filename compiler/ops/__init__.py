"""Primitive ops: one file per family, one class per op."""
