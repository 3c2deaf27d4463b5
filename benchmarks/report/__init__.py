"""Committed figures as tables, plots, pages and the README's lines."""
