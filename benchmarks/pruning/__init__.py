"""Comparison of pruning methods, each followed by the same training (paper, tables 1 and 2)."""
