"""Reading a bundle: its manifest, and its files once their hashes were checked."""

from __future__ import annotations

from pathlib import Path

from tinysr.errors import BundleError
from tinysr.manifest import Artifact, FileEntry, Manifest, read_manifest
from tinysr.stages import StageName

from .integrity import find_fault

__all__ = ["Bundle"]


class Bundle:
    """A bundle's folder and its manifest. No file is read before its hash was checked."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest: Manifest = read_manifest(self.folder)
        self._checked: set[str] = set()

    def artifacts(self, target: str | None = None) -> tuple[Artifact, ...]:
        """Return the artifacts, of one target or of all."""
        return tuple(a for a in self.manifest.artifacts if target in (None, a.target))

    def artifact(self, target: str, stage: StageName, precision: str) -> Artifact:
        """Return one artifact.

        Raises:
            BundleError: the bundle has none such; the message says what it has.
        """
        for artifact in self.manifest.artifacts:
            if (artifact.target, artifact.stage, artifact.precision) == (target, stage, precision):
                return artifact
        have = ", ".join(a.label for a in self.manifest.artifacts) or "no artifacts"
        raise BundleError(
            f"{self.folder}: expected {target}/{stage} {precision}, found only {have}"
        )

    def path(self, artifact: Artifact) -> Path:
        """Return the path of an artifact's graph, once all of its files are as described.

        Raises:
            BundleError: a file is missing, or has another size or hash.
        """
        for entry in (artifact.file, *artifact.data):
            self._check(entry, artifact)
        return self.folder / artifact.file.path

    def _check(self, entry: FileEntry, artifact: Artifact) -> None:
        if entry.path in self._checked:
            return
        if fault := find_fault(self.folder, entry):
            raise BundleError(f"{artifact.label}: {self.folder / entry.path}: {fault.words}")
        self._checked.add(entry.path)
