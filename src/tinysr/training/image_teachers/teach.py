"""The stage ``teach``: an image teacher enlarges degraded crops, once, for all later stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from tinysr import paths
from tinysr.errors import CheckpointError
from tinysr.hashing import file_sha256
from tinysr.training.data import PatchBatches
from tinysr.training.engine import Team
from tinysr.training.engine.signals import stop_requests
from tinysr.training.image_teachers.config import TeachConfig
from tinysr.training.image_teachers.released import load_image_teacher
from tinysr.training.image_teachers.rrdbnet import RRDBNet
from tinysr.training.image_teachers.shards import (
    KINDS,
    count_listed,
    shard_origin,
    shard_path,
    to_bytes,
    write_index,
    write_shard,
)
from tinysr.training.photos import Photos

__all__ = ["Lesson", "teach"]

TellLine = Callable[[str], None]
"""Function that is called with each line about how long work goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """Images that a teacher is to enlarge, and the folder for its results."""

    config: TeachConfig
    teacher: Path
    folder: Path
    data: Path | None = None
    """Folder of photos; None shows synthetic images alone."""


def teach(lesson: Lesson, *, team: Team | None = None, said: TellLine = print) -> bool:
    """Make the shards that are missing; return whether all are there.

    A request to stop is followed after the batch at hand; the shard that it belongs to is made
    again next time.

    Raises:
        CheckpointError: the teacher can't be used, or the folder has the crops of another lesson.
        ImageError: the photos can't be read.
    """
    team, config = team or Team(), lesson.config
    photos = Photos(lesson.data, config.data.image_side) if lesson.data else None
    origin = _origin(lesson, photos)
    missing = [
        index for index in range(config.shards) if not _is_made(lesson.folder, index, origin)
    ]
    if missing:
        network = load_image_teacher(lesson.teacher)
        dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
        network.to(team.device, dtype)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        mine = missing[team.rank :: team.size]
        with stop_requests() as stopping:
            lessons = _Lessons(network, PatchBatches(config, photos), config, stopping)
            for done, index in enumerate(mine, start=1):
                start = time.monotonic()
                tensors = lessons.shard(index)
                if tensors is None:
                    return False
                write_shard(shard_path(lesson.folder, index), tensors, origin)
                said(_progress(index, len(mine) - done, time.monotonic() - start, config))
    team.wait()
    if team.leads and (missing or count_listed(lesson.folder) != config.shards):
        write_index(lesson.folder, origin, config.shards)
    team.wait()
    return True


def _origin(lesson: Lesson, photos: Photos | None) -> dict[str, Any]:
    files = sorted({lesson.teacher.with_suffix(s) for s in _suffixes(lesson.teacher)})
    here = [file for file in files if paths.is_file(file, CheckpointError)]
    return {
        # A shard is what its place in the row makes it, so a lesson may become longer.
        "config": lesson.config.model_dump(mode="json", exclude={"shards"}),
        "teacher": {file.suffix: file_sha256(file) for file in here},
        "data": photos.fingerprint if photos else None,
    }


def _suffixes(path: Path) -> tuple[str, ...]:
    return (".param", ".bin") if path.suffix in (".param", ".bin") else (path.suffix,)


def _is_made(folder: Path, index: int, origin: Mapping[str, Any]) -> bool:
    found = shard_origin(shard_path(folder, index))
    if found is not None and _complete(found) != origin:
        raise CheckpointError(
            f"{shard_path(folder, index)} was made by another config, teacher or data: remove the "
            "folder or choose another output"
        )
    return found is not None


def _complete(origin: dict[str, Any]) -> dict[str, Any]:
    """Return a shard's origin with the values of settings that did not exist when it was made."""
    try:
        config = TeachConfig.model_validate({**origin["config"], "shards": 1})
    except (KeyError, TypeError, ValidationError):
        return origin
    return origin | {"config": config.model_dump(mode="json", exclude={"shards"})}


@dataclass(frozen=True, slots=True)
class _Lessons:
    """A teacher before its crops."""

    network: RRDBNet
    batches: PatchBatches
    config: TeachConfig
    stopping: Callable[[], bool]

    def shard(self, index: int) -> dict[str, Tensor] | None:
        """Return a shard's crops, or None where the run is to stop."""
        weight = self.network.conv_first.weight
        first, rows = index * self.config.batches, []
        for step in range(first, first + self.config.batches):
            if self.stopping():
                return None
            batch = self.batches.finish(self.batches.load(step).to(weight.device))
            with torch.inference_mode():
                taught = self.network(batch.low.to(weight.dtype))
            images = (batch.low, batch.high, taught)
            rows.append([to_bytes(image).cpu() for image in images])
        kinds = zip(KINDS, zip(*rows, strict=True), strict=True)
        return {kind: torch.cat(images) for kind, images in kinds}


def _progress(index: int, left: int, seconds: float, config: TeachConfig) -> str:
    crops = config.batches * config.batch
    return (
        f"teach: shard {index}, {crops} crops in {seconds:.0f} s; "
        f"{left} left, about {left * seconds / 60:.0f} minutes"
    )
