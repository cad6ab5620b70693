"""Weights from elsewhere: files, shards and repositories, and their names and layouts."""
