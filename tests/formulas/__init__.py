"""Formulas of the manual in plain NumPy, each beside the lines of its page."""
