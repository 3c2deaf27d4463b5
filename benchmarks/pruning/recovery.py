"""Recovery of a pruned model by training: each method's layers, tuned and measured alike."""

from __future__ import annotations

import functools
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tinysr.errors import UnsupportedError
from tinysr.models import TinySR
from tinysr.records import StrictRecord
from tinysr.training.config import RunConfig, parse_config
from tinysr.training.data import PatchBatches
from tinysr.training.engine import Batch, SessionSettings, TrainingStage, train
from tinysr.training.evaluate import PhotoPair, evaluate, psnr, upscale_array
from tinysr.training.losses import squared_error
from tinysr.training.photos import Photos
from tinysr.training.pruning import METHODS, Evidence, KeptLayers
from tinysr.training.pruning.masked import block_influence, prune
from tinysr.training.stages import Context
from tinysr.training.stages.pixel_loss import FEATURES, ImageLoss
from tinysr.training.stages.prune import PruneOptions, PruneStage, hard_mask
from tinysr.training.stages.restore import RestoreOptions, RestoreStage

__all__ = [
    "CONFIG",
    "Fidelity",
    "Quality",
    "Recovered",
    "RecoveryConfig",
    "Trial",
    "fidelity_of",
    "quality_of",
]

CONFIG = Path(__file__).parent / "recoverability.toml"

_CALIBRATION = 4
"""Batches that the methods without learning judge by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveryConfig:
    """How layers are searched for, and how what is left is tuned."""

    search: RunConfig
    tune: RunConfig
    photos: Path | None = None
    """Folder of images to train on; synthetic ones if None."""
    features: Path | None = None
    """LPIPS's network, where the search's losses ask for it."""

    @classmethod
    def read(
        cls, path: Path, *, photos: Path | None = None, features: Path | None = None
    ) -> RecoveryConfig:
        """Read a TOML file with the tables ``search`` and ``tune``.

        Raises:
            UnsupportedError: the file can't be read or is no plan; the message names the key.
        """
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UnsupportedError(f"{path}: not a pruning plan: {error}") from error
        if data.keys() != {"search", "tune"}:
            raise UnsupportedError(f"{path}: expected the tables [search] and [tune] alone")
        search, tune = (parse_config(data[part], f"{path}: {part}") for part in ("search", "tune"))
        return cls(search=search, tune=tune, photos=photos, features=features)

    def batches(self, config: RunConfig) -> PatchBatches:
        """Return the batches of one of the two."""
        if self.photos is None:
            return PatchBatches(config)
        return PatchBatches(config, Photos(self.photos, config.data.image_side))


class Fidelity(StrictRecord):
    """What a model's images are like, on photos that no training saw."""

    psnr: float
    """PSNR in dB, against the truth."""
    ssim: float
    teacher_psnr: float | None
    """PSNR in dB, against the teacher's image; None for the teacher."""


class Quality(Fidelity):
    """The same, and how near a model of the teacher's latents is to the teacher."""

    loss: float | None
    """The search's weighted losses together; None for the teacher, who sets them."""
    distillation: float
    """Mean squared distance of its velocity from the teacher's."""


class Recovered(StrictRecord):
    """A method's layers, and what they are worth before and after training."""

    method: str
    kept: tuple[int, ...]
    mask: str
    """One digit for each layer, 1 where it stays."""
    search_seconds: float
    before: Quality
    after: Quality


