"""Diagnostics: where they point, what they say, and how they are shown."""
