"""The trainer of ``tinysr-nano``: synthetic images, a degradation, a loop that resumes."""

from tinysr.training.checkpoint import Progress
from tinysr.training.config import RECIPES, Phase, TrainConfig
from tinysr.training.degradation import Degradation, degrade
from tinysr.training.evaluate import Score, evaluate, mean_psnr, photo_pairs
from tinysr.training.init import initialise
from tinysr.training.loop import Report, Schedule, train
from tinysr.training.release import write_release
from tinysr.training.synthetic import synthetic_image

__all__ = [
    "RECIPES",
    "Degradation",
    "Phase",
    "Progress",
    "Report",
    "Schedule",
    "Score",
    "TrainConfig",
    "degrade",
    "evaluate",
    "initialise",
    "mean_psnr",
    "photo_pairs",
    "synthetic_image",
    "train",
    "write_release",
]
