"""Checks of what goes into a graph, and of the graph's own inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tinysr.errors import BundleError, UnsupportedError
from tinysr.manifest import Artifact, Port

__all__ = ["check_feeds", "check_ports"]

Array = NDArray[np.floating]


def check_ports(artifact: Artifact, found: Mapping[str, tuple[str, tuple[int | str, ...]]]) -> None:
    """Refuse a graph that does not have the inputs and outputs its manifest describes.

    Args:
        artifact: as the manifest has it.
        found: dtype and shape of each input and output of the graph, by name.

    Raises:
        BundleError: a port is missing, unknown, or of another dtype or fixed size.
    """
    ports = {port.name: port for port in (*artifact.inputs, *artifact.outputs)}
    if found.keys() != ports.keys():
        raise BundleError(
            f"{artifact.label}: expected a graph with {sorted(ports)}, found {sorted(found)}"
        )
    for name, (dtype, shape) in found.items():
        port = ports[name]
        pairs = zip(port.shape, shape, strict=False)
        clash = any(isinstance(w, int) and isinstance(h, int) and w != h for w, h in pairs)
        if dtype != port.dtype or len(shape) != len(port.shape) or clash:
            raise BundleError(
                f"{artifact.label}: expected '{name}' as {port.dtype} {list(port.shape)}, "
                f"found {dtype} {list(shape)} in the graph"
            )


def check_feeds(artifact: Artifact, feeds: Mapping[str, Array]) -> None:
    """Refuse feeds that are not the artifact's inputs.

    Raises:
        UnsupportedError: one is missing, unknown, or of another dtype or shape.
    """
    expected = {port.name: port for port in artifact.inputs}
    if feeds.keys() != expected.keys():
        raise UnsupportedError(
            f"{artifact.label}: expected the inputs {sorted(expected)}, found {sorted(feeds)}"
        )
    for name, port in expected.items():
        array = feeds[name]
        if array.dtype != port.dtype or not _fits(array.shape, port):
            raise UnsupportedError(
                f"{artifact.label}: expected '{name}' as {port.dtype} {list(port.shape)}, "
                f"found {array.dtype} {list(array.shape)}"
            )


def _fits(shape: tuple[int, ...], port: Port) -> bool:
    return len(shape) == len(port.shape) and all(
        isinstance(want, str) or want == have for want, have in zip(port.shape, shape, strict=True)
    )
