"""Synthetic images with what photos have: no data set can be downloaded here.

An image is a pile of leaves (dead leaves model: power-law sizes, occlusion), each with a texture,
shading and a soft edge, lying behind one another in and out of focus, under one light and tint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinysr.training.spectral import Array, Random, as_array, blur, field
from tinysr.training.textures import make_texture, writing

__all__ = ["make_synthetic_image"]

_TEXTURES_PER_IMAGE = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scene:
    """What all leaves of one image share."""

    side: int
    palette: Array
    """Colours ``[K, 3]`` in [0, 1]."""
    textures: list[Array]
    contrast: float
    softness: float
    """Typical width of an edge, in pixels."""


def make_synthetic_image(rng: Random, side: int) -> Array:
    """Return an RGB image ``[side, side, 3]`` in [0, 1], a pure function of ``rng``'s state."""
    kind = rng.random()
    scene = _scene(rng, side)
    image = _ground(scene, rng)
    if kind < 0.72:
        image = _pile(scene, image, rng, count=int(np.exp(rng.uniform(np.log(30), np.log(300)))))
    elif kind < 0.80:
        image = _print(image, rng)
    elif kind < 0.90:
        # Smooth: sky, walls, out of focus; a few leaves give it an edge to keep.
        image = _pile(scene, _draw_gradient(scene, rng), rng, count=int(rng.integers(0, 6)))
    # The rest is one surface that fills the frame.
    return _develop(image, rng)


def _scene(rng: Random, side: int) -> _Scene:
    return _Scene(
        side=side,
        palette=_palette(rng, int(rng.integers(4, 12))),
        textures=[make_texture(rng, side) for _ in range(_TEXTURES_PER_IMAGE)],
        contrast=float(np.exp(rng.uniform(np.log(0.08), np.log(0.6)))),
        softness=float(np.exp(rng.uniform(np.log(0.5), np.log(3)))),
    )


def _palette(rng: Random, count: int) -> Array:
    """Return colours of wide brightness and mostly low saturation, around a common tint."""
    luma = rng.beta(1.1, 1.3, (count, 1))
    chroma = rng.normal(0, 0.03, (1, 2)) + rng.standard_t(3, (count, 2)) * 0.045
    # Orange to blue varies more than green to magenta does, as daylight makes it.
    warm, green = chroma[:, :1] * 1.5, chroma[:, 1:] * 0.8
    colours = luma + np.concatenate([warm - green, 0.7 * green, -warm - green], 1) * (0.3 + luma)
    return as_array(colours.clip(0.01, 0.99))


def _surface(scene: _Scene, rng: Random, rows: slice, columns: slice) -> Array:
    """Return a shaded, textured piece of a surface ``[h, w, 3]``."""
    colour = scene.palette[rng.integers(len(scene.palette))]
    other = scene.palette[rng.integers(len(scene.palette))]
    grain = scene.textures[rng.integers(len(scene.textures))]
    grain = np.roll(grain, tuple(rng.integers(0, scene.side, 2)), (0, 1))[rows, columns, None]
    strength = scene.contrast * rng.exponential(1.0) if rng.random() < 0.92 else 0.0
    height, width = grain.shape[:2]
    y, x = np.linspace(-1, 1, height)[:, None, None], np.linspace(-1, 1, width)[None, :, None]
    shade = rng.normal(0, 0.15) * y + rng.normal(0, 0.15) * x
    light = (1 + shade + strength * grain).clip(0.05, 3)
    if rng.random() < 0.3:
        mix = (0.5 + 0.25 * grain).clip(0, 1)
        return as_array((colour * mix + other * (1 - mix)) * (1 + shade))
    return as_array(colour * light)


def _ground(scene: _Scene, rng: Random) -> Array:
    return _surface(scene, rng, slice(None), slice(None))


def _draw_gradient(scene: _Scene, rng: Random) -> Array:
    """Return a gradient between two colours, bent by a very smooth field."""
    first, second = scene.palette[rng.integers(0, len(scene.palette), 2)]
    y, x = np.linspace(-1, 1, scene.side)[:, None], np.linspace(-1, 1, scene.side)[None]
    angle = rng.uniform(0, 2 * np.pi)
    ramp = x * np.cos(angle) + y * np.sin(angle)
    bend = rng.uniform(0, 0.4) * field(rng, scene.side, alpha=3)
    mix = (0.5 + rng.uniform(0, 0.5) * ramp + bend).clip(0, 1)[..., None]
    return as_array(first * mix + second * (1 - mix))


