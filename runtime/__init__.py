"""Bundles to images: no PyTorch, no network, nothing that was not asked for."""

from .bundle import Bundle
from .color import COLORS
from .network import MEMORY_MB
from .registry import AUTO, BACKENDS, Choice, choose, create
from .session import Availability, Backend, RunOptions, Session
from .upscaler import MAX_MEGAPIXELS, SCALES, Upscaler

__all__ = [
    "AUTO",
    "BACKENDS",
    "COLORS",
    "MAX_MEGAPIXELS",
    "MEMORY_MB",
    "SCALES",
    "Availability",
    "Backend",
    "Bundle",
    "Choice",
    "RunOptions",
    "Session",
    "Upscaler",
    "choose",
    "create",
]
