"""Fuzzing of the front end: any text gives a tree or diagnostics, in short time."""
