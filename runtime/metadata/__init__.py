"""Metadata of images: EXIF, XMP and ICC data, kept as they lie where they fit."""

from .icc import colour_space, fitting_profile
from .upright import sized_metadata, upright_raster
from .xmp_parts import described_parts

__all__ = ["colour_space", "described_parts", "fitting_profile", "sized_metadata", "upright_raster"]
