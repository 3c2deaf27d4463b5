"""The figures that tell how good the packaged weights are, from what `make quality` measured."""

from __future__ import annotations

from pathlib import Path

from tinysr.errors import UnsupportedError
from tinysr.training.watch import CONSTANT

from ..quality.measure import Quality
from ..quality.report import BICUBIC, PEER, PhotoSet, Results, markdown_lines
from ..record import RESULTS, describe_provenance, read_record
from .documents import wrap_lines
from .kept_figures import read_figures

__all__ = ["headline_lines", "limit_lines", "quality_lines"]

MEASURED = RESULTS / "quality.json"

NATURAL, FAITHFUL = "tinysr-nano", "tinysr-nano-faithful"

_COLOURS = " + adain"
"""End of a method's name with the colour match that `tinysr upscale` applies by default."""

_TRIES = "src/tinysr/training/recipes/natural/TRIES.md"

_LEAST = 0.15
"""Distance in features that a transformer must take off for it to count as at work."""


def quality_lines(file: Path = MEASURED) -> list[str]:
    """Return all tables of a measurement."""
    lines = markdown_lines(_read(file))
    return [*lines, "", *wrap_lines(f"({describe_provenance(read_record(file))}.)")]


def headline_lines(file: Path = MEASURED) -> list[str]:
    """Return what both weights are on the photos that nothing was watched on, beside a peer."""
    results = _read(file)
    photos = _find_held_out(results, file)
    bicubic, faithful, natural = (
        _row(photos, name, file) for name in (BICUBIC, FAITHFUL + _COLOURS, NATURAL + _COLOURS)
    )
    text = (
        f"**Quality:** on {photos.images} images of photos that no training step saw, "
        f"`{NATURAL}` is {_features(natural):.2f} from the originals in the features of a network, "
        f"`{FAITHFUL}` {_features(faithful):.2f} and bicubic {_features(bicubic):.2f}; their mean "
        f"PSNR is {natural.psnr:.2f}, {faithful.psnr:.2f} and {bicubic.psnr:.2f} dB"
    )
    peer = next((name for name in photos.methods if name.startswith(PEER)), None)
    if peer is None:
        return wrap_lines(f"{text}.")
    theirs, speed = _row(photos, peer, file), results.speed
    text += f". {peer.removeprefix(PEER)} is {_features(theirs):.2f}, at {theirs.psnr:.2f} dB"
    if peer in speed and NATURAL in speed:
        faster = speed[peer].seconds / speed[NATURAL].seconds
        text += f", and takes {faster:.0f} times as long as `{NATURAL}`"
    return wrap_lines(f"{text}.")


def limit_lines(file: Path = MEASURED) -> list[str]:
    """Return what the transformers of both weights add."""
    photos = _find_held_out(_read(file), file)
    rows = [
        (name, _row(photos, name, file), _row(photos, name + CONSTANT, file))
        for name in (NATURAL, FAITHFUL)
    ]
    works = any(_features(flat) - _features(whole) >= _LEAST for _, whole, flat in rows)
    says, why = "do a part of the work", ""
    if not works:
        says = "contribute next to nothing: the autoencoders do the work"
        why = f" [No try]({_TRIES}) gave them a larger part without a worse picture."
    changes = " and ".join(
        f"from {whole.psnr:.2f} to {flat.psnr:.2f} dB and from {_features(whole):.2f} to "
        f"{_features(flat):.2f} in features for `{name}`"
        for name, whole, flat in rows
    )
    return wrap_lines(
        f"- **The transformers of the packaged weights {says}.** With its prediction averaged "
        f"over the image, the mean goes {changes}.{why}",
        indent="  ",
    )


def _read(file: Path) -> Results:
    return read_figures(Results, file, "make quality")


def _find_held_out(results: Results, file: Path) -> PhotoSet:
    if "unwatched" not in results.photos:
        raise UnsupportedError(f"{file}: expected held-out photos, as `make quality` measures")
    return results.photos["unwatched"]


def _row(photos: PhotoSet, name: str, file: Path) -> Quality:
    if name not in photos.methods:
        raise UnsupportedError(f"{file}: expected '{name}' among the methods")
    return photos.methods[name]


def _features(row: Quality) -> float:
    if row.features is None:
        raise UnsupportedError("expected distances in features: `make quality` has their weights")
    return row.features
