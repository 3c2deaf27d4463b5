"""Convolutions: PyTorch's own modules, and the padding that they can't express."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .base import Call, Move, Node, Operator, to_tensor

__all__ = ["OPERATORS", "ConvTranspose", "FixedPad", "read_pads"]


class FixedPad(Move):
    """A constant value around an image, as much as it says."""

    def __init__(self, pads: tuple[int, int, int, int], value: float = 0.0) -> None:
        super().__init__()
        self.pads, self.value = pads, value

    def forward(self, x: Tensor) -> Tensor:
        """Add cells on the left, on the right, above and below."""
        return F.pad(x, self.pads, value=self.value)


class ConvTranspose(Node, nn.ConvTranspose2d):
    """A transposed convolution that casts what it reads."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, H', W']``."""
        return nn.ConvTranspose2d.forward(self, self.cast_input(input), output_size)


def read_pads(call: Call, kernel: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the cells that are added on the left, on the right, above and below.

    Raises:
        UnsupportedError: they depend on the size of the image, or are negative.
    """
    auto = call.attributes.get("auto_pad", "NOTSET")
    strides = tuple(call.attributes.get("strides", (1, 1)))
    dilations = call.attributes.get("dilations", (1, 1))
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        if strides != (1, 1):
            raise call.refuse(f"auto_pad {auto} with strides {strides}: export with explicit pads")
        both = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
        less = [side // 2 for side in both]
        more = [side - side // 2 for side in both]
        first, last = (less, more) if auto == "SAME_UPPER" else (more, less)
        return first[1], last[1], first[0], last[0]
    if auto not in ("NOTSET", "VALID"):
        raise call.refuse(f"auto_pad is {auto!r:.40}, expected NOTSET, VALID or SAME")
    pads = (0, 0, 0, 0) if auto == "VALID" else tuple(call.attributes.get("pads", (0, 0, 0, 0)))
    if len(pads) != 4 or not all(0 <= pad < 2**12 for pad in pads):
        raise call.refuse(f"pads are {pads!r:.60}, expected four of at most {2**12}")
    return pads[1], pads[3], pads[0], pads[2]


def _read_weight(call: Call) -> tuple[Tensor, Tensor | None]:
    weight = to_tensor(call.require(1))
    if weight.ndim != 4:
        raise call.refuse(f"expected a kernel of two sides, found a weight {list(weight.shape)}")
    call.expect(kernel_shape=list(weight.shape[2:]))
    for name in ("strides", "dilations"):
        sides = call.attributes.get(name, [1, 1])
        if len(sides) != 2 or not all(1 <= side <= 2**10 for side in sides):
            raise call.refuse(f"{name} are {sides!r:.60}, expected two positive sides")
    bias = call.constant(2)
    return weight, None if bias is None else to_tensor(bias).reshape(-1)


def _read_options(call: Call) -> dict[str, Any]:
    return {
        "stride": tuple(call.attributes.get("strides", (1, 1))),
        "dilation": tuple(call.attributes.get("dilations", (1, 1))),
        "device": "meta",
    }


def _check_groups(call: Call, divided: int) -> int:
    groups: int = call.attributes.get("group", 1)
    if not 1 <= groups <= divided or divided % groups:
        raise call.refuse(f"group is {groups}, expected a divisor of {divided} channels")
    return groups


def _give_weights(layer: nn.Module, weight: Tensor, bias: Tensor | None, call: Call) -> None:
    expected = [layer.get_parameter("weight").shape, *([] if bias is None else [layer.bias.shape])]
    found = [weight.shape, *([] if bias is None else [bias.shape])]
    if found != expected:
        raise call.refuse(f"its weights {found} contradict its groups")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias, requires_grad=False)


def _make_conv(call: Call) -> nn.Module:
    weight, bias = _read_weight(call)
    outputs, inner, height, width = weight.shape
    groups = _check_groups(call, outputs)
    left, right, above, below = read_pads(call, (height, width))
    even = left == right and above == below
    conv = nn.Conv2d(
        inner * groups,
        outputs,
        (height, width),
        padding=(above, left) if even else 0,
        groups=groups,
        bias=bias is not None,
        **_read_options(call),
    )
    _give_weights(conv, weight, bias, call)
    if even:
        return conv
    pad = FixedPad((left, right, above, below))
    return nn.Sequential(pad, conv)


def _make_transpose(call: Call) -> nn.Module:
    weight, bias = _read_weight(call)
    call.expect(output_shape=[])
    inputs, inner, height, width = weight.shape
    groups = _check_groups(call, inputs)
    left, right, above, below = read_pads(call, (height, width))
    if (left, above) != (right, below):
        raise call.refuse("its pads differ from side to side: export with equal ones")
    if call.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise call.refuse("auto_pad is SAME: export with explicit pads")
    layer = ConvTranspose(
        inputs,
        inner * groups,
        (height, width),
        padding=(above, left),
        output_padding=tuple(call.attributes.get("output_padding", (0, 0))),
        groups=groups,
        bias=bias is not None,
        **_read_options(call),
    )
    _give_weights(layer, weight, bias, call)
    return layer


_ATTRIBUTES = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")

OPERATORS: Mapping[str, Operator] = {
    "Conv": Operator(make=_make_conv, attributes=_ATTRIBUTES),
    "ConvTranspose": Operator(
        make=_make_transpose, attributes=(*_ATTRIBUTES, "output_padding", "output_shape")
    ),
}
"""Operators by their names in ONNX."""
