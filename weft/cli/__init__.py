"""The command line: finds the command that was asked for, and what commands share."""
