"""Quality of upscaled images: fidelity always, perception where its networks are given."""

from tinysr.training.quality.dists import Dists
from tinysr.training.quality.measure import METRICS, Measured, Metrics, measure
from tinysr.training.quality.niqe import Niqe

__all__ = ["METRICS", "Dists", "Measured", "Metrics", "Niqe", "measure"]
