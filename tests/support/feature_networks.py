"""Feature networks of few channels, with random weights."""

from __future__ import annotations

from torch import Tensor

from tests.support.tiny_models import noise


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return random convolutions by name; a shape is that of the weight."""
    tensors = {}
    for seed, (name, shape) in enumerate(shapes.items()):
        scale = (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
        tensors[f"{name}.weight"] = (noise(*shape, seed=seed) - 0.5) * 3.4 * scale
        tensors[f"{name}.bias"] = noise(shape[0], seed=seed + 99) * 0.1
    return tensors


VGG_WIDTHS = {0: 4, 2: 4, 5: 6, 7: 6, 10: 8, 12: 8, 14: 8, 17: 8, 19: 8, 21: 8, 24: 8, 26: 8, 28: 8}


def vgg() -> dict[str, Tensor]:
    """Return a VGG16 of few channels."""
    inputs = 3
    shapes: dict[str, tuple[int, ...]] = {}
    for index, width in VGG_WIDTHS.items():
        shapes[f"features.{index}"] = (width, inputs, 3, 3)
        inputs = width
    return weights(shapes)


def alexnet() -> dict[str, Tensor]:
    sizes = {0: (4, 3, 11), 3: (6, 4, 5), 6: (8, 6, 3), 8: (8, 8, 3), 10: (8, 8, 3)}
    return weights({f"features.{i}": (o, n, k, k) for i, (o, n, k) in sizes.items()})
