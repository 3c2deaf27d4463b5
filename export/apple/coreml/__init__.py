"""Baked model → a CoreML package: one file that an app imports."""
