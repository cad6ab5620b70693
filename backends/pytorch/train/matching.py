"""Patterns of paths as conditions of a training script."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.ir.weights import match_paths
from compiler.writing.python import write_literal


def spell_match(patterns: Sequence[str], paths: Sequence[str]) -> str:
    """A condition on `name` that holds for the paths that match the patterns."""
    prefixes = [p[:-1] for p in patterns if p.endswith(".*") and not set(p[:-1]) & set("*?[")]
    tests = []
    if len(prefixes) == 1:
        tests.append(f"name.startswith({write_literal(prefixes[0])})")
    elif prefixes:
        tests.append(f"name.startswith({write_literal(tuple(prefixes))})")
    exact = [p for p in patterns if p in paths and len(match_paths(paths, [p])) == 1]
    if len(exact) > 1:
        tests.append(f"name in {write_literal(tuple(exact))}")
    for pattern in patterns:
        if pattern[:-1] in prefixes or (len(exact) > 1 and pattern in exact):
            continue
        matched = match_paths(paths, [pattern])
        if pattern in matched and len(matched) == 1:
            tests.append(f"name == {write_literal(pattern)}")
        elif set(pattern) & set("*?["):
            tests.append(f"fnmatchcase(name, {write_literal(pattern)})")
        else:
            tests.append(f"name.startswith({write_literal(pattern + '.')})")
    return " or ".join(tests)
