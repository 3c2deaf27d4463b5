"""Ranges, headroom and precision plans, measured once for every backend."""
