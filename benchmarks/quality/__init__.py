"""Quality of upscaled images: fidelity always, perception where its networks are given."""

from .dists import Dists
from .measure import METRICS, Quality, WeightedMetrics, measure
from .niqe import Niqe

__all__ = ["METRICS", "Dists", "Niqe", "Quality", "WeightedMetrics", "measure"]
