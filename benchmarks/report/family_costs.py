"""Costs of every family's models at full size, beside what papers publish and devices allow."""

from __future__ import annotations

import functools
from typing import Any

from tinysr.errors import choice_error
from tinysr.export.costs import count_forms
from tinysr.models import FAMILIES, find_preset, list_presets
from tinysr.models.family import Family, Published
from tinysr.records import StrictRecord

from .devices import Wanted, read_measured_runs, read_wanted
from .paper import paper_rows

__all__ = ["DEVICE", "Limits", "PresetCost", "count_presets", "find_limits"]

DEVICE = "NVIDIA V100"
"""The paper's device."""

_BYTES = 2
"""Bytes of a weight in fp16."""


class Limits(StrictRecord):
    """Peaks of a device: the most that it can do."""

    name: str
    precision: str
    """Type that it computes in."""
    tops: float
    """10¹² operations per second in that type."""
    gbps: float
    """10⁹ bytes of memory per second."""

    def bound_ms(self, macs: float, weight_bytes: float) -> float:
        """Return the least time of an image: all products at the peak, or all weights read once."""
        return max(2 * macs / self.tops / 1e9, weight_bytes / self.gbps / 1e6)


class PresetCost(StrictRecord):
    """A preset's costs for one image of 128×128 pixels."""

    preset: str
    family: str
    licence: str
    trained: float
    """Parameters as trained, in millions."""
    exported: float
    """Parameters of what is exported, in millions."""
    macs: float
    """Multiply-accumulates with weights as exported, in 10⁹."""
    attention: float
    """Multiply-accumulates of attention between activations, in 10⁹."""
    megabytes: float
    """10⁶ bytes of the exported weights in fp16."""
    bound_ms: float
    """Least time on the device, in milliseconds."""
    published_parameters: float | None
    """Parameters in the paper, in millions; null where it gives none."""
    published_macs: float | None
    """Multiply-accumulates in the paper, in 10⁹."""
    published_ms: float | None
    """Time in the paper's table on its device, in milliseconds."""
    note: str
    """Reason why what is published can't be what is counted, if it can't."""


def find_limits(device: str) -> Limits:
    """Return a device's peaks: its maker's, or those that were measured.

    Raises:
        UnsupportedError: there is no such device, or its peaks are not known.
    """
    known = {one.name: found for one in read_wanted() if (found := _read_stated(one)) is not None}
    for run in read_measured_runs():
        peaks = run.device.peaks
        fastest = max(
            ((top, precision) for precision, top in peaks.tops.items() if top), default=None
        )
        if fastest is not None and peaks.gbps is not None:
            known[run.device.name] = Limits(
                name=run.device.name, precision=fastest[1], tops=fastest[0], gbps=peaks.gbps
            )
    if device not in known:
        raise choice_error("device with known peaks", device, known)
    return known[device]


def _read_stated(device: Wanted) -> Limits | None:
    if "fp16" not in device.tops or device.gbps is None:
        return None
    return Limits(name=device.name, precision="fp16", tops=device.tops["fp16"], gbps=device.gbps)


def count_presets(limits: Limits) -> tuple[PresetCost, ...]:
    """Return the costs of every preset of every family, counted without allocating weights."""
    seconds = {row.method.lower(): row.seconds for row in paper_rows()}
    return tuple(
        _count(family, preset, limits, seconds.get(preset))
        for family in FAMILIES
        for preset in family.presets
    )


@functools.cache
def _count_totals(preset: str) -> dict[str, Any]:
    family = find_preset(preset)
    if family is None:
        raise choice_error("preset", preset, list_presets())
    totals: dict[str, Any] = count_forms(family.make_meta(preset))["totals"]
    return totals


def _count(family: Family, preset: str, limits: Limits, seconds: float | None) -> PresetCost:
    totals = _count_totals(preset)
    exported = totals["folded"]
    published = family.published.get(preset, Published(parameters=None, macs=None, source=""))
    size = exported["parameters"] * _BYTES
    return PresetCost(
        preset=preset,
        family=family.name,
        licence=family.licence,
        trained=totals["eager"]["parameters"] / 1e6,
        exported=exported["parameters"] / 1e6,
        macs=exported["macs"] / 1e9,
        attention=exported["attention_macs"] / 1e9,
        megabytes=size / 1e6,
        bound_ms=limits.bound_ms(exported["macs"] + exported["attention_macs"], size),
        published_parameters=published.parameters,
        published_macs=published.macs,
        published_ms=None if seconds is None else seconds * 1e3,
        note=published.note,
    )
