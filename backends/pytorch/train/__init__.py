"""Training scripts: `train.py` as a careful engineer would have written it."""
