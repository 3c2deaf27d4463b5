"""Golden vectors of TinySRKit: what the Python runtime computes, for Swift to compute again.

Run it after a change of the runtime's mathematics, and change the Swift along with it:

    .venv/bin/python -m tests.support.golden_swift
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysr.manifest import (
    Artifact,
    BakeProof,
    FileEntry,
    Halo,
    Host,
    Manifest,
    Port,
    Source,
    Stage,
)
from tinysr.runtime.color import Wavelet, adain, color_fix
from tinysr.runtime.geometry import SCALE, Planes, pad, plan, resize
from tinysr.runtime.network import Network
from tinysr.runtime.render import render
from tinysr.runtime.rows import Clamped
from tinysr.runtime.session import Array, Session
from tinysr.runtime.store import Store
from tinysr.runtime.tiling import blend, gaussian, grid, starts
from tinysr.runtime.windows import Span, lay_out_fixed

PATH = Path(__file__).parents[2] / "runtime/swift/Tests/TinySRKitTests/Resources/golden.json"

TILE, OVERLAP, HALO = 16, 2, Halo(encoder=2, decoder=1)
"""Of the toy network: 8 latents a side, and what its cross-shaped filter reads."""

STAGES: tuple[Stage, ...] = ("encoder", "transformer", "decoder")


def golden() -> str:
    """Return the file's text."""
    parts: dict[str, list[dict[str, Any]]] = {
        "starts": [_starts(*case) for case in ((64, 64, 8), (66, 64, 8), (178, 64, 8), (37, 9, 4))],
        "windows": [
            _windows(*case)
            for case in ((64, 64, 19), (66, 64, 19), (91, 64, 19), (200, 64, 19), (41, 8, 1))
        ],
        "plans": [
            _plan(*case)
            for case in ((128, 128), (200, 131), (90, 60), (1, 1), (2, 40), (127, 500), (1000, 30))
        ],
        "gaussians": [_gaussian(tile) for tile in (1, 4, 9)],
        "blends": [_blend(10, 17, 6, 2), _blend(6, 6, 6, 2), _blend(6, 9, 6, 0)],
        "resizes": [_resize(7, 5, (13, 11)), _resize(12, 9, (5, 4)), _resize(4, 6, (4, 9))],
        "adains": [_adain(3, 4, 0.3, 0.2), _adain(2, 2, 0.0, 0.5)],
        "wavelets": [_wavelet(3, 4), _wavelet(11, 9)],
        "opacities": [_opacity(4, 5)],
        "renders": [
            _render("a tile", 16, 16),
            _render("larger than a tile", 23, 41),
            _render("smaller than a tile", 9, 7),
            _render("a long strip", 2, 40),
            _render("varying opacity", 22, 18, alpha="varying"),
            _render("varying opacity, smaller than a tile", 11, 12, alpha="varying"),
            _render("constant opacity", 17, 16, alpha="half"),
            _render("nothing to see", 16, 18, alpha="none"),
            _render("no colour fix", 20, 24, color="none"),
            _render("the low band", 20, 24, color="wavelet"),
            _render("the low band, smaller than a tile", 12, 10, color="wavelet"),
            _render_pixels("tiles blended as pixels", 21, 30),
        ],
    }
    return "{\n" + ",\n".join(_section(*part) for part in parts.items()) + "\n}\n"


def _section(name: str, cases: list[dict[str, Any]]) -> str:
    """A case is a line: short enough for a diff, and no number has a line of its own."""
    return f'"{name}": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]"


class Toy(Session):
    """A stage of a network that can be written down in a few lines of any language.

    Every channel of the latents is one pixel of four. A cross-shaped filter with zero padding makes
    windows depend on their surroundings, a ramp makes tiles depend on their place.
    """

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        (array,) = feeds.values()
        stage = {"encoder": encode, "transformer": velocity, "decoder": decode}[self.artifact.stage]
        return {self.artifact.outputs[0].name: stage(array)}

    def _close(self) -> None:
        """Nothing is held."""


