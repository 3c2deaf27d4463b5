"""Changes of an image's size: resampling, and pixels to channels and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Call, Move, Node, Operator, Sizes, list_sizes, read_integers

__all__ = ["OPERATORS", "DepthToSpace", "Nearest", "Resample", "SpaceToDepth"]

_SAMPLES = 48
"""Places whose sources are compared: enough for all phases of a scale up to 16."""


_ROUNDS: Mapping[str, Callable[[float], int]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "round_prefer_floor": lambda x: math.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: math.floor(x + 0.5),
}


class _Resized(nn.Module):
    """A resize whose scale is known, or whose size is computed from the image's."""

    scales: tuple[float, float] | None = None
    sizes: tuple[int, int] | None = None

    def _target(self, rest: tuple[Sizes, ...]) -> dict[str, tuple[int, ...] | tuple[float, ...]]:
        if rest:
            return {"size": list_sizes(rest[0])[-2:]}
        if self.sizes is not None:
            return {"size": self.sizes}
        return {"scale_factor": self.scales or (1.0, 1.0)}


class Nearest(_Resized, Move):
    """Repeated pixels: place i of the result is place ⌊i / scale⌋."""

    def forward(self, x: Tensor, *rest: Sizes) -> Tensor:
        """Map ``[N, C, H, W]`` to ``[N, C, sH, sW]``."""
        return F.interpolate(x, mode="nearest", **self._target(rest))  # type: ignore[arg-type]


class Resample(_Resized, Node):
    """Interpolation between pixels."""

    def __init__(self, mode: str, *, corners: bool) -> None:
        super().__init__()
        self.mode, self.corners = mode, corners

    def forward(self, x: Tensor, *rest: Sizes) -> Tensor:
        """Map ``[N, C, H, W]`` to ``[N, C, sH, sW]``."""
        y: Tensor = F.interpolate(
            self.cast_input(x),
            mode=self.mode,
            align_corners=self.corners,
            **self._target(rest),  # type: ignore[arg-type]
        )
        return y


