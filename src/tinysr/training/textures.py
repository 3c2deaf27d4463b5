"""Grey textures ``[side, side]`` of mean about 0 and deviation about 1, like those of surfaces."""

from __future__ import annotations

import string
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tinysr.training.spectral import Array, Random, as_array, field

__all__ = ["TEXTURES", "make_texture", "writing"]

Texture = Callable[[Random, int], Array]


def _cloud(rng: Random, side: int) -> Array:
    return field(rng, side, alpha=rng.uniform(0.6, 1.6))


def _grain(rng: Random, side: int) -> Array:
    """Wood, fur, grass: noise drawn out along a direction."""
    return field(
        rng,
        side,
        alpha=rng.uniform(0.5, 1.4),
        stretch=rng.uniform(1.5, 4),
        angle=rng.uniform(0, np.pi),
    )


def _speckle(rng: Random, side: int) -> Array:
    """Foliage and gravel: blobs and pits with steep slopes."""
    rough = field(rng, side, alpha=rng.uniform(0.6, 1.3))
    return _standardise(np.tanh(rng.uniform(1, 4) * (rough + rng.uniform(-0.7, 0.7))))


def _ridges(rng: Random, side: int) -> Array:
    """Cracks, veins and wrinkles: the zero lines of a field."""
    rough = field(rng, side, alpha=rng.uniform(1.2, 2.0))
    return _standardise(-np.exp(-np.abs(rough) * rng.uniform(3, 15)))


def _coordinates(rng: Random, side: int) -> tuple[Array, Array]:
    """Return turned coordinates in pixels, slightly warped and in perspective."""
    y, x = np.mgrid[:side, :side].astype(np.float32) - side / 2
    angle = rng.uniform(0, np.pi) if rng.random() < 0.7 else 0.0
    u = x * np.cos(angle) + y * np.sin(angle)
    v = -x * np.sin(angle) + y * np.cos(angle)
    depth = 1 + rng.uniform(0, 0.6) * v / side
    warp = rng.exponential(1.5) * field(rng, side, alpha=2.5)
    return as_array(u / depth + warp), as_array(v / depth + warp)


def _wave(phase: Array, duty: float, softness: float) -> Array:
    """Return a soft square wave of period 1 in (-1, 1)."""
    ramp = np.cos(2 * np.pi * phase) - np.cos(np.pi * duty)
    return as_array(np.tanh(ramp / softness))


def _grating(rng: Random, side: int) -> Array:
    u, _ = _coordinates(rng, side)
    return _standardise(_wave(u / _period(rng), rng.uniform(0.3, 0.7), rng.uniform(0.1, 1)))


def _lattice(rng: Random, side: int) -> Array:
    """Windows, tiles, weaves, nets and checks."""
    u, v = _coordinates(rng, side)
    softness, duty = rng.uniform(0.1, 0.8), rng.uniform(0.3, 0.85)
    first = _wave(u / _period(rng), duty, softness)
    second = _wave(v / _period(rng), duty, softness)
    merged = first * second if rng.random() < 0.3 else np.minimum(first, second)
    return _standardise(merged)


def _bricks(rng: Random, side: int) -> Array:
    u, v = _coordinates(rng, side)
    height = rng.uniform(8, 40)
    course = np.floor(v / height)
    shift = u / (height * rng.uniform(1.5, 3)) + 0.5 * (course % 2)
    joint = rng.uniform(0.05, 0.25)
    softness = rng.uniform(0.1, 0.6)
    walls = np.minimum(
        _wave(v / height + 0.5, 1 - joint, softness), _wave(shift, 1 - joint, softness)
    )
    shade = np.sin(course * 12.9 + np.floor(shift + 0.5) * 78.2) * rng.uniform(0, 0.5)
    return _standardise(walls + shade)


def _period(rng: Random) -> float:
    """Return a period in pixels; short ones, near the low resolution's limit, are the hard ones."""
    return float(np.exp(rng.uniform(np.log(5), np.log(48))))


def _strokes(rng: Random, side: int) -> Array:
    """Hair, twigs and wires: thin curved lines, drawn at twice the size for soft edges."""
    canvas = Image.new("L", (2 * side, 2 * side), 0)
    draw = ImageDraw.Draw(canvas)
    lead = rng.uniform(0, 2 * np.pi)
    spread = rng.uniform(0.1, 2)
    for _ in range(int(rng.integers(60, 400))):
        angle = lead + rng.normal(0, spread) + np.cumsum(rng.normal(0, 0.15, 12))
        steps = rng.uniform(4, 20) * np.stack([np.cos(angle), np.sin(angle)], 1)
        points = rng.uniform(0, 2 * side, 2) + np.cumsum(steps, 0)
        draw.line(
            [(float(x), float(y)) for x, y in points],
            int(rng.integers(60, 256)),
            int(rng.integers(1, 6)),
        )
    return _standardise(np.asarray(canvas.reduce(2), dtype=np.float32))


def writing(rng: Random, side: int) -> Array:
    """Return lines of letters, at one size and angle."""
    canvas = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(canvas)
    size = float(np.exp(rng.uniform(np.log(9), np.log(90))))
    font = ImageFont.load_default(size)
    letters = np.array(list(string.ascii_letters + string.digits + "     .,-:;!?&()"))
    for top in np.arange(rng.uniform(-size, 0), side, size * rng.uniform(1.1, 1.6)):
        words = "".join(rng.choice(letters, int(2 * side / size) + 1))
        draw.text((rng.uniform(-size, size), float(top)), words, 255, font)
    if rng.random() < 0.5:
        canvas = canvas.rotate(rng.uniform(-30, 30), Image.Resampling.BICUBIC)
    return _standardise(np.asarray(canvas, dtype=np.float32))


def _standardise(texture: Array) -> Array:
    spread = max(float(texture.std()), 1e-3)
    return as_array(((texture - texture.mean()) / spread).clip(-4, 4))


TEXTURES: tuple[tuple[Texture, float], ...] = (
    (_cloud, 0.3),
    (_grain, 0.2),
    (_speckle, 0.12),
    (_ridges, 0.06),
    (_grating, 0.06),
    (_lattice, 0.08),
    (_bricks, 0.05),
    (_strokes, 0.06),
    (writing, 0.07),
)
"""Kinds of texture and how often each is drawn."""


def make_texture(rng: Random, side: int) -> Array:
    """Return a random texture ``[side, side]``."""
    kinds, shares = zip(*TEXTURES, strict=True)
    index = int(rng.choice(len(kinds), p=shares))
    make: Texture = kinds[index]
    return make(rng, side)