def encode(image: Array) -> Array:
    n, c, h, w = image.shape
    split = image.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4)
    return _cross(split.reshape(n, c * 4, h // 2, w // 2))


def velocity(latents: Array) -> Array:
    side = np.arange(latents.shape[-1], dtype=np.float32)
    ramp = (side[None, :] - side[:, None]) / np.float32(len(side))
    return np.float32(0.02) * latents + np.float32(0.01) * ramp


def decode(latents: Array) -> Array:
    n, c, h, w = latents.shape
    split = _cross(latents).reshape(n, c // 4, 2, 2, h, w).transpose(0, 1, 4, 2, 5, 3)
    pixels = split.reshape(n, c // 4, 2 * h, 2 * w).repeat(SCALE, axis=2).repeat(SCALE, axis=3)
    return _bytes(pixels).astype(np.float32) / np.float32(255)  # as Core ML gives them


def _cross(x: Array) -> Array:
    around = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    sides = (
        around[..., :-2, 1:-1]
        + around[..., 2:, 1:-1]
        + around[..., 1:-1, :-2]
        + around[..., 1:-1, 2:]
    )
    return np.float32(0.8) * x + np.float32(0.05) * sides


def toy_network() -> Network:
    file = FileEntry(path="toy", sha256="0" * 64, size=0)
    ports: dict[Stage, tuple[Port, Port]] = {
        "encoder": (_port("image", 3, "H"), _port("latents", 12, "h")),
        "transformer": (_port("latents", 12, "t"), _port("velocity", 12, "t")),
        "decoder": (_port("latents", 12, "h"), _port("upscaled", 3, "8h")),
    }
    artifacts = tuple(
        Artifact(
            target="toy",
            stage=stage,
            precision="fp32",
            file=file,
            inputs=ports[stage][:1],
            outputs=ports[stage][1:],
        )
        for stage in STAGES
    )
    manifest = Manifest(
        name="toy",
        family="toy",
        config={},
        tile=TILE,
        overlap=OVERLAP,
        halo=HALO,
        feature_bytes=1,
        latent_scale=1,
        source=Source(kind="toy", name="toy", sha256="0" * 64, trained=False),
        bake=BakeProof(difference=0, tolerance=0, passes=()),
        artifacts=artifacts,
        tools={},
        host=Host(system="", machine="", python=""),
    )
    return Network(manifest, {artifact.stage: Toy(artifact) for artifact in artifacts})


def _port(name: str, channels: int, side: str) -> Port:
    return Port(name=name, dtype="float32", shape=("N", channels, side, side.upper() + "w"))


def _starts(length: int, tile: int, overlap: int) -> dict[str, Any]:
    found = starts(length, tile, overlap)
    return {"length": length, "tile": tile, "overlap": overlap, "starts": list(found)}


def _windows(length: int, side: int, halo: int) -> dict[str, Any]:
    spans: tuple[Span, ...] = lay_out_fixed(length, side, halo=halo, sides=(side,)).rows
    numbers = [[span.start, span.stop, span.first, span.last] for span in spans]
    return {"length": length, "side": side, "halo": halo, "spans": numbers}


def _plan(width: int, height: int) -> dict[str, Any]:
    found = plan(width, height, 128)
    return {
        "tile": 128,
        "size": list(found.size),
        "scaled": list(found.scaled),
        "padded": list(found.padded),
        "output": list(found.output),
        "resampled": found.resampled,
        "megapixels": found.megapixels,
    }


def _gaussian(tile: int) -> dict[str, Any]:
    return {"tile": tile, "weights": _array(gaussian(tile))}


def _blend(height: int, width: int, tile: int, overlap: int) -> dict[str, Any]:
    rng = np.random.default_rng(height * width)
    latents = rng.standard_normal((1, 2, height, width), np.float32)
    ripple = rng.random((tile, tile), np.float32)
    found = blend(latents, grid(height, width, tile, overlap), lambda tiles: tiles * ripple)
    return {
        "tile": tile,
        "overlap": overlap,
        "latents": _array(latents[0]),
        "ripple": _array(ripple),
        "blended": _array(found[0]),
    }


def _resize(height: int, width: int, size: tuple[int, int]) -> dict[str, Any]:
    image = np.random.default_rng(height).random((2, height, width), np.float32)
    return {"image": _array(image), "size": list(size), "resized": _array(resize(image, size))}


def _adain(height: int, width: int, spread: float, middle: float) -> dict[str, Any]:
    rng = np.random.default_rng(height)
    source = (middle + spread * rng.random((3, height, width))).astype(np.float32)
    pixels = rng.integers(0, 256, (3, height * SCALE, width * SCALE)).astype(np.uint8)
    found = adain(pixels.astype(np.float32) / np.float32(255), source)
    return {"source": _array(source), "result": _rgba(pixels), "fixed": _array(found)}


def _wavelet(height: int, width: int) -> dict[str, Any]:
    rng = np.random.default_rng(height)
    source = rng.random((3, height, width)).astype(np.float32)
    pixels = rng.integers(0, 256, (3, height * SCALE, width * SCALE)).astype(np.uint8)
    store = Store(*pixels.shape, compact=False)
    store.put(0, 0, pixels.astype(np.float32) / np.float32(255))
    found = Wavelet(store, source).take(0, height * SCALE)
    return {"source": _array(source), "result": _rgba(pixels), "fixed": _array(found)}


def _opacity(height: int, width: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    source = (rng.random((1, height, width)) > 0.5).astype(np.float32)
    pixels = rng.integers(0, 256, (3, height * SCALE, width * SCALE)).astype(np.uint8)
    store = Store(*pixels.shape, compact=False)
    store.put(0, 0, pixels.astype(np.float32) / np.float32(255))
    found = Clamped(store, source).take(0, height * SCALE)
    return {"source": _array(source), "result": _rgba(pixels), "clamped": _array(found)}


def _render(
    name: str, width: int, height: int, *, alpha: str = "opaque", color: str = "adain"
) -> dict[str, Any]:
    pixels = _picture(width, height, alpha)
    opacity = pixels[..., 3:].astype(np.float32) / np.float32(255)
    shown = pixels[..., :3].astype(np.float32) / np.float32(255)
    straight = np.divide(shown, opacity, out=np.zeros_like(shown), where=opacity > 0)
    image = straight if alpha == "opaque" else np.concatenate([straight, opacity], axis=2)
    rows = render(image, plan(width, height, TILE), toy_network(), color_fix(color))
    found = np.clip(rows.take(0, rows.shape[1]), 0, 1)
    seen = found[3:] if len(found) == 4 else np.ones_like(found[:1])
    return _case(name, pixels, np.concatenate([found[:3] * seen, seen]), color, stages=True)


def _render_pixels(name: str, width: int, height: int) -> dict[str, Any]:
    """Blend finished tiles, as a package without stages has to."""
    pixels = _picture(width, height, "opaque")
    source: Planes = pixels[..., :3].transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    padded = pad(source, plan(width, height, TILE).padded)
    enlarged = padded.repeat(SCALE, axis=1).repeat(SCALE, axis=2)[None]
    tiles = grid(*enlarged.shape[2:], TILE * SCALE, OVERLAP * 2 * SCALE)

    def upscale(tiles: Array) -> Array:
        latents = encode(tiles[..., ::SCALE, ::SCALE])
        return decode(latents - velocity(latents))

    blended = blend(enlarged, tiles, upscale)[0, :, : height * SCALE, : width * SCALE]
    found = np.clip(adain(_bytes(blended).astype(np.float32) / np.float32(255), source), 0, 1)
    opaque = np.concatenate([found, np.ones_like(found[:1])])
    return _case(name, pixels, opaque, "adain", stages=False)


def _case(
    name: str, pixels: NDArray[np.uint8], found: Planes, color: str, *, stages: bool
) -> dict[str, Any]:
    return {
        "name": name,
        "color": color,
        "stages": stages,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "pixels": _base64(pixels),
        "upscaled": _base64(_bytes(found).transpose(1, 2, 0)),
    }


def _picture(width: int, height: int, alpha: str) -> NDArray[np.uint8]:
    """Return a gradient with noise, ``[H, W, 4]``, the colour multiplied by the opacity."""
    rng = np.random.default_rng(width * 100 + height)
    y, x = np.mgrid[:height, :width]
    ramps = np.stack([x / width, y / height, 1 - (x + y) / (width + height)], axis=2)
    straight = 0.1 + 0.6 * ramps + 0.2 * rng.random((height, width, 3))
    disc = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 3) ** 2
    opacity = {
        "opaque": np.ones((height, width)),
        "half": np.full((height, width), 128 / 255),
        "none": np.zeros((height, width)),
        "varying": np.where(disc, 1.0, 0.2),
    }[alpha][..., None]
    return _bytes(np.concatenate([straight * opacity, opacity], axis=2).astype(np.float32))


def _bytes(values: Array) -> NDArray[np.uint8]:
    return np.clip(values * np.float32(255) + np.float32(0.5), 0, 255).astype(np.uint8)


def _rgba(pixels: NDArray[np.uint8]) -> str:
    opaque = np.full_like(pixels[:1], 255)
    return _base64(np.concatenate([pixels, opaque]).transpose(1, 2, 0))


def _base64(array: NDArray[np.uint8]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _array(array: Array) -> dict[str, Any]:
    """Nine digits say which float32 a value is."""
    values = [float(f"{float(value):.9g}") for value in array.reshape(-1)]
    return {"shape": list(array.shape), "values": values}


if __name__ == "__main__":
    PATH.write_text(golden(), encoding="utf-8")
    print(f"{PATH}: {PATH.stat().st_size} bytes")  # noqa: T201  the program's result
