"""What the operating system gives: files, and how much memory there is."""
