"""Commands: one file each, and the folder is the list."""
