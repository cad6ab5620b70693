"""The build: stages from a checked program to verified files, cached by content."""