class Trial:
    """One teacher and one plan: methods choose layers, and what is left is tuned."""

    def __init__(
        self,
        teacher: TinySR,
        plan: RecoveryConfig,
        pairs: Sequence[PhotoPair],
        folder: Path,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            teacher: the model to prune.
            plan: how.
            pairs: photos to measure on.
            folder: for the checkpoints of the runs.
            tell: called with a line about each step.

        Raises:
            UnsupportedError: the plan's options don't fit the teacher.
        """
        self.teacher, self.plan, self.pairs = teacher, plan, pairs
        self._folder, self._tell = folder, tell
        inputs = {FEATURES: plan.features} if plan.features else {}
        self._context = Context(seed=plan.search.seed, device=torch.device("cpu"), inputs=inputs)
        self._options = PruneOptions.model_validate(plan.search.options)
        self.judge = self._searcher(self._options)
        # One set of images for all runs: synthetic ones take longer to make than to learn from.
        self._batches = {"search": plan.batches(plan.search), "tune": plan.batches(plan.tune)}
        batches = self._batches["search"]
        self._calibration = [batches.finish(batches.load(step)) for step in range(_CALIBRATION)]
        # Equal layers, tuned alike, are equal models: tuned once.
        self.tuned = functools.cache(self._tune)

    def recover(self, method: str) -> Recovered:
        """Choose layers by a method, and measure them before and after tuning."""
        start = time.perf_counter()
        kept = METHODS[method](self._evidence())
        seconds = time.perf_counter() - start
        layers = self.teacher.config.transformer.depth
        mask = "".join("1" if layer in kept else "0" for layer in range(layers))
        self._tell(f"{method}: {mask}, found in {seconds:.0f} s; tuning")
        return Recovered(
            method=method, kept=kept, mask=mask, search_seconds=seconds,
            before=quality_of(self, prune(self.teacher, kept)),
            after=quality_of(self, self.tuned(kept)),
        )  # fmt: skip

    def _evidence(self) -> Evidence:
        return Evidence(
            space=self.judge.space,
            loss=self._task_loss,
            influence=self._influence,
            learn=self._learn,
            seed=self.plan.search.seed,
        )

    @torch.no_grad()
    def _task_loss(self, kept: KeptLayers) -> float:
        mask = hard_mask(kept, self.judge.space.layers)
        terms = [self.judge.losses(batch, mask) for batch in self._calibration]
        tasks = [sum(v for name, v in row.items() if name != "distillation") for row in terms]
        return float(np.mean([float(task) for task in tasks]))

    def _influence(self) -> list[float]:
        rows = [block_influence(self.teacher, self._encode(b)) for b in self._calibration]
        return [float(value) for value in np.mean(rows, axis=0)]

    @torch.no_grad()
    def _encode(self, batch: Batch) -> Tensor:
        return self.teacher.encode(batch.low)

    def _learn(self, trades: bool) -> KeptLayers:
        options = self._options.model_copy(update={"trades": trades})
        stage = self._searcher(options)
        self._train(stage, "search", "trades" if trades else "local")
        return stage.decision

    def _tune(self, kept: KeptLayers) -> TinySR:
        student = prune(self.teacher, kept)
        options = RestoreOptions.model_validate(self.plan.tune.options)
        task = ImageLoss(options.image, self._context)
        stage = RestoreStage(student, self.teacher, options, task)
        self._train(stage, "tune", "-".join(map(str, kept)))
        return stage.product().requires_grad_(False)

    def _searcher(self, options: PruneOptions) -> PruneStage:
        task = ImageLoss(options.image, self._context)
        return PruneStage(self.teacher, options, task, self.plan.search.seed)

    def _train(self, stage: TrainingStage, part: Literal["search", "tune"], name: str) -> None:
        config = self.plan.search if part == "search" else self.plan.tune
        folder, session = self._folder / f"{part}-{name}", SessionSettings(watch_every=0)
        progress = train(stage, config, self._batches[part], folder, session=session)
        if progress.step < config.optim.steps:
            raise UnsupportedError(
                f"the {part} of {name} was interrupted at step {progress.step}: run it again"
            )


@torch.no_grad()
def quality_of(trial: Trial, model: TinySR) -> Quality:
    """Measure a model of the teacher's latents on the trial's photos."""
    rows = [_distances(trial, model, pair) for pair in trial.pairs]
    losses, distillations = zip(*rows, strict=True)
    return Quality(
        loss=None if model is trial.teacher else float(np.mean(losses)),
        distillation=float(np.mean(distillations)),
        **fidelity_of(model, trial.teacher, trial.pairs).model_dump(),
    )


@torch.no_grad()
def fidelity_of(model: TinySR, teacher: TinySR, pairs: Sequence[PhotoPair]) -> Fidelity:
    """Measure any model against the truth, and against the teacher's images."""
    scores = evaluate(model, pairs)
    agreed = [
        psnr(upscale_array(model, pair.low), upscale_array(teacher, pair.low)) for pair in pairs
    ]
    return Fidelity(
        psnr=float(np.mean([score.psnr for score in scores])),
        ssim=float(np.mean([score.ssim for score in scores])),
        teacher_psnr=None if model is teacher else float(np.mean(agreed)),
    )


def _distances(trial: Trial, model: TinySR, pair: PhotoPair) -> tuple[float, float]:
    """Return the search's losses on a photo, and the distance from the teacher's velocity."""
    low, high = (torch.from_numpy(x).permute(2, 0, 1)[None] for x in (pair.low, pair.high))
    z = trial.teacher.encode(low)
    expected, v = trial.teacher.predict(z), model.predict(z)
    terms = trial.judge.weigh(v, expected, model.decode(z - v), high)
    return float(sum(terms.values())), float(squared_error(v, expected))
