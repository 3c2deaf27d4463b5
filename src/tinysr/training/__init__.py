"""The paper's recipe: stages that one engine trains, their data, and what they hand on."""

from tinysr.records import StrictRecord
from tinysr.training.chain import RecipeRun, run_chain
from tinysr.training.config import Data, Optim, Phase, RunConfig, read_config
from tinysr.training.degradations.fixed import Degradation, degrade
from tinysr.training.evaluate import PhotoScore, evaluate, mean_psnr, photo_pairs
from tinysr.training.init import initialise
from tinysr.training.recipes import RECIPES, config_path
from tinysr.training.release import Release, write_release
from tinysr.training.runner import StageRun, run_stage
from tinysr.training.synthetic import make_synthetic_image

__all__ = [
    "RECIPES",
    "Data",
    "Degradation",
    "Optim",
    "Phase",
    "PhotoScore",
    "RecipeRun",
    "Release",
    "RunConfig",
    "StageRun",
    "StrictRecord",
    "config_path",
    "degrade",
    "evaluate",
    "initialise",
    "make_synthetic_image",
    "mean_psnr",
    "photo_pairs",
    "read_config",
    "run_chain",
    "run_stage",
    "write_release",
]
