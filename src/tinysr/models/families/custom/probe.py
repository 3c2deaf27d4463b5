"""A network's shapes and memory at a size, from a run that allocates nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.func import functional_call

from .network import Network, Step
from .nodes import Value

__all__ = ["Probe", "probe"]

_BYTES = 4
"""Bytes of a value in fp32."""

_MOST_VALUES = 2**50
"""Largest value on the way: more is a hostile file, and can't be counted."""

_MOST_AXES = 16
"""Axes of a value: runtimes take fewer."""

Shape = tuple[int, ...]


@dataclass(kw_only=True, slots=True)
class Probe:
    """Shapes of all values, and the most that is held at once."""

    shapes: dict[str, Shape] = field(default_factory=dict)
    """Shapes of the tensors, by the names of the values."""
    sizes: dict[str, tuple[object, ...]] = field(default_factory=dict)
    """Sizes that are computed from the image's, by the names of the values."""
    most_bytes: int = 0
    """Bytes of feature maps that a run holds at most: what is still to be read, what a node reads
    and writes, and a copy of the larger of both in its kernel's own layout."""


def probe(network: Network, height: int, width: int, *, images: int = 1) -> Probe:
    """Run a network on the shape of an image.

    Args:
        network: the network.
        height: pixels that come in.
        width: pixels that come in.
        images: how many come in at once.

    Raises:
        UnsupportedError: it does not take this size, or a value would be impossibly large.
    """
    found = Probe(shapes={network.ends[0]: (images, 3, height, width)})
    held = {network.ends[0]: images * 3 * height * width * _BYTES}

    def watch(step: Step, inputs: Sequence[Value], outputs: Sequence[Value]) -> None:
        sizes = [math.prod(one.shape) for one in outputs if isinstance(one, Tensor)]
        if any(size > _MOST_VALUES for size in sizes):
            raise step.call.refuse(f"gives {max(sizes):,} values for an image {height} × {width}")
        if any(one.ndim > _MOST_AXES for one in outputs):
            raise step.call.refuse(f"gives a value of more than {_MOST_AXES} axes")
        for name, one in zip(step.gives, outputs, strict=False):
            if isinstance(one, Tensor):
                found.shapes[name] = tuple(one.shape)
                held[name] = math.prod(one.shape) * _BYTES
            else:
                found.sizes[name] = tuple(one.reshape(-1))
        read = sum(math.prod(one.shape) * _BYTES for one in inputs if isinstance(one, Tensor))
        written = sum(sizes) * _BYTES
        found.most_bytes = max(found.most_bytes, sum(held.values()) + max(read, written))
        for name in step.drops:
            held.pop(name, None)

    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    shapes = {name: tensor.to("meta") for name, tensor in tensors.items()}
    image = torch.empty(images, 3, height, width, device="meta")
    with torch.no_grad():
        result = functional_call(network, shapes, (image,), {"watch": watch})
    found.shapes[network.ends[1]] = tuple(result.shape)
    return found
