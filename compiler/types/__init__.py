"""Types of values: symbolic sizes, element types, tensor types, units."""
