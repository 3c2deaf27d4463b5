"""Measurements: what the parts cost, and the figures of the documents."""
