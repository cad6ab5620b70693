"""Ops that no spec calls, and the manual has not: passes write them, or words stand for them."""
