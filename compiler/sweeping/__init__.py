"""Sweeps: what values are searched among, how trials draw them, when one is given up."""
