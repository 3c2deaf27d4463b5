"""Backends, one file each. The packages they need are imported when they are asked for."""
