"""Golden vectors of TinySRKit: what the Python runtime computes, for Swift to compute again.

Run it after a change of the runtime's mathematics, and change the Swift along with it:

    .venv/bin/python -m tests.support.golden_swift
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.golden_chains import describe_chain, describe_division, describe_plan
from tests.support.golden_network import OVERLAP, TILE, TOYS, as_bytes
from tests.support.project import ROOT
from tinysr.runtime.color import Wavelet, adain, color_fix
from tinysr.runtime.geometry import Planes, pad, plan, resize
from tinysr.runtime.network.tiling import Grid, blend, gaussian, lay_grid, place_tiles
from tinysr.runtime.network.windows import Span, lay_out_fixed
from tinysr.runtime.render import render
from tinysr.runtime.rows import Clamped
from tinysr.runtime.session import Array
from tinysr.runtime.store import Store

PATH = ROOT / "runtime/swift/Tests/TinySRKitTests/Resources/golden.json"


def golden() -> str:
    """Return the file's text."""
    parts: dict[str, list[dict[str, Any]]] = {
        "chains": [describe_chain(name) for name in ("tinysr", *TOYS)],
        "starts": [_starts(*case) for case in ((64, 64, 8), (66, 64, 8), (178, 64, 8), (37, 9, 4))],
        "windows": [
            _windows(*case)
            for case in ((64, 64, 19), (66, 64, 19), (91, 64, 19), (200, 64, 19), (41, 8, 1))
        ],
        "plans": [
            *(
                describe_plan("tinysr", *size)
                for size in (
                    (128, 128),
                    (200, 131),
                    (90, 60),
                    (1, 1),
                    (2, 40),
                    (127, 500),
                    (1000, 30),
                )
            ),
            describe_plan("doubler", 21, 9),
            describe_plan("sharpener", 21, 17),
        ],
        "divisions": [
            describe_division("tinysr", 128, 200),
            describe_division("tinysr", 340, 132),
            describe_division("doubler", 44, 16),
            describe_division("sharpener", 46, 18),
        ],
        "gaussians": [_gaussian(tile) for tile in (1, 4, 9)],
        "blends": [
            _blend(10, 17, 6, 2),
            _blend(6, 6, 6, 2),
            _blend(6, 9, 6, 0),
            _blend(7, 8, 4, 1, writes=3),
            _blend(6, 9, 4, 2, reads=2),
        ],
        "resizes": [_resize(7, 5, (13, 11)), _resize(12, 9, (5, 4)), _resize(4, 6, (4, 9))],
        "adains": [_adain(3, 4, 0.3, 0.2), _adain(2, 2, 0.0, 0.5)],
        "wavelets": [_wavelet(3, 4, 4), _wavelet(11, 9, 4), _wavelet(7, 5, 3)],
        "opacities": [_opacity(4, 5, 4), _opacity(3, 4, 2)],
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
            _render("another scale", 37, 26, network="doubler", color="none"),
            _render("one stage", 37, 26, network="sharpener"),
            _render_tiles("tiles blended as pixels", 21, 30, network="tiny"),
            _render_tiles("tiles of another scale", 29, 18, network="doubler"),
        ],
    }
    return "{\n" + ",\n".join(_section(*part) for part in parts.items()) + "\n}\n"


def _section(name: str, cases: list[dict[str, Any]]) -> str:
    """A case is a line: short enough for a diff, and no number has a line of its own."""
    return f'"{name}": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]"


def _starts(length: int, tile: int, overlap: int) -> dict[str, Any]:
    found = place_tiles(length, tile, overlap)
    return {"length": length, "tile": tile, "overlap": overlap, "starts": list(found)}


def _windows(length: int, side: int, halo: int) -> dict[str, Any]:
    spans: tuple[Span, ...] = lay_out_fixed(length, side, halo=halo, sides=(side,)).rows
    numbers = [[span.start, span.stop, span.first, span.last] for span in spans]
    return {"length": length, "side": side, "halo": halo, "spans": numbers}


def _gaussian(tile: int) -> dict[str, Any]:
    line = gaussian(tile)
    return {"tile": tile, "weights": _array(np.outer(line, line))}


def _blend(
    height: int, width: int, tile: int, overlap: int, *, reads: int = 1, writes: int = 1
) -> dict[str, Any]:
    rng = np.random.default_rng(height * width)
    source = rng.standard_normal((1, 2, height * reads, width * reads), np.float32)
    ripple = rng.random((tile * writes, tile * writes), np.float32)

    def run(tiles: Array) -> Array:
        cells = tiles[..., ::reads, ::reads]
        return cells.repeat(writes, axis=2).repeat(writes, axis=3) * ripple

    grid = lay_grid(height, width, tile, overlap)
    return {
        "size": [width, height],
        "tile": tile,
        "overlap": overlap,
        "reads": reads,
        "writes": writes,
        "source": _array(source[0]),
        "ripple": _array(ripple),
        "blended": _array(_run_tiles(source, grid, run, reads=reads, writes=writes)),
    }


