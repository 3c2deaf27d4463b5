"""The stages of the recipe, one file each."""

from tinysr.training.stages.kind import Context, StageKind
from tinysr.training.stages.registry import STAGES, build, uses_features, watches_features

__all__ = ["STAGES", "Context", "StageKind", "build", "uses_features", "watches_features"]
