"""`python -m grammar` writes the parse tables anew after a change of grammar or mistakes."""

from grammar.generate import generate, write_tables
from grammar.sources import TABLES

if __name__ == "__main__":
    TABLES.write_text(write_tables(generate()), encoding="utf-8")
