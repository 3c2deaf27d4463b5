"""The figures that tell how good the packaged weights are, from what `make quality` measured."""

from __future__ import annotations

from pathlib import Path

from tinysr.errors import UnsupportedError

from ..quality.measure import Quality
from ..quality.report import BICUBIC, CONSTANT, PEER, PhotoSet, Results, markdown_lines
from ..record import RESULTS, describe_provenance, read_record
from .documents import wrap_lines
from .kept_figures import read_figures

__all__ = ["headline_lines", "limit_lines", "quality_lines"]

MEASURED = RESULTS / "quality.json"

NATURAL, FAITHFUL = "tinysr-nano", "tinysr-nano-faithful"

_COLOURS = " + adain"
"""End of a method's name with the colour match that `tinysr upscale` applies by default."""

_LEAST = 0.15
"""Distance in features that the transformer must take off for it to count as at work."""


def quality_lines(file: Path = MEASURED) -> list[str]:
    """Return all tables of a measurement."""
    lines = markdown_lines(_read(file))
    return [*lines, "", *wrap_lines(f"({describe_provenance(read_record(file))}.)")]


def headline_lines(file: Path = MEASURED) -> list[str]:
    """Return what both weights are on the photos that nothing was watched on, beside a peer."""
    results = _read(file)
    photos = _find_held_out(results, file)
    bicubic, natural, faithful = (
        _row(photos, name, file) for name in (BICUBIC, NATURAL + _COLOURS, FAITHFUL + _COLOURS)
    )
    text = (
        f"**Quality:** on {photos.images} images of photos that no training saw or was watched on, "
        f"`{NATURAL}` is {_features(natural):.2f} from the originals in a network's features and "
        f"has {natural.psnr:.2f} dB of PSNR. Bicubic has {_features(bicubic):.2f} and "
        f"{bicubic.psnr:.2f} dB, `{FAITHFUL}` {_features(faithful):.2f} and {faithful.psnr:.2f} dB"
    )
    peer = next((name for name in photos.methods if name.startswith(PEER)), None)
    if peer is None:
        return wrap_lines(f"{text}.")
    theirs, speed = _row(photos, peer, file), results.speed
    way = (_features(bicubic) - _features(natural)) / (_features(bicubic) - _features(theirs))
    text += (
        f", {peer.removeprefix(PEER)} {_features(theirs):.2f} and {theirs.psnr:.2f} dB: that is "
        f"{way:.0%} of the way"
    )
    if peer in speed and NATURAL in speed:
        faster = speed[peer].seconds / speed[NATURAL].seconds
        text += f", {faster:.0f} times as fast"
    return wrap_lines(f"{text}.")


def limit_lines(file: Path = MEASURED) -> list[str]:
    """Return what the transformer of the default weights adds."""
    photos = _find_held_out(_read(file), file)
    whole, flat = (_row(photos, name, file) for name in (NATURAL, NATURAL + CONSTANT))
    nearer, gain = _features(flat) - _features(whole), whole.psnr - flat.psnr
    says = "does a part of the work" if nearer >= _LEAST else "does little of the work"
    return wrap_lines(
        f"- **The transformer of `{NATURAL}` {says}.** With its prediction averaged over the "
        f"image, the distance in features goes from {_features(whole):.2f} to "
        f"{_features(flat):.2f}, and the PSNR changes by {-gain:+.2f} dB.",
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
