"""Surveys of data: what columns hold, how splits divide it, what goes together with a target."""
