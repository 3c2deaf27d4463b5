"""One stage of a baked model → an ML program."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tinysr.errors import BundleError
from tinysr.export.model.baked import Baked
from tinysr.export.onnx.graph import example_input
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.export.plans.quantization import Format
from tinysr.stages import WHOLE

from ..ports import FunctionPorts
from .compress import compress
from .narrow import IMAGE, narrow_selector
from .norms import carry_norms
from .sizes import allow_any_size
from .tools import coremltools, silence_coremltools
from .unsupported import explain_failure

__all__ = ["WHITE", "Recipe", "convert_stage"]

_WRITER = "FileWriter"
"""Words in errors of what writes weights."""

WHITE = 255.0
"""An image's largest value, as apps see it; the model's is 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Settings by which all functions of a package are converted."""

    tile: int
    """Side of a tile in low-resolution pixels."""
    system: str
    """The deployment target, as coremltools names it."""
    plan: PrecisionPlan | None = None
    """Plan of what stays out of fp16; without one all is fp32."""
    formats: Mapping[str, Format] = field(default_factory=dict)
    """Formats of layers whose weights are compressed: w8, w6 or w4, by the layer's path."""
    tiles: tuple[int, ...] = ()
    """Sides that ``upscale`` takes beside the tile, in low-resolution pixels."""
    windows: tuple[int, ...] = ()
    """Sides that stages of windows take beside the tile, in low-resolution pixels."""

    def list_further_sides(self, ports: FunctionPorts) -> tuple[int, ...]:
        """Return the sides that a function takes beside the tile, in low-resolution pixels."""
        if ports.free:
            return self.windows
        return self.tiles if ports.stage == WHOLE else ()


class _Image(nn.Module):
    """Map from about [0, 1] to [0, 255], the 8 bits of an app's image."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` to the same shape."""
        return torch.clamp(x * WHITE, 0, WHITE)


class _Function(nn.Module):
    """A stage as a function of the package. Modules keep their paths, by which plans know them."""

    def __init__(self, model: Baked, ports: FunctionPorts) -> None:
        super().__init__()
        self.ports = ports
        names = model.chain.names
        self.stages = names if ports.stage not in names else (ports.stage,)
        for name in self.stages:
            self.add_module(name, model.get_submodule(name))
        self.add_module(IMAGE, _Image() if ports.gives_image else nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        """Map the function's input to its output."""
        if self.ports.takes_image:
            x = x * (1 / WHITE)  # here, and not by the image's own scale, which stays fp32
        for name in self.stages:
            x = self.get_submodule(name)(x)
        image: Tensor = self.get_submodule(IMAGE)(x)
        return image


def convert_stage(model: Baked, ports: FunctionPorts, recipe: Recipe) -> Any:
    """Convert a stage.

    Args:
        model: baked, in fp32.
        ports: the function to make of it.
        recipe: precisions and sizes.

    Returns:
        A ``coremltools.models.MLModel``; its weights lie in a temporary folder until it is saved.

    Raises:
        BundleError: the disk is full.
        UnsupportedError: the model has an operation that Core ML lacks.
        CalibrationError: the plan is not this model's.
    """
    ct = coremltools()
    if ports.stage == WHOLE and recipe.tiles:
        model = allow_any_size(model)
    function = _Function(model, ports).eval()
    example = example_input(model.chain, ports.stage, recipe.tile, 1)
    with torch.no_grad(), silence_coremltools():
        traced = torch.jit.trace(function, example, check_trace=False)
    precision = ct.precision.FLOAT32
    if recipe.plan is not None:
        selector = narrow_selector(function, model, recipe.plan)
        precision = ct.transform.FP16ComputePrecision(op_selector=selector)
    with silence_coremltools(), carry_norms():
        try:
            result = ct.convert(
                traced,
                inputs=[_input(ct, ports, tuple(example.shape), recipe)],
                outputs=[_output(ct, ports)],
                convert_to="mlprogram",
                minimum_deployment_target=getattr(ct.target, recipe.system),
                compute_precision=precision,
                skip_model_load=True,
            )
        except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            _refuse_full_disk(ports.name, error)
            raise explain_failure(traced, ports.name, error) from error
    try:
        return compress(result, function, recipe.formats, ports.name)
    except (RuntimeError, OSError) as error:
        _refuse_full_disk(ports.name, error)
        raise


def _refuse_full_disk(function: str, error: Exception) -> None:
    """Tell weights that can't be written, on the way, from what can't be converted."""
    if _WRITER in str(error) or isinstance(error, OSError):
        words = " ".join(str(error).split())
        raise BundleError(
            f"coreml/{function}: its weights can't be written: {words[:200]}; is the disk full? "
            f"They lie in {tempfile.gettempdir()} at first"
        ) from error


def _input(ct: Any, ports: FunctionPorts, shape: tuple[int, ...], recipe: Recipe) -> Any:
    further = recipe.list_further_sides(ports)
    if further:
        sides = (shape[2] * window // recipe.tile for window in (recipe.tile, *further))
        shape = ct.EnumeratedShapes(
            shapes=[(*shape[:2], side, side) for side in sides], default=shape
        )
    if not ports.takes_image:
        return ct.TensorType(name=ports.input, shape=shape, dtype=np.float32)
    rgb = ct.colorlayout.RGB
    return ct.ImageType(name=ports.input, shape=shape, color_layout=rgb)


def _output(ct: Any, ports: FunctionPorts) -> Any:
    if not ports.gives_image:
        return ct.TensorType(name=ports.output, dtype=np.float32)
    return ct.ImageType(name=ports.output, color_layout=ct.colorlayout.RGB)
