"""Depth pruning: which layers of the teacher to keep, learned with a LoRA (paper section 3.1).

The teacher's own model searches: its layers are weighed by sampled masks, a LoRA makes up for what
a mask takes away, and masks that recover best become likely. What it hands on is the teacher with
the decided layers and its own weights; the LoRA served the decision alone.

Of TSD-SR's two streams the image's alone is searched, as the pruned model has no other; what it is
held against is the velocity that both predict.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from tinysr.errors import UnsupportedError
from tinysr.models import OneStep, TinySR
from tinysr.models.sharing import copy_tree
from tinysr.records import StrictRecord
from tinysr.training.engine import Batch, ParameterGroup, TrainingStage
from tinysr.training.lora import RANK, list_lora_parameters, with_lora
from tinysr.training.losses import squared_error
from tinysr.training.pruning import Annealing, KeptLayers, MaskDistribution, Pairing, SearchSpace
from tinysr.training.pruning.masked import MaskedTinySR, prune
from tinysr.training.stages.joined import with_autoencoder
from tinysr.training.stages.kind import Context, StageKind
from tinysr.training.stages.pixel_loss import ImageLoss, Weights

__all__ = ["PRUNE", "PruneOptions", "PruneStage", "hard_mask"]


class PruneOptions(StrictRecord):
    """The table ``[options]`` of a pruning's config."""

    block: int = Field(default=4, ge=2)
    keep: int = Field(default=2, ge=1)
    """Layers of each block that stay before any trade."""
    pairing: Pairing = "disjoint"
    trades: bool = True
    """Dynamic inter-block activation; without it this is TinyFusion's search."""
    bypass: bool = True
    """Whether a layer whose mask is 0 is skipped, as in appendix A; its mask gets no gradient."""
    anneal: int = Field(ge=1)
    """Steps over which the temperature falls from ``hot`` to ``cold``."""
    hot: float = Field(default=4.0, gt=0)
    cold: float = Field(default=0.1, gt=0)
    rank: int = Field(default=RANK, ge=1)
    """Rank of the LoRA."""
    logit_scale: float = Field(default=100.0, gt=0)
    """Factor of the logits, so that one learning rate suits them and the LoRA."""
    logit_factor: float = Field(default=1.0, gt=0)
    """Factor for the logits' learning rate."""
    distillation: float = Field(default=1.0, ge=0)
    """Weight of the squared distance to the teacher's velocity."""
    image: Weights = Weights(perceptual=1.0)
    """Weights of the task's losses on the image: LPIPS alone in the paper."""


class Searcher(nn.Module):
    """The masked model with its LoRA, and the distribution of masks: what trains."""

    def __init__(
        self, teacher: OneStep, space: SearchSpace, options: PruneOptions, seed: int
    ) -> None:
        super().__init__()
        student = copy_tree(teacher).requires_grad_(False)
        student.transformer = with_lora(teacher.transformer, options.rank, seed=seed)
        self.masked = MaskedTinySR(student, bypass=options.bypass)
        self.distribution = MaskDistribution(
            space, trades=options.trades, scale=options.logit_scale
        )


class PruneStage(TrainingStage):
    """Mask learning: distillation from the teacher, and the task."""

    model: Searcher

    def __init__(
        self,
        teacher: OneStep,
        options: PruneOptions,
        task: ImageLoss,
        seed: int,
        *,
        whole: TinySR | None = None,
    ) -> None:
        """Make the search.

        Args:
            teacher: what is searched and held against.
            options: of the search.
            task: the loss on images.
            seed: of the masks.
            whole: the model whose layers are handed on; the teacher itself if None.

        Raises:
            UnsupportedError: the teacher's autoencoder is none that a student may have.
        """
        self._whole = whole or _require_student(teacher)
        self.space = SearchSpace(
            layers=teacher.config.transformer.depth,
            block=options.block,
            keep=options.keep,
            pairing=options.pairing,
        )
        self._annealing = Annealing(steps=options.anneal, hot=options.hot, cold=options.cold)
        self._teacher, self._options, self._seed = teacher, options, seed
        self._task = task
        device = teacher.pooled.device
        self.model = Searcher(teacher, self.space, options, seed).to(device)

    def groups(self) -> list[ParameterGroup]:
        """Return the LoRA, and the logits at a rate of their own."""
        logits = [p for p in self.model.distribution.parameters() if p.requires_grad]
        factor = self._options.logit_factor
        return [
            ParameterGroup(parameters=list_lora_parameters(self.model.masked)),
            ParameterGroup(parameters=logits, factor=lambda _step: factor),
        ]

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return both losses of the mask that the step's seed draws."""
        with torch.autocast(batch.low.device.type, enabled=False):
            mask = self.model.distribution.sample(
                self._annealing.temperature(step), self._generator(step)
            )
        return self.losses(batch, mask)

    def losses(self, batch: Batch, mask: Tensor) -> dict[str, Tensor]:
        """Return the losses under a mask ``[L]`` (equation A.3), weighted."""
        masked = self.model.masked
        with torch.no_grad():
            z = self._teacher.encode(batch.low)
            expected = self._teacher.predict(z)
        v = masked.predict(z, mask)
        return self.weigh(v, expected, masked.model.decode(z - v), batch.high)

    def weigh(self, v: Tensor, expected: Tensor, image: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Return the weighted terms of a velocity and of the image that it leads to."""
        weight = self._options.distillation
        distillation = {"distillation": weight * squared_error(v, expected)}
        return distillation | self._task.terms(image, truth)

    def _generator(self, step: int) -> torch.Generator:
        # A step's seed: neither a resumed run nor one on more processes draws another mask.
        return torch.Generator().manual_seed((self._seed << 32) + step)

    @property
    def decision(self) -> KeptLayers:
        """The layers to keep, as the logits stand."""
        return self.model.distribution.decide()

    def upscale(self, low: Tensor) -> Tensor:
        """Upscale under the mask that is decided now, the LoRA helping."""
        mask = hard_mask(self.decision, self.space.layers).to(low.device)
        image: Tensor = self.model.masked(low, mask)
        return image

    def product(self) -> TinySR:
        """Return the decided layers alone, their weights as they were."""
        return prune(self._whole, self.decision)

    def facts(self) -> dict[str, Any]:
        """Return the decision and how sure it is."""
        distribution = self.model.distribution
        return {
            "kept": list(self.decision),
            "confidence": distribution.confidence(),
            "moves": list(distribution.moves()),
            "space": self.space.summary(),
        }


def _require_student(teacher: OneStep) -> TinySR:
    if isinstance(teacher, TinySR):
        return teacher
    raise UnsupportedError(
        "this teacher's autoencoder can't be a student's: give a model with a small one, "
        "--input vae=PATH"
    )


def hard_mask(kept: KeptLayers, layers: int) -> Tensor:
    """Return the mask ``[L]`` of the layers that are kept."""
    mask = torch.zeros(layers)
    mask[list(kept)] = 1
    return mask


def _make(options: PruneOptions, context: Context) -> PruneStage:
    if options.image.gan:
        raise UnsupportedError("a search for layers has no GAN: set image.gan to 0")
    task = ImageLoss(options.image, context)
    teacher = context.teacher()
    given = "vae" in context.inputs
    whole = with_autoencoder(teacher, context.model("vae")) if given else None
    return PruneStage(teacher, options, task, context.seed, whole=whole)


PRUNE = StageKind(name="prune", options=PruneOptions, make=_make, inputs=("teacher", "vae"))
