"""Measures of one graph's result against what the eager model gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysr.chain import Chain
from tinysr.manifest import Artifact
from tinysr.metrics import Metrics, measure
from tinysr.stages import RESULT

__all__ = ["gives_image", "measure_graph"]

Array = NDArray[np.floating[Any]]


def gives_image(chain: Chain, artifact: Artifact) -> bool:
    """Return whether a graph gives an image in about [0, 1]; others give fields between stages."""
    return chain.ends(artifact.stage)[1].name == RESULT


def measure_graph(
    found: Array, expected: Array, given: Array, chain: Chain, artifact: Artifact
) -> Metrics:
    """Measure a graph's result; of a stage that restores what it read, the change alone.

    What it read is most of what it gives: beside that, one that does nothing would pass.
    """
    if artifact.stage in chain.names and chain.stage(artifact.stage).restores:
        return measure(found - given, expected - given)
    return measure(found, expected, images=gives_image(chain, artifact))
