"""Writing a parity run down: verdicts in the manifest, reports beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinysr.atomic import write_atomically
from tinysr.manifest import MANIFEST_NAME, Artifact, Manifest, Verdict, to_json
from tinysr.metrics import Metrics

from .results import ArtifactResult

__all__ = ["REPORT_HTML", "REPORT_JSON", "save_manifest", "with_verdicts"]

REPORT_JSON = "reports/parity.json"
REPORT_HTML = "reports/parity.html"


def with_verdicts(manifest: Manifest, results: Sequence[ArtifactResult]) -> Manifest:
    """Return the manifest with the verdict of every artifact that was run.

    An artifact that ran on several backends gets the worst one's verdict. One that was not run
    keeps the verdict it had.
    """
    artifacts = tuple(_judge(artifact, results) for artifact in manifest.artifacts)
    return manifest.model_copy(update={"artifacts": artifacts})


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace a bundle's manifest, whole or not at all."""
    write_atomically(folder / MANIFEST_NAME, to_json(manifest))


def _judge(artifact: Artifact, results: Sequence[ArtifactResult]) -> Artifact:
    own = [result for result in results if result.is_of(artifact)]
    if not own:
        return artifact
    verdict: Verdict = min(own, key=_severity).verdict
    return artifact.model_copy(update={"parity": verdict})


def _severity(result: ArtifactResult) -> tuple[bool, float]:
    metrics: Metrics = result.worst.metrics
    return result.passed, metrics.rank
