"""Compression: passes on trained nets, what they need from the context, and what they report."""
