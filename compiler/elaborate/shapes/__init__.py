"""Types as they are written, against tensors: sizes bound, promises kept."""
