"""Ops that passes write in place of others: no spec calls them, and the manual has none of them."""
