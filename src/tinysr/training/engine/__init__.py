"""The one training loop: stages plug into it, and it owns all that they share."""

from tinysr.training.engine.checkpoint import CHECKPOINT, RunProgress, read_progress
from tinysr.training.engine.loop import train
from tinysr.training.engine.session import SessionSettings
from tinysr.training.engine.stage import Batch, Batches, ParameterGroup, Raw, TrainingStage
from tinysr.training.engine.team import Team

__all__ = [
    "CHECKPOINT",
    "Batch",
    "Batches",
    "ParameterGroup",
    "Raw",
    "RunProgress",
    "SessionSettings",
    "Team",
    "TrainingStage",
    "read_progress",
    "train",
]
