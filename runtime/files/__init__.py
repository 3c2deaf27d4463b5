"""Image files: read whole with one clear error each, written whole or not at all."""

from .counting import count_pictures, may_have_several
from .fitness import check_holds, describe_dropped
from .formats import (
    FORMATS,
    INPUT_SUFFIXES,
    OUTPUT_SUFFIXES,
    check_size,
    find_format,
    format_of,
)
from .kinds import START, find_kind
from .left_out import describe_left_out, explain_suffix
from .limits import Accept, Header
from .reading import Decoded, begins_as_image, decode
from .saving import check_writable, save
from .suffixes import IMAGE_SUFFIXES, image_suffix, with_format, with_mark
from .writing import encode_into

__all__ = [
    "FORMATS",
    "IMAGE_SUFFIXES",
    "INPUT_SUFFIXES",
    "OUTPUT_SUFFIXES",
    "START",
    "Accept",
    "Decoded",
    "Header",
    "begins_as_image",
    "check_holds",
    "check_size",
    "check_writable",
    "count_pictures",
    "decode",
    "describe_dropped",
    "describe_left_out",
    "encode_into",
    "explain_suffix",
    "find_format",
    "find_kind",
    "format_of",
    "image_suffix",
    "may_have_several",
    "save",
    "with_format",
    "with_mark",
]
