"""Small lessons of an image teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.image_teachers import save_plain, small_teacher
from tinysr.training.image_teachers import Lesson, TeachConfig

TINY: dict[str, Any] = {
    "shards": 2,
    "batches": 2,
    "patch": 32,
    "batch": 2,
    "data": {"image_side": 64, "pool": 2, "refresh": 2},
}


def lesson(folder: Path, **changes: Any) -> Lesson:
    """Return a small lesson; its teacher lies beside its folder."""
    teacher = folder.parent / "teacher.safetensors"
    if not teacher.exists():
        save_plain(small_teacher(), teacher)
    config = TeachConfig.model_validate(TINY | changes)
    return Lesson(config=config, teacher=teacher, folder=folder)


def hear_nothing(_line: str) -> None:
    """Hear nothing."""
