"""Committed figures as tables, plots, pages and the documents' lines."""
