"""Folders of results: what is in them, who may write, what was made before."""
