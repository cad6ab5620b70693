"""Specs whose names, texts and paths try to become code, and what is written of them."""
