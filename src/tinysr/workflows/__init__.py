"""Whole jobs in one call each: a gated export, more formats for a bundle, a parity check.

The command line calls these. A Python program gets the same bundle, with the same guarantees, from
:func:`tinysr.workflows.export.export_gated`.
"""
