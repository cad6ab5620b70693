"""PyTorch: modules and training scripts as readable source."""
