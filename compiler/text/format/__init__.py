"""The canonical layout of specs."""
