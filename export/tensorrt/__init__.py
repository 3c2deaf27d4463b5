"""ONNX graphs → TensorRT engines, with TensorRT or with TensorRT-RTX."""

from .flavor import FLAVORS, Flavor, find_flavor
from .options import AUTO, CURRENT, PORTABLE, SizeRange, TensorRTOptions
from .target import TENSORRT

__all__ = [
    "AUTO",
    "CURRENT",
    "FLAVORS",
    "PORTABLE",
    "TENSORRT",
    "Flavor",
    "SizeRange",
    "TensorRTOptions",
    "find_flavor",
]
