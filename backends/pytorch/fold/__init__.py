"""From a flat graph to the calls of its blocks, as lists of items."""
