"""What can be said: signatures derived from classes, initializers, spellings in PyTorch."""
