"""One stage of a baked model → an ML program."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..baked import BakedTinySR
from ..graph import example_input
from ..precision import PrecisionPlan
from .narrow import narrow_selector
from .ports import FunctionPorts, Kind
from .tools import coremltools, quiet
from .unsupported import unsupported

__all__ = ["converted"]

WHITE = 255.0
"""An image's largest value, as apps see it; the model's is 1."""


class _Image(nn.Module):
    """About [0, 1] → [0, 255]: an app's image has 8 bits, and what is outside has no meaning."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` to the same shape."""
        return torch.clamp(x * WHITE, 0, WHITE)


class _Function(nn.Module):
    """A stage as a function of the package. Modules keep their paths, by which plans know them."""

    def __init__(self, model: BakedTinySR, ports: FunctionPorts) -> None:
        super().__init__()
        self.ports = ports
        for name in ("encoder", "transformer", "decoder"):
            if ports.stage in (name, "upscale"):
                self.add_module(name, model.get_submodule(name))
        self.image = _Image()

    def forward(self, x: Tensor) -> Tensor:
        """Map the function's input to its output."""
        stage = self.ports.stage
        y: Tensor
        if stage == "upscale":
            z = self.get_submodule("encoder")(x)
            y = self.get_submodule("decoder")(z - self.get_submodule("transformer")(z))
        else:
            y = self.get_submodule(stage)(x)
        if self.ports.gives == "image":
            y = self.image(y)
        return y


def converted(
    model: BakedTinySR, ports: FunctionPorts, *, tile: int, plan: PrecisionPlan | None, system: str
) -> Any:
    """Convert a stage.

    Args:
        model: baked, in fp32.
        ports: the function to make of it.
        tile: side of a tile in low-resolution pixels.
        plan: what stays out of fp16; without one all is fp32.
        system: the deployment target, as coremltools names it.

    Returns:
        A ``coremltools.models.MLModel``; its weights lie in a temporary folder until it is saved.

    Raises:
        UnsupportedError: the model has an operation that Core ML lacks.
        CalibrationError: the plan is not this model's.
    """
    function = _Function(model, ports).eval()
    example = example_input(model, ports.stage, tile, 1)
    with torch.no_grad(), quiet():
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            function, example, check_trace=False
        )
    ct = coremltools()
    precision = ct.precision.FLOAT32
    if plan is not None:
        selector = narrow_selector(function, plan)
        precision = ct.transform.FP16ComputePrecision(op_selector=selector)
    shape = tuple(example.shape)
    with quiet():
        try:
            return ct.convert(
                traced,
                inputs=[_input(ct, ports.takes, ports.input, shape)],
                outputs=[_output(ct, ports.gives, ports.output)],
                convert_to="mlprogram",
                minimum_deployment_target=getattr(ct.target, system),
                compute_precision=precision,
                skip_model_load=True,
            )
        except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            raise unsupported(traced, ports.name, error) from error


def _input(ct: Any, kind: Kind, name: str, shape: tuple[int, ...]) -> Any:
    if kind == "latents":
        return ct.TensorType(name=name, shape=shape, dtype=np.float32)
    return ct.ImageType(name=name, shape=shape, scale=1 / WHITE, color_layout=ct.colorlayout.RGB)


def _output(ct: Any, kind: Kind, name: str) -> Any:
    if kind == "latents":
        return ct.TensorType(name=name, dtype=np.float32)
    return ct.ImageType(name=name, color_layout=ct.colorlayout.RGB)
