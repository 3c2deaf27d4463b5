"""Image files: read whole with one clear error each, written whole or not at all."""

from .fitness import check_holds
from .formats import (
    FORMATS,
    INPUT_SUFFIXES,
    OUTPUT_SUFFIXES,
    check_size,
    format_named,
    format_of,
    is_image_suffix,
)
from .limits import Accept, Header
from .reading import Decoded, decode
from .saving import check_writable, save
from .writing import encode_into

__all__ = [
    "FORMATS",
    "INPUT_SUFFIXES",
    "OUTPUT_SUFFIXES",
    "Accept",
    "Decoded",
    "Header",
    "check_holds",
    "check_size",
    "check_writable",
    "decode",
    "encode_into",
    "format_named",
    "format_of",
    "is_image_suffix",
    "save",
]
