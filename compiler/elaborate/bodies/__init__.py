"""Bodies of blocks, models and loops: statements and clauses in order."""
