"""Measurements of the companion's own, beyond the paper's experiments."""
