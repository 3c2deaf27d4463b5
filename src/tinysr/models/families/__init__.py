"""Families of one-step models, a package for each."""
