"""What an expression can be while compiling, and arithmetic on it."""
