"""Tokens and the syntax tree: the parts that parsing, its messages and the formatter share."""
