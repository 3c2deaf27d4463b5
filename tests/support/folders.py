"""Folders: compared as a whole, and with an older bundle in them."""

from __future__ import annotations

from pathlib import Path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def old_bundle(place: Path) -> dict[str, bytes]:
    """Put something in place that looks like an older bundle, and return its files."""
    place.mkdir(parents=True)
    (place / "manifest.json").write_text("{}")
    (place / "old.onnx").write_text("old")
    return tree(place)


def beside(place: Path) -> list[str]:
    return sorted(path.name for path in place.parent.iterdir())
