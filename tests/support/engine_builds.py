"""How engines are built in tests: by TensorRT-RTX, without its cache."""

from __future__ import annotations

from tinysr.export import Extension
from tinysr.export.tensorrt import FLAVORS, TensorRTOptions

RTX = FLAVORS["rtx"]

KEPT = ("transformer.transformer_blocks.1.attn", "decoder.layers.2")

QUIET = Extension(
    targets=("tensorrt",),
    precision="fp16",
    settings={"tensorrt": TensorRTOptions(flavor="rtx", cache=False)},
)
