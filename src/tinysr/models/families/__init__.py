"""Families of models: each has its config, its modules, and the layouts that it is released in."""
