"""Latents of a bundle: how many channels, which sides, how large a tile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tinysr.errors import BundleError, UnsupportedError
from tinysr.manifest import Artifact, Manifest, Stage

from .geometry import LATENT_STRIDE
from .session import Session

__all__ = ["latent_channels", "latent_sides", "latent_tile", "longest_latents"]

WINDOWS = "windows"
"""The option of an artifact that takes squares of fixed sizes: their sides in low-resolution
pixels, with spaces between."""


def latent_channels(manifest: Manifest, sessions: Mapping[Stage, Session]) -> int:
    """Return the channels of a latent pixel, as graphs and config say with one voice.

    Raises:
        BundleError: neither says it, or they contradict each other.
    """
    artifacts = [*(session.artifact for session in sessions.values()), *manifest.artifacts]
    found = {channels for artifact in artifacts for channels in _channels(artifact)}
    vae = manifest.config.get("vae")
    configured = vae.get("latent_channels") if isinstance(vae, dict) else None
    if isinstance(configured, int):
        found.add(configured)
    if len(found) != 1:
        told = " and ".join(map(str, sorted(found))) or "none"
        raise BundleError(
            f"{manifest.name}: expected one number of latent channels in the graphs' shapes and "
            f"the model's config, found {told}; export the bundle again"
        )
    return found.pop()


def _channels(artifact: Artifact) -> Iterator[int]:
    """Yield the fixed numbers of channels where a graph takes or gives latents."""
    ports = {
        "encoder": artifact.outputs,
        "transformer": (*artifact.inputs, *artifact.outputs),
        "decoder": artifact.inputs,
    }
    for port in ports.get(artifact.stage, ()):
        if len(port.shape) == 4 and isinstance(port.shape[1], int):
            yield port.shape[1]


def longest_latents(
    sessions: Mapping[Stage, Session], surroundings: int, window: int | None
) -> int | None:
    """Return the longest side that encoder and decoder take, in latent pixels, if there is one.

    Args:
        sessions: by stage.
        surroundings: low-resolution pixels of a window that only surround what it gives.
        window: a side that was asked for, in low-resolution pixels.

    Raises:
        UnsupportedError: no window fits, or the one that was asked for does not.
    """
    encoder, decoder = sessions["encoder"].longest_side, sessions["decoder"].longest_side
    sides = [encoder // LATENT_STRIDE] if encoder is not None else []
    sides += [decoder] if decoder is not None else []
    if not sides:
        return None
    pixels = min(sides) * LATENT_STRIDE
    if pixels <= surroundings or (window or 0) > pixels:
        raise UnsupportedError(
            f"the engines take sides up to {pixels} pixels: expected more than {surroundings}, "
            f"which surround what a window gives, and no larger window than that, found {window}"
        )
    return min(sides)


def latent_sides(sessions: Mapping[Stage, Session]) -> tuple[int, ...]:
    """Return the sides of the windows that both autoencoder graphs take, in latent pixels.

    Empty when they take any: only a format whose graphs have fixed sizes says so.

    Raises:
        BundleError: the two have no side in common.
    """
    named = [sessions[stage].artifact.options.windows for stage in ("encoder", "decoder")]
    sides = [{side // LATENT_STRIDE for side in windows} for windows in named if windows]
    if not sides:
        return ()
    common = set.intersection(*sides)
    if not common:
        raise BundleError(f"encoder and decoder have no window in common: found {named}")
    return tuple(sorted(common))


def latent_tile(manifest: Manifest, transformer: Session) -> int:
    """Return the transformer's tile in latent pixels, once the manifest agrees with itself.

    Raises:
        BundleError: tile, overlap and graph contradict each other.
    """
    tile, overlap = manifest.tile, manifest.overlap
    side = tile // LATENT_STRIDE
    shape = transformer.artifact.inputs[0].shape[2:]
    odd = tile % (2 * LATENT_STRIDE) or overlap % 2 or overlap >= side
    if odd or any(isinstance(found, int) and found != side for found in shape):
        raise BundleError(
            f"{manifest.name}: expected a tile of 4n pixels, an even overlap below its "
            f"{side} latents and a transformer of that size, found tile {tile}, "
            f"overlap {overlap}, transformer {list(shape)}"
        )
    return side
