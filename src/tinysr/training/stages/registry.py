"""All kinds of stages, by the name that configs give them."""

from __future__ import annotations

from pydantic import ValidationError

from tinysr.errors import UnsupportedError, choice_error
from tinysr.training.config import RunConfig, first_problem
from tinysr.training.engine import TrainingStage
from tinysr.training.losses.perceptual import NETWORKS
from tinysr.training.stages.autoencoder import AUTOENCODER
from tinysr.training.stages.kind import Context, StageKind
from tinysr.training.stages.pixel_loss import FEATURES
from tinysr.training.stages.prune import PRUNE
from tinysr.training.stages.restore import RESTORE
from tinysr.training.stages.teacher import TEACHER
from tinysr.training.stages.vae import VAE_DECODER, VAE_ENCODER

__all__ = ["STAGES", "build", "uses_features", "watches_features"]

STAGES: dict[str, StageKind] = {
    kind.name: kind for kind in (TEACHER, VAE_ENCODER, VAE_DECODER, PRUNE, RESTORE, AUTOENCODER)
}


def build(config: RunConfig, context: Context) -> TrainingStage:
    """Return the stage that a config describes.

    Raises:
        UnsupportedError: there is no such stage, or an option or input is not one of its own.
        CheckpointError: an input can't be used.
    """
    if config.stage not in STAGES:
        raise choice_error("stage", config.stage, STAGES)
    kind = STAGES[config.stage]
    try:
        options = kind.options.model_validate(config.options)
    except ValidationError as error:
        raise UnsupportedError(f"[options] of '{config.stage}': {first_problem(error)}") from error
    roles = (*kind.inputs, FEATURES) if uses_features(config) else kind.inputs
    for role in context.inputs.keys() - roles:
        raise UnsupportedError(
            f"a stage '{config.stage}' takes no input '{role}', only: {', '.join(roles) or 'none'}"
        )
    return kind.make(options, context)


def watches_features(config: RunConfig) -> bool:
    """Tell whether a stage's feature network is the one that measures the validation photos."""
    tables = (config.options.get("loss", {}), config.options.get("image", {}))
    return any(table.get("perceptual_loss") == "efficientnet-lite0" for table in tables)


def uses_features(config: RunConfig) -> bool:
    """Tell whether a stage's losses ask for a feature network."""
    return any(
        table.get("perceptual") and table.get("perceptual_loss", "lpips") in NETWORKS
        for table in (config.options.get("loss", {}), config.options.get("image", {}))
    )
