"""Search: lets the compiler choose what to prune, factorise and quantize, and how far."""
