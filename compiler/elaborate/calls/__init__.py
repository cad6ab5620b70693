"""Calls: arguments to parameters, blocks and nets with their frames, primitive ops."""
