"""Comparisons: precisions with one another, and TinySR with other ways to enlarge an image."""
