"""One class for the calls of a block: what its arguments mean and where it differs."""
