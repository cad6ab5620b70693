"""Expressions: each form to its value."""
