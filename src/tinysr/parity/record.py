"""Writing a parity run down: verdicts in the manifest, reports beside it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tinysr.errors import BundleError
from tinysr.manifest import MANIFEST_NAME, Artifact, Manifest, Verdict, to_json

from .metrics import Metrics
from .results import ArtifactResult

__all__ = ["REPORT_HTML", "REPORT_JSON", "save_manifest", "with_verdicts", "write_atomically"]

REPORT_JSON = "reports/parity.json"
REPORT_HTML = "reports/parity.html"


def with_verdicts(manifest: Manifest, results: Sequence[ArtifactResult]) -> Manifest:
    """Return the manifest with the verdict of every artifact that was run.

    An artifact that ran on several backends gets the worst one's verdict. One that was not run
    keeps the verdict it had.
    """
    artifacts = tuple(_judged(artifact, results) for artifact in manifest.artifacts)
    return manifest.model_copy(update={"artifacts": artifacts})


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace a bundle's manifest, whole or not at all."""
    write_atomically(folder / MANIFEST_NAME, to_json(manifest))


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that it is there complete, or as it was before.

    Raises:
        BundleError: its folder can't be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise BundleError(f"{path}: can't be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(_mode(path))
        Path(temporary).replace(path)
    except OSError as error:
        raise BundleError(f"{path}: can't be written: {error.strerror}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def _mode(path: Path) -> int:
    """Return the permissions a file has, or those that a new one gets."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _judged(artifact: Artifact, results: Sequence[ArtifactResult]) -> Artifact:
    own = [result for result in results if result.is_of(artifact)]
    if not own:
        return artifact
    verdict: Verdict = min(own, key=_severity).verdict
    return artifact.model_copy(update={"parity": verdict})


def _severity(result: ArtifactResult) -> tuple[bool, float]:
    metrics: Metrics = result.worst.metrics
    return result.passed, metrics.rank
