"""Quality of upscaled images: fidelity always, perception where its networks are given."""

from tinysr.training.quality.dists import Dists
from tinysr.training.quality.measure import METRICS, Quality, WeightedMetrics, measure
from tinysr.training.quality.niqe import Niqe

__all__ = ["METRICS", "Dists", "Niqe", "Quality", "WeightedMetrics", "measure"]
