"""Passes that one family alone needs before it is exported."""
