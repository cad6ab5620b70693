"""Files to deploy: compiled, verified, measured, inspected."""
