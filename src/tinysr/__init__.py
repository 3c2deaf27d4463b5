"""TinySR's edge toolchain: one-step super-resolution from a checkpoint to any device."""

__version__ = "0.1.0"
__all__ = ["__version__"]
