"""Networks of `specs/models` in plain PyTorch, written from their papers.

They have the authors' names of parameters where there is published code, else those of the specs.
"""
