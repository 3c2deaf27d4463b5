"""The one training loop: stages plug into it, and it owns all that they share."""

from tinysr.training.engine.checkpoint import CHECKPOINT, Progress, read_progress
from tinysr.training.engine.loop import train
from tinysr.training.engine.session import Session
from tinysr.training.engine.stage import Batch, Batches, Group, Raw, Stage
from tinysr.training.engine.team import Team

__all__ = [
    "CHECKPOINT",
    "Batch",
    "Batches",
    "Group",
    "Progress",
    "Raw",
    "Session",
    "Stage",
    "Team",
    "read_progress",
    "train",
]
