"""Fuzzing of the front end: whatever the text, the answer is a tree or diagnostics in short time."""
