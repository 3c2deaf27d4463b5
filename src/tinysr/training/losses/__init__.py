"""What stages minimise."""

from tinysr.training.losses.pixels import smooth_l1, squared

__all__ = ["smooth_l1", "squared"]
