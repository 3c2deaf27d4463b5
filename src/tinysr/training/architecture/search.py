"""ε-constrained Bayesian optimisation over the parts of a teacher's UNet.

A Gaussian process models both the cost and the distance of candidates; the next one is where it
expects most of what is minimised within the limit (TOC-SR, section 3).
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tinysr.enlarging import enlarge
from tinysr.errors import UnsupportedError, require
from tinysr.models import OneStepModel
from tinysr.models.families.stable_diffusion import StableDiffusionSr
from tinysr.models.families.stable_diffusion.build import build_model
from tinysr.progress import Progress
from tinysr.suite.images import suite
from tinysr.training.architecture import features
from tinysr.training.architecture.space import inherit, list_parts, shrink
from tinysr.training.architecture.trials import (
    SearchRecord,
    TrialRecord,
    read_record,
    write_record,
)

__all__ = ["SearchOptions", "find_architecture", "make_student"]

_FIRST = 8
"""Candidates at random, before anything is modelled."""

_IMAGES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchOptions:
    """Options of a search."""

    limit: Literal["cost", "distance"] = "cost"
    epsilon: float = 0.5
    trials: int = 40
    """Candidates to measure, those of an interrupted search among them."""
    measure: Literal["products", "latency"] = "products"
    tile: int = 128
    """Side of the images whose features are compared, in pixels of the image."""
    seed: int = 80


@dataclass(kw_only=True, slots=True)
class _Subject:
    """A teacher, and what candidates are held against."""

    teacher: StableDiffusionSr
    latents: Tensor
    measure: str
    means: dict[str, Tensor] = field(init=False)
    expected: dict[str, Tensor] = field(init=False)
    cost: float = field(init=False)

    def __post_init__(self) -> None:
        self.means = features.find_means(self.teacher, self.latents)
        self.expected = features.find_features(self.teacher, self.latents)
        self.cost = self.find_cost(self.teacher)

    def find_cost(self, model: StableDiffusionSr) -> float:
        if self.measure == "latency":
            return features.measure_latency(model, self.latents)
        return features.count_products(model.config, self.latents[:1])

    def measure_trial(self, dropped: Collection[str]) -> TrialRecord:
        student = make_student(self.teacher, dropped, self.means)
        found = features.find_features(student, self.latents)
        return TrialRecord(
            dropped=tuple(sorted(dropped)),
            cost=self.find_cost(student) / self.cost,
            distance=features.measure_distance(found, self.expected),
        )


def make_student(
    teacher: StableDiffusionSr, dropped: Collection[str], means: dict[str, Tensor]
) -> StableDiffusionSr:
    """Return a teacher without some parts, whose averages the biases before them take over.

    Raises:
        UnsupportedError: a part is none of the model's.
    """
    config = shrink(teacher.config, dropped)
    tensors = inherit(teacher.state_dict(), teacher.config, dropped, means)
    return build_model(config, tensors, Path("the candidate"))


def find_architecture(
    model: OneStepModel, sha256: str, folder: Path, options: SearchOptions, progress: Progress
) -> tuple[SearchRecord, StableDiffusionSr | None]:
    """Search, and go on where a search of the same options in this folder ended.

    Returns:
        All that was tried, and the best candidate that keeps the limit, if one does.

    Raises:
        UnsupportedError: the model has no UNet of these families, or the folder is another's.
        MissingBackendError: the package of the optimisation is missing.
    """
    if not isinstance(model, StableDiffusionSr):
        raise UnsupportedError(
            "expected a model around Stable Diffusion's UNet (toc-sr, pisa-sr or osediff), found a "
            f"{type(model).__name__}"
        )
    optuna = require("optuna", extra="search")
    fresh = SearchRecord(
        model_sha256=sha256,
        seed=options.seed,
        tile=options.tile,
        measure=options.measure,
        limit=options.limit,
        epsilon=options.epsilon,
    )
    record = read_record(folder, fresh)
    subject = _Subject(
        teacher=model, latents=_find_latents(model, options), measure=options.measure
    )
    parts = list_parts(model.config)
    while len(record.trials) < options.trials:
        progress("measuring candidates", len(record.trials), options.trials)
        dropped = _suggest(optuna, record, parts)
        known = [trial for trial in record.trials if set(trial.dropped) == set(dropped)]
        trial = known[0] if known else subject.measure_trial(dropped)
        record = record.model_copy(update={"trials": (*record.trials, trial)})
        write_record(folder, record)
    best = record.best
    student = None if best is None else make_student(model, best.dropped, subject.means)
    return record, student


def _suggest(optuna: Any, record: SearchRecord, parts: tuple[str, ...]) -> list[str]:
    """Return the next candidate; the same one whenever the record is the same."""
    number = len(record.trials)
    if number < 2:  # all and nothing, which bound what there is
        return list(parts) if number else []
    aim = "distance" if record.limit == "cost" else "cost"
    either = optuna.distributions.CategoricalDistribution([False, True])
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constraints are marked as experimental
        sampler = optuna.samplers.GPSampler(
            seed=record.seed + number,
            n_startup_trials=_FIRST,
            deterministic_objective=True,
            constraints_func=lambda trial: trial.user_attrs["constraints"],
        )
        study = optuna.create_study(sampler=sampler)
        for trial in record.trials:
            excess = (getattr(trial, record.limit) - record.epsilon,)
            study.add_trial(
                optuna.trial.create_trial(
                    params={part: part in trial.dropped for part in parts},
                    distributions=dict.fromkeys(parts, either),
                    value=getattr(trial, aim),
                    user_attrs={"constraints": excess},
                    system_attrs={"constraints": excess},
                )
            )
        asked = study.ask(dict.fromkeys(parts, either))
    return [part for part in parts if asked.params[part]]


@torch.no_grad()
def _find_latents(model: StableDiffusionSr, options: SearchOptions) -> Tensor:
    """Return the latents of the suite's first photos, as the teacher's encoder gives them."""
    photos = np.stack([image.pixels for image in suite(options.tile)[:_IMAGES]])
    images = torch.from_numpy(enlarge(photos, model.config.scale))
    return model.run_stage("encoder", images)
