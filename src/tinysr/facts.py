"""Facts of how a graph was built, by its format: what a runtime must know to open and feed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from tinysr.records import StrictRecord

__all__ = [
    "AnyFacts",
    "CoreAIFacts",
    "CoreMLFacts",
    "FormatFacts",
    "OpenVinoFacts",
    "SizeSpan",
    "TensorRTFacts",
    "read_facts",
]

_LAYERS = "layers_in_"
"""Beginning of the keys that earlier manifests counted layers under."""

_HARDWARE = ("ampere+", "same-compute-capability")
"""Ends that earlier manifests gave the name of a GPU."""


def _split(value: object) -> object:
    """Return the list that earlier manifests wrote as words of a string."""
    return value.split() if isinstance(value, str) else value


Sides = Annotated[tuple[int, ...], BeforeValidator(_split)]


class FormatFacts(StrictRecord):
    """Facts that graphs of any format may state."""

    clamped: bool = False
    """Whether the graph clamps its image to [0, 1], which others leave to their caller."""
    tiles: Sides = ()
    """Sides of the tiles that it takes where there are several, in low-resolution pixels."""
    windows: Sides = ()
    """Sides of the windows that it takes, in low-resolution pixels; empty when it takes any."""

    @model_serializer(mode="wrap")
    def _write_stated(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is as always: a manifest states what is special."""
        usual = {name: field.default for name, field in type(self).model_fields.items()}
        return {
            name: value for name, value in write(self).items() if getattr(self, name) != usual[name]
        }


class OpenVinoFacts(FormatFacts):
    """Facts of an OpenVINO graph."""

    inference_precision: str
    """Type in which the CPU has to compute it: f32 or bf16."""
    kept_f32: str = ""
    """Stages that compute in f32 whatever the precision, with spaces between."""


class CoreMLFacts(FormatFacts):
    """Facts of a function of a Core ML package."""

    function: str = "main"
    layout: str = ""
    """Layout of the transformer: standard, or ane as the Neural Engine likes it."""
    minimum_deployment_target: str = "iOS17"
    """Oldest system that runs it."""
    bundle_sha256: str = ""
    """Hash of all that decides what is in the package, which its metadata repeat."""


class CoreAIFacts(FormatFacts):
    """Facts of a function of a Core AI asset."""

    function: str = "main"
    bundle_sha256: str = ""
    """Hash of all that decides what is in the asset."""


class SizeSpan(StrictRecord):
    """Sizes of one dimension that an engine takes; all three are equal where it takes one."""

    least: int = Field(ge=1)
    best: int = Field(ge=1)
    """Size that it is tuned for."""
    most: int = Field(ge=1)

    @model_validator(mode="before")
    @classmethod
    def _read_word(cls, data: Any) -> Any:
        """Read ``3`` and ``16:32:64``, as earlier manifests have them."""
        if not isinstance(data, str):
            return data
        sizes = data.split(":")
        if len(sizes) not in (1, 3):
            raise ValueError(f"expected a size or least:best:most, found '{data}'")
        return {"least": sizes[0], "best": sizes[len(sizes) // 2], "most": sizes[-1]}

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if not self.least <= self.best <= self.most:
            raise ValueError(f"expected rising sizes, found {self.least}:{self.best}:{self.most}")
        return self

    def __str__(self) -> str:
        if self.least == self.most:
            return str(self.best)
        return f"{self.least}:{self.best}:{self.most}"


class TensorRTFacts(FormatFacts):
    """Facts of an engine of TensorRT or TensorRT-RTX."""

    flavor: str
    """The library that built it: tensorrt or rtx."""
    version: str
    """The library's."""
    gpu: str = ""
    """GPU it was built on, or the compute capabilities it was built for."""
    hardware: str = "none"
    """GPUs it runs on beside that one: none, ampere+ or same-compute-capability."""
    shapes: Annotated[tuple[SizeSpan, ...], BeforeValidator(_split)] = ()
    """Sizes of its input, per dimension."""
    largest_batch: int | None = Field(default=None, ge=1)
    longest_side: int | None = Field(default=None, ge=1)
    """Largest height or width of its input."""
    weight_bytes: int = Field(default=0, ge=0)
    """Bytes of the weights in the graph that it was built from."""
    layers: dict[str, int] = Field(default={})
    """Layers of the network that it was built from, by the type they compute in."""
    strip: bool = False
    """Whether the weights are left out, and put in when it is opened."""
    refit: bool = False
    """Whether its weights can be replaced."""
    weight_streaming: bool = False
    """Whether its weights may stay in host memory."""
    version_compatible: bool = False
    """Whether later versions of the library run it."""

    @model_validator(mode="before")
    @classmethod
    def _read_earlier(cls, data: Any) -> Any:
        """Read what earlier manifests kept in names and in the ends of strings."""
        if not isinstance(data, Mapping):
            return data
        counts = {name: data[name] for name in data if name.startswith(_LAYERS)}
        found = {name: value for name, value in data.items() if name not in counts}
        if counts:
            found["layers"] = {name.removeprefix(_LAYERS): n for name, n in counts.items()}
        for hardware in _HARDWARE:
            gpu = str(found.get("gpu", ""))
            if gpu.endswith(f", {hardware}"):
                found |= {"gpu": gpu.removesuffix(f", {hardware}"), "hardware": hardware}
        return found

    @property
    def shapes_text(self) -> str:
        """The sizes of its input, as ``1 3 16:32:64 16:32:64``."""
        return " ".join(map(str, self.shapes))


_KINDS: dict[str, type[FormatFacts]] = {
    "openvino": OpenVinoFacts,
    "coreml": CoreMLFacts,
    "coreai": CoreAIFacts,
    "tensorrt": TensorRTFacts,
}


AnyFacts = OpenVinoFacts | CoreMLFacts | CoreAIFacts | TensorRTFacts | FormatFacts
"""Facts of one of the formats, as a manifest has them."""


def read_facts(target: object, data: object) -> FormatFacts:
    """Return the facts that a manifest states of a format's graph.

    Raises:
        pydantic.ValidationError: they are not that format's.
    """
    kind = _KINDS.get(target, FormatFacts) if isinstance(target, str) else FormatFacts
    return data if isinstance(data, kind) else kind.model_validate(data)
