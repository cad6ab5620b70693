"""From text to syntax trees, and back: parsing, what mistakes mean, formatting."""
