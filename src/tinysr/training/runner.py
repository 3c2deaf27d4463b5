"""One stage's run from config to product, in a folder of its own.

::

    RUN/  checkpoint.safetensors   all that the run needs to go on
          logs/                    TensorBoard's events
          model.safetensors        the product, once the run is finished
          run.json                 what made it: config, hashes of the inputs, measured figures
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tinysr import paths
from tinysr.atomic import write_atomically
from tinysr.errors import CheckpointError
from tinysr.models import PRESETS, load_checkpoint
from tinysr.models.families.tinysr import save_single_file
from tinysr.training.config import RunConfig
from tinysr.training.data import PatchBatches
from tinysr.training.engine import (
    CHECKPOINT,
    Batches,
    RunProgress,
    SessionSettings,
    Team,
    TrainingStage,
    read_progress,
    train,
)
from tinysr.training.engine.display import show_steps
from tinysr.training.image_teachers.batches import TaughtBatches
from tinysr.training.image_teachers.shards import TAUGHT, read_taught
from tinysr.training.photos import Photos
from tinysr.training.stages import Context, build, watches_features
from tinysr.training.stages.pixel_loss import FEATURES
from tinysr.training.watch import ValidationWatcher

__all__ = ["PRODUCT", "RECORD", "StageRun", "input_sha256", "is_finished", "run_stage"]

PRODUCT = "model.safetensors"
"""File name of what a stage hands on, inside a run's folder."""

RECORD = "run.json"
"""File name of what made the product: config, hashes of the inputs, measured figures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageRun:
    """A stage to run."""

    config: RunConfig
    folder: Path
    inputs: Mapping[str, Path] = field(default_factory=dict)
    """Checkpoints that the stage starts from, by role."""
    data: Path | None = None
    """Folder of images; None trains on synthetic ones alone."""
    checkpoint: Path | None = None
    """Checkpoint to go on from, in place of the folder's own."""


def run_stage(
    job: StageRun,
    *,
    resume: bool = False,
    session: SessionSettings | None = None,
    team: Team | None = None,
) -> RunProgress:
    """Run a stage until it is finished or asked to stop; return how far it came.

    Raises:
        TinySRError: the config, an input, the data or the folder can't be used.
    """
    session, team, config = session or SessionSettings(), team or Team(), job.config
    photos = Photos(job.data, config.data.image_side) if job.data else None
    stage = build(config, Context(seed=config.seed, device=team.device, inputs=job.inputs))
    inputs = {role: input_sha256(path) for role, path in job.inputs.items()}
    batches = _batches(job, photos)
    if photos is not None:
        inputs["data"] = photos.fingerprint
    checkpoint = job.checkpoint or job.folder / CHECKPOINT if resume else None
    with _add_reports(job, checkpoint, session, team) as told:
        progress = train(
            stage,
            config,
            batches,
            job.folder,
            resume=checkpoint,
            inputs=inputs,
            session=told,
            team=team,
        )
    if team.leads and progress.step >= config.optim.steps:
        save_single_file(stage.product(), job.folder / PRODUCT)
        _write_record(job.folder, progress, stage)
    team.wait()
    return progress


def _batches(job: StageRun, photos: Photos | None) -> Batches:
    """Return an image teacher's crops where the job has them, or degrade patches on the way."""
    if TAUGHT in job.inputs:
        return TaughtBatches(job.config, read_taught(job.inputs[TAUGHT]))
    return PatchBatches(job.config, photos)


def is_finished(folder: Path) -> bool:
    """Whether a run's folder holds its product."""
    return paths.is_file(folder / PRODUCT, CheckpointError)


@contextlib.contextmanager
def _add_reports(
    job: StageRun, checkpoint: Path | None, session: SessionSettings, team: Team
) -> Iterator[SessionSettings]:
    """Add to a session what shows it and measures it, where this process leads."""
    if not team.leads:
        yield session
        return
    first = read_progress(checkpoint).step if checkpoint else 0
    features = job.inputs.get(FEATURES) if watches_features(job.config) else None
    watch = ValidationWatcher(team.device, features)
    with show_steps(job.folder, job.config.stage, first, job.config.optim.steps) as report:
        yield dataclasses.replace(
            session, report=session.report or report, watch=session.watch or watch
        )


def _write_record(folder: Path, progress: RunProgress, stage: TrainingStage) -> None:
    """Keep beside the product what made it."""
    record = {
        "config": progress.config.model_dump(mode="json"),
        "inputs": dict(progress.inputs),
        "seconds": progress.seconds,
        "history": progress.history,
        "product": stage.facts(),
    }
    text = json.dumps(record, indent=2) + "\n"
    write_atomically(folder / RECORD, text, CheckpointError)


def input_sha256(path: Path) -> str:
    """Return what tells an input from others: of a file, of a folder's files, or of a preset.

    Raises:
        CheckpointError: a file can't be read.
    """
    if str(path) in PRESETS:
        return load_checkpoint(path).source.sha256
    digest = hashlib.sha256()
    # Through links to folders too, behind which large weights often lie.
    folder = paths.is_folder(path, CheckpointError)
    files = paths.files_below(path, CheckpointError, through_links=True) if folder else [path]
    try:
        for file in files:
            digest.update(file.relative_to(path).as_posix().encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read: {error.strerror}") from error
    return digest.hexdigest()
