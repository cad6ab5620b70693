"""What a syntax error means, and how parsing goes on after it."""
