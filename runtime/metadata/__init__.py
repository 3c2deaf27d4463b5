"""Metadata of images: EXIF, XMP and ICC data, kept as they lie where they fit."""

from .icc import colour_space, fit_profile
from .upright import resize_metadata, turn_upright
from .xmp_parts import describe_parts

__all__ = ["colour_space", "describe_parts", "fit_profile", "resize_metadata", "turn_upright"]