def _pile(scene: _Scene, image: Array, rng: Random, *, count: int) -> Array:
    """Lay leaves on the image; part way, what lies behind goes out of focus."""
    focus = int(count * rng.uniform(0, 0.7)) if rng.random() < 0.6 else -1
    smallest, largest = rng.uniform(3, 12), scene.side * rng.uniform(0.15, 0.5)
    for index in range(count):
        if index == focus:
            sigma = float(rng.exponential(2.0))
            image = blur(image, (sigma, sigma))
        # Radii of density 1/r^2, cut at both ends, pile up to a power-law spectrum.
        u = rng.random()
        radius = 1 / (u / smallest + (1 - u) / largest)
        _lay(scene, image, float(radius), rng)
    return image


def _lay(scene: _Scene, image: Array, radius: float, rng: Random) -> None:
    """Draw one leaf over ``image`` in place."""
    centre = rng.uniform(0, scene.side, 2)
    box = [slice(max(int(c - 1.6 * radius) - 2, 0), int(c + 1.6 * radius) + 3) for c in centre]
    y = np.arange(*box[0].indices(scene.side), dtype=np.float32)[:, None] - np.float32(centre[0])
    x = np.arange(*box[1].indices(scene.side), dtype=np.float32)[None] - np.float32(centre[1])
    if not (y.size and x.size):
        return
    distance = _outline(rng, y, x, radius)
    soft = scene.softness * rng.uniform(0.6, 1.6)
    cover = (0.5 - distance / (2 * soft)).clip(0, 1)[..., None]
    cover = cover * cover * (3 - 2 * cover)
    surface = _surface(scene, rng, box[0], box[1])
    if rng.random() < 0.35:
        # Round bodies darken towards their edge.
        surface = surface * (
            1 - rng.uniform(0, 0.7) * np.exp(distance / (0.3 * radius))[..., None].clip(0, 1)
        )
    image[box[0], box[1]] += cover * (surface - image[box[0], box[1]])


def _outline(rng: Random, y: Array, x: Array, radius: float) -> Array:
    """Return the signed distance, in pixels, to an ellipse, a wavy blob or a polygon."""
    angle, ratio = rng.uniform(0, np.pi), rng.uniform(0.25, 1)
    u = x * np.cos(angle) + y * np.sin(angle)
    v = (-x * np.sin(angle) + y * np.cos(angle)) / ratio
    shape = rng.random()
    if shape < 0.35:
        reach = np.hypot(u, v)
    elif shape < 0.65:
        reach = np.maximum(np.abs(u), np.abs(v)) * rng.uniform(1, 1.3)
    else:
        turn = np.arctan2(v, u)
        waves = sum(
            rng.normal(0, 0.25 / k) * np.cos(k * turn + rng.uniform(0, 6)) for k in range(2, 7)
        )
        reach = np.hypot(u, v) / (1 + waves).clip(0.4, 1.5)
    return as_array((reach - radius) * ratio)


def _print(image: Array, rng: Random) -> Array:
    """Set writing on a surface, dark on light or light on dark."""
    letters = (0.25 * writing(rng, image.shape[0]) + 0.2).clip(0, 1)[..., None]
    ink, paper = _palette(rng, 2)
    page = image * 0.3 + 0.7 * paper if rng.random() < 0.6 else np.broadcast_to(paper, image.shape)
    return as_array(page * (1 - letters) + ink * letters)


def _develop(image: Array, rng: Random) -> Array:
    """Give the picture one light, one lens and one tone curve."""
    side = image.shape[0]
    if rng.random() < 0.5:
        image = image * (1 + rng.uniform(0, 0.25) * field(rng, side, alpha=3)[..., None])
    sigma = float(np.exp(rng.uniform(np.log(0.3), np.log(1.4))))
    image = blur(image.clip(0, 1), (sigma, sigma)).clip(0, 1)
    image = image ** np.float32(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.4:
        # Film and sensor grain, well below the textures.
        noise = rng.standard_normal((side, side, 1), dtype=np.float32)
        image = image + noise * np.float32(rng.uniform(0, 0.012))
    return as_array(image.clip(0, 1))
