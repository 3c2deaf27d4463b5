"""Configuration of a network that somebody brings: a small TOML file beside it.

    name = "my-upscaler"
    licence = "BSD-3-Clause"
    file = "my-upscaler.onnx"
    scale = 4

Whatever else there is to say has a default: see :class:`CustomConfig`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from tinysr import paths
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.records import StrictRecord

__all__ = ["CustomConfig", "Levels", "read_config"]

_MOST_BYTES = 2**16

_Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
_Three = tuple[_Number, _Number, _Number]
_Pixels = Annotated[int, Field(ge=1, le=2**14)]


class Levels(StrictRecord):
    """Values that stand for colours: an image in [0, 1] goes to a range, minus a mean, divided."""

    range: tuple[_Number, _Number] = (0.0, 1.0)
    """Values of black and white."""
    mean: _Number | _Three = 0.0
    """Mean that is subtracted, in that range: one, or one each for red, green and blue."""
    std: _Number | _Three = 1.0
    """Deviation that the difference is divided by."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        stds = self.std if isinstance(self.std, tuple) else (self.std,)
        if self.range[0] >= self.range[1] or min(stds) <= 0:
            raise ValueError("expected a range from low to high, and positive deviations")
        return self

    def affine(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return gains and shifts from [0, 1] to these levels, for red, green and blue."""
        low, high = self.range
        means = self.mean if isinstance(self.mean, tuple) else (self.mean,) * 3
        stds = self.std if isinstance(self.std, tuple) else (self.std,) * 3
        gains = tuple((high - low) / std for std in stds)
        return gains, tuple((low - m) / s for m, s in zip(means, stds, strict=True))


class CustomConfig(StrictRecord):
    """A one-step network from an image to a larger one, and how it is used."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Name of the model, which bundles bear."""
    licence: str = Field(min_length=1, max_length=200)
    """Licence of its weights, as its authors state it: what is made of them keeps it."""
    scale: Literal[1, 2, 3, 4, 8]
    """Sides of the result over those of the image."""
    file: str | None = Field(default=None, min_length=1, max_length=1000)
    """An .onnx file, or a .pt2 file of `torch.export.save`; relative to the TOML."""
    callable: str | None = Field(
        default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$"
    )
    """A function that returns the network as a module, `package.module:function`; it is called
    only if the user allows it, for it may do anything."""
    resize: Literal["none", "bicubic"] = "none"
    """Enlargement of the image before the network: PyTorch's bicubic, or none."""
    multiple_of: _Pixels = 1
    """Pixels that the sides of an image must divide by."""
    division: Literal["windows", "tiles"] | None = None
    """Division of large images: windows, which is exact, or tiles that are blended; windows if left
    out, where their surroundings are not too wide."""
    halo: int | None = Field(default=None, ge=0, le=2**12)
    """Pixels of the image around a window; computed if left out."""
    side: _Pixels | None = None
    """Pixels of the image along a tile's side."""
    overlap: int | None = Field(default=None, ge=0, le=2**14)
    """Pixels of the image that neighbouring tiles share."""
    colour: Literal["none", "adain", "wavelet"] = "none"
    """Correction of the result's colours by those of the image."""
    input: Levels = Levels()
    """Values that the network takes."""
    output: Levels | None = None
    """Values that the network gives; as it takes them if left out."""
    constants: dict[str, _Number | tuple[_Number, ...]] = Field(default={}, max_length=64)
    """Values of inputs other than the image, such as a noise level."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.file is None) == (self.callable is None):
            raise ValueError("expected either file or callable")
        if self.halo is not None and self.division != "windows":
            raise ValueError('halo needs division = "windows"')
        if (self.side or self.overlap is not None) and self.division != "tiles":
            raise ValueError('side and overlap need division = "tiles"')
        if self.side is not None and (self.overlap or 0) >= self.side:
            raise ValueError(f"expected an overlap below {self.side}, found {self.overlap}")
        return self

    @property
    def levels(self) -> tuple[Levels, Levels]:
        """Levels that go in and that come out."""
        return self.input, self.output or self.input


def read_config(path: Path) -> CustomConfig:
    """Read a network's TOML file.

    Raises:
        CheckpointError: it can't be read, or is no TOML.
        UnsupportedError: a key or a value is not one that is known.
    """
    data = paths.read_limited(path, _MOST_BYTES, CheckpointError)
    if data is None:
        raise CheckpointError(f"{path}: expected a TOML file that describes a network")
    try:
        found = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path}: expected TOML: {error}") from error
    _check_keys(found, CustomConfig.model_fields, "", path)
    for table in ("input", "output"):
        if isinstance(found.get(table), dict):
            _check_keys(found[table], Levels.model_fields, f"{table}.", path)
    try:
        return CustomConfig.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole file"
        value = f", found {first['input']!r:.60}" if first["type"] != "missing" else ""
        words = first["msg"].removeprefix("Value error, ")
        value = "" if place == "the whole file" else value
        raise UnsupportedError(f"{path}: at {place}: {words}{value}") from error


def _check_keys(found: Mapping[str, Any], known: Collection[str], prefix: str, path: Path) -> None:
    for key in found:
        if key not in known:
            close = get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise UnsupportedError(
                f"{path}: unknown key '{prefix}{key:.60}': did you mean '{prefix}{close}'?"
            )
