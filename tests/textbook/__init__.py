"""The formulas of docs/textbook in NumPy, a module for each chapter, a function for each spec."""
