"""The language as data: grammars, the parse tables made from them, and examples of mistakes."""