def _run_tiles(
    source: Array, grid: Grid, run: Callable[[Array], Array], *, reads: int = 1, writes: int
) -> Planes:
    """Return the blended results ``[C, H, W]`` of a stage that keeps the channels."""
    rows, columns = (places[-1] + grid.tile for places in (grid.rows, grid.columns))
    whole = np.full((source.shape[1], rows * writes, columns * writes), np.nan, np.float32)

    def put(top: int, left: int, part: Array) -> None:
        height, width = part.shape[2:]
        whole[:, top : top + height, left : left + width] = part[0]

    blend(source, grid, run, put, reads=reads, writes=writes)
    return whole


def _resize(height: int, width: int, size: tuple[int, int]) -> dict[str, Any]:
    image = np.random.default_rng(height).random((2, height, width), np.float32)
    return {"image": _array(image), "size": list(size), "resized": _array(resize(image, size))}


def _adain(height: int, width: int, spread: float, middle: float) -> dict[str, Any]:
    rng = np.random.default_rng(height)
    source = (middle + spread * rng.random((3, height, width))).astype(np.float32)
    pixels = rng.integers(0, 256, (3, height * 4, width * 4)).astype(np.uint8)
    found = adain(pixels.astype(np.float32) / np.float32(255), source)
    return {"source": _array(source), "result": _rgba(pixels), "fixed": _array(found)}


def _wavelet(height: int, width: int, scale: int) -> dict[str, Any]:
    rng = np.random.default_rng(height)
    source = rng.random((3, height, width)).astype(np.float32)
    pixels = rng.integers(0, 256, (3, height * scale, width * scale)).astype(np.uint8)
    store = Store(*pixels.shape, compact=False)
    store.put(0, 0, pixels.astype(np.float32) / np.float32(255))
    found = Wavelet(store, source).take(0, height * scale)
    return {"source": _array(source), "result": _rgba(pixels), "fixed": _array(found)}


def _opacity(height: int, width: int, scale: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    source = (rng.random((1, height, width)) > 0.5).astype(np.float32)
    pixels = rng.integers(0, 256, (3, height * scale, width * scale)).astype(np.uint8)
    store = Store(*pixels.shape, compact=False)
    store.put(0, 0, pixels.astype(np.float32) / np.float32(255))
    found = Clamped(store, source).take(0, height * scale)
    return {"source": _array(source), "result": _rgba(pixels), "clamped": _array(found)}


def _render(
    name: str,
    width: int,
    height: int,
    *,
    network: str = "tiny",
    alpha: str = "opaque",
    color: str = "adain",
) -> dict[str, Any]:
    pixels = _picture(width, height, alpha)
    opacity = pixels[..., 3:].astype(np.float32) / np.float32(255)
    shown = pixels[..., :3].astype(np.float32) / np.float32(255)
    straight = np.divide(shown, opacity, out=np.zeros_like(shown), where=opacity > 0)
    image = straight if alpha == "opaque" else np.concatenate([straight, opacity], axis=2)
    toy = TOYS[network]
    rows, _ = render(image, plan(width, height, toy.chain), toy.open(), color_fix(color))
    found = np.clip(rows.take(0, rows.shape[1]), 0, 1)
    seen = found[3:] if len(found) == 4 else np.ones_like(found[:1])
    result = np.concatenate([found[:3] * seen, seen])
    return _case(name, pixels, result, network=network, color=color, stages=True)


def _render_tiles(name: str, width: int, height: int, *, network: str) -> dict[str, Any]:
    """Blend finished tiles, as a package without stages has to."""
    toy = TOYS[network]
    scale = toy.chain.scale
    pixels = _picture(width, height, "opaque")
    source: Planes = pixels[..., :3].transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    padded = pad(source, plan(width, height, toy.chain).padded)
    _, rows, columns = padded.shape
    grid = lay_grid(rows, columns, TILE, OVERLAP * 2)  # cells are two pixels wide
    blended = _run_tiles(padded[None], grid, toy.upscale, writes=scale)
    seen = as_bytes(blended[:, : height * scale, : width * scale]).astype(np.float32)
    found = np.clip(adain(seen / np.float32(255), source), 0, 1)
    opaque = np.concatenate([found, np.ones_like(found[:1])])
    return _case(name, pixels, opaque, network=network, color="adain", stages=False)


def _case(
    name: str, pixels: NDArray[np.uint8], found: Planes, *, network: str, color: str, stages: bool
) -> dict[str, Any]:
    return {
        "name": name,
        "network": network,
        "color": color,
        "stages": stages,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "pixels": _base64(pixels),
        "upscaled": _base64(as_bytes(found).transpose(1, 2, 0)),
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
    return as_bytes(np.concatenate([straight * opacity, opacity], axis=2).astype(np.float32))


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
