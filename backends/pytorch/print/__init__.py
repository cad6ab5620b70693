"""Classes as Python source: the only code that prints modules."""
