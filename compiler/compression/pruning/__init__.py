"""Pruning: fewer channels, or zeros in weights."""
