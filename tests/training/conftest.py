"""A teacher and students, in the roles that stages ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.training import model
from tinysr.models.families.tinysr import save_single_file


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write a teacher and students in the roles that stages ask for."""
    folder = tmp_path_factory.mktemp("inputs")
    made = {
        "teacher": model(4, 32, separable=False),
        "student": model(2, 32, separable=False, seed=2),
        "vae": model(4, 26, separable=True, seed=3),
    }
    for role, module in made.items():
        save_single_file(module, folder / f"{role}.safetensors")
    return {role: folder / f"{role}.safetensors" for role in made}
