"""Trees of code before it is text, and the names in it."""