class DepthToSpace(Move):
    """Channels to pixels: blocks of b × b."""

    def __init__(self, block: int, *, rows_first: bool) -> None:
        super().__init__()
        self.block, self.rows_first = block, rows_first

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, b²C, H, W]`` to ``[N, C, bH, bW]``."""
        if not self.rows_first:  # the channel comes first, as in PyTorch
            return F.pixel_shuffle(x, self.block)
        n, c, h, w = x.shape
        b = self.block
        y = x.reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2)
        return y.reshape(n, c // b**2, h * b, w * b)


class SpaceToDepth(Move):
    """Pixels to channels: blocks of b × b, whose place in the block comes before the channel."""

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, bH, bW]`` to ``[N, b²C, H, W]``."""
        n, c, h, w = x.shape
        b = self.block
        y = x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4)
        return y.reshape(n, c * b**2, h // b, w // b)


def _make_resize(call: Call) -> nn.Module:
    call.expect(antialias=0, exclude_outside=0, keep_aspect_ratio_policy="stretch")
    axes = call.attributes.get("axes")
    if axes is not None and list(axes) not in ([2, 3], [-2, -1]):
        raise call.refuse(f"axes are {axes!r:.60}, expected height and width")
    mode = call.attributes.get("mode", "nearest")
    layer = _choose(call, mode)
    for place in (2, 3):
        if place >= len(call.inputs) or not call.inputs[place]:
            continue
        if place == 3 and place not in call.constants:
            layer.scales = None
            _check_nearest(call, layer)
            return layer
        found = call.require(place)
        if found.size == 0:
            continue
        _set_target(call, layer, found, is_scale=place != 3)
    if layer.scales is None and layer.sizes is None:
        raise call.refuse("expected scales or sizes")
    _check_nearest(call, layer)
    return layer


def _set_target(call: Call, layer: _Resized, found: Sizes, *, is_scale: bool) -> None:
    values = [float(value) for value in found.reshape(-1)]
    if len(values) not in (2, 4) or not all(0 < v < 2**16 for v in values):
        raise call.refuse(f"expected a scale or size for each axis, found {values!r:.80}")
    if is_scale:
        if len(values) == 4 and values[:2] != [1.0, 1.0]:
            raise call.refuse(f"scales are {values}, expected 1 for images and channels")
        layer.scales = (values[-2], values[-1])
    else:
        sizes = read_integers(found)
        layer.sizes = (sizes[-2], sizes[-1])


def _choose(call: Call, mode: str) -> Nearest | Resample:
    place = call.attributes.get("coordinate_transformation_mode", "half_pixel")
    if mode == "nearest":
        return Nearest()
    if mode not in ("linear", "cubic"):
        raise call.refuse(f"mode is {mode!r:.40}, expected nearest, linear or cubic")
    if place not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        raise call.refuse(f"coordinate_transformation_mode is {place!r:.40}, expected half_pixel")
    if mode == "cubic" and abs(call.attributes.get("cubic_coeff_a", -0.75) + 0.75) > 1e-6:
        raise call.refuse("cubic_coeff_a is not PyTorch's -0.75")
    kind = "bilinear" if mode == "linear" else "bicubic"
    return Resample(kind, corners=place == "align_corners")


def _check_nearest(call: Call, layer: _Resized) -> None:
    """Refuse a rounding of places that is not ⌊i / scale⌋."""
    if not isinstance(layer, Nearest):
        return
    place = call.attributes.get("coordinate_transformation_mode", "half_pixel")
    rounding = call.attributes.get("nearest_mode", "round_prefer_floor")
    if (place, rounding) == ("asymmetric", "floor"):
        return
    if place not in ("asymmetric", "half_pixel", "pytorch_half_pixel") or rounding not in _ROUNDS:
        raise call.refuse(f"{place!r:.40} and {rounding!r:.40}, expected 'asymmetric' and 'floor'")
    shift = 0.0 if place == "asymmetric" else 0.5
    if layer.scales is None or not all(
        _reads_floor(_ROUNDS[rounding], scale, shift) for scale in layer.scales
    ):
        raise call.refuse(
            f"{place} and {rounding} may read other pixels than the floor of place / scale: "
            "export with asymmetric and floor"
        )


def _reads_floor(rounding: Callable[[float], int], scale: float, shift: float) -> bool:
    """Tell whether each place of a result has the source that PyTorch takes."""
    count = max(1, int(_SAMPLES / scale))
    places = np.arange(int(count * scale))
    found = [min(max(rounding((i + shift) / scale - shift), 0), count - 1) for i in places]
    return np.array_equal(found, np.minimum(np.floor(places / scale), count - 1))


def _read_block(call: Call) -> int:
    block = call.attributes.get("blocksize", 0)
    if not isinstance(block, int) or not 1 <= block <= 64:
        raise call.refuse(f"blocksize is {block!r:.40}, expected 1 to 64")
    return block


def _make_depth_to_space(call: Call) -> nn.Module:
    mode = call.attributes.get("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise call.refuse(f"mode is {mode!r:.40}, expected DCR or CRD")
    return DepthToSpace(_read_block(call), rows_first=mode == "DCR")


_RESIZE = (
    *("antialias", "axes", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside"),
    *("extrapolation_value", "keep_aspect_ratio_policy", "mode", "nearest_mode"),
)

OPERATORS: Mapping[str, Operator] = {
    "DepthToSpace": Operator(make=_make_depth_to_space, attributes=("blocksize", "mode")),
    "Resize": Operator(make=_make_resize, attributes=_RESIZE),
    "SpaceToDepth": Operator(
        make=lambda call: SpaceToDepth(_read_block(call)), attributes=("blocksize",)
    ),
}
"""Operators by their names in ONNX."""
