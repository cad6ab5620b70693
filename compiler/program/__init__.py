"""The typed program: what elaboration makes of a file, as plain data."""
