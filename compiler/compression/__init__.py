"""Compression: passes on trained nets, what they need from the world, and what they report."""
