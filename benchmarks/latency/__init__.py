"""Latency of a bundle's backends and stages on one machine, beside the machine's limits."""
