"""A whole recipe: its stages one after the other, each from what earlier ones handed on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinysr import paths
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models import PRESETS
from tinysr.training.config import parse_config, read_config
from tinysr.training.engine import CHECKPOINT, SessionSettings, Team
from tinysr.training.image_teachers import Lesson, read_teach_config, teach
from tinysr.training.image_teachers.config import TEACH
from tinysr.training.image_teachers.teach import TellLine
from tinysr.training.recipes import GUEST_SOURCES, SOURCES, STARTS, config_path, stages_of
from tinysr.training.runner import PRODUCT, RECORD, StageRun, run_stage
from tinysr.training.stages import uses_features
from tinysr.training.stages.pixel_loss import FEATURES

__all__ = ["RecipeRun", "run_chain"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeRun:
    """A recipe to run."""

    recipe: str
    folder: Path
    """Each stage's run gets a folder of its name in it."""
    inputs: Mapping[str, Path] = field(default_factory=dict)
    """Checkpoints in the place of a stage's product, by role, or ``features`` for LPIPS."""
    data: Path | None = None
    image_teacher: Path | None = None
    """An RRDBNet's file, for recipes that begin with the stage ``teach``."""
    changes: Sequence[str] = ()
    """Changes of configs: ``stage/table.key=value``, or of all stages without the stage."""

    def jobs(self) -> dict[str, StageRun]:
        """Return what each stage does, in order.

        Raises:
            UnsupportedError: the recipe, a change or an input can't be.
        """
        stages = self._stages()
        jobs = {stage: self._job(stage, stages) for stage in stages if stage != TEACH}
        self._check_inputs(jobs.values())
        return jobs

    def lesson(self) -> Lesson | None:
        """Return what the recipe's image teacher enlarges first; None where it has none.

        Raises:
            UnsupportedError: an image teacher is missing, or given to a recipe without one.
        """
        stages = self._stages()
        if TEACH not in stages:
            if self.image_teacher is not None:
                raise UnsupportedError(f"--image-teacher: no stage of '{self.recipe}' uses one")
            return None
        if self.image_teacher is None:
            raise UnsupportedError(
                f"'{self.recipe}' needs an image teacher: give --image-teacher FILE (an RRDBNet as "
                f".pth, or ncnn's .param beside its .bin), or --input {TEACH}=FOLDER of its crops"
            )
        config = config_path(f"{self.recipe}/{TEACH}")
        return Lesson(
            config=read_teach_config(config, self._changes(TEACH, stages)),
            teacher=self.image_teacher,
            folder=self.folder / TEACH,
            data=self.data,
        )

    def _stages(self) -> tuple[str, ...]:
        return tuple(stage for stage in stages_of(self.recipe) if stage not in self.inputs)

    def _check_inputs(self, jobs: Iterable[StageRun]) -> None:
        """Refuse inputs that no stage reads, and those that are not there."""
        read = {path for job in jobs for path in job.inputs.values()}
        for role, path in self.inputs.items():
            if path not in read:
                raise UnsupportedError(
                    f"--input {role}: no stage of '{self.recipe}' with this config takes it"
                )
            if str(path) not in PRESETS and not paths.exists(path, UnsupportedError):
                raise UnsupportedError(
                    f"--input {role}: expected a preset or a checkpoint, found nothing at {path}"
                )

    def _job(self, stage: str, stages: Sequence[str]) -> StageRun:
        config = read_config(config_path(f"{self.recipe}/{stage}"), self._changes(stage, stages))
        inputs, starts = {}, STARTS.get(self.recipe, {})
        for role, source in self._sources(stage).items():
            if source in self.inputs:
                inputs[role] = self.inputs[source]
            elif source in starts:
                inputs[role] = Path(starts[source])
            elif source in stages:
                taught = source == TEACH
                inputs[role] = self.folder / source if taught else self.folder / source / PRODUCT
            else:
                raise UnsupportedError(
                    f"{self.recipe} has no stage '{source}': give its checkpoint with "
                    f"--input {source}=PATH"
                )
        if FEATURES in self.inputs and uses_features(config):
            inputs[FEATURES] = self.inputs[FEATURES]
        return StageRun(config=config, folder=self.folder / stage, inputs=inputs, data=self.data)

    def _sources(self, stage: str) -> dict[str, str]:
        guest = GUEST_SOURCES if "teacher" in self.inputs else {}
        return SOURCES.get(stage, {}) | guest.get(stage, {})

    def _changes(self, stage: str, stages: Sequence[str]) -> list[str]:
        mine = []
        for change in self.changes:
            key = change.partition("=")[0]
            owner, slash, _ = key.partition("/")
            if not slash:
                mine.append(change)
            elif owner == stage:
                mine.append(change.removeprefix(f"{stage}/"))
            elif owner not in stages:
                raise UnsupportedError(
                    f"--set {change}: unknown stage '{owner}': expected one of {', '.join(stages)}"
                )
        return mine


def run_chain(
    chain: RecipeRun,
    *,
    session: SessionSettings | None = None,
    team: Team | None = None,
    said: TellLine = print,
) -> Path | None:
    """Run a recipe's stages; those that are finished are skipped, others go on where they were.

    Returns:
        the folder of the last stage's run, or None if the chain was asked to stop.

    Raises:
        TinySRError: a config, an input or the data can't be used, or a finished stage was
            finished with another config.
    """
    lesson, jobs = chain.lesson(), chain.jobs()
    # All configs are known to be right before hours are spent on the first.
    if lesson is not None and not teach(lesson, team=team, said=said):
        said(f"{TEACH}: stopped; the same command goes on")
        return None
    for stage, job in jobs.items():
        if _is_finished(job):
            said(f"{stage}: finished before")
            continue
        resume = paths.is_file(job.folder / CHECKPOINT, CheckpointError)
        said(f"{stage}: {'goes on' if resume else 'starts'}")
        progress = run_stage(job, resume=resume, session=session, team=team)
        if progress.step < job.config.optim.steps:
            said(f"{stage}: stopped at step {progress.step}; the same command goes on")
            return None
    return next(reversed(jobs.values())).folder


def _is_finished(job: StageRun) -> bool:
    """Whether a stage is finished; refuse one that was finished with another config."""
    record = job.folder / RECORD
    files = (record, job.folder / PRODUCT)
    if not all(paths.is_file(path, CheckpointError) for path in files):
        return False
    try:
        data = json.loads(record.read_text(encoding="utf-8"))
        made = parse_config(data["config"], str(record))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{record}: can't be read: {error}") from error
    if made != job.config:
        raise CheckpointError(
            f"{job.folder} was finished with another config: remove it or choose another output"
        )
    return True
