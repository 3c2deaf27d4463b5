"""Searches for the modules that need fp32, and for the layers that need more bits."""
