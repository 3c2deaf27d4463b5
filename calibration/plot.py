"""The headroom of every module, drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import cycle
from math import log2
from typing import Any

from tinysr.errors import require

from .ranges.record import ModuleRange

__all__ = ["draw_headroom"]

_COLOURS = ("#2f7ed8", "#8a56c2", "#2a9d74", "#c77c11", "#5f6b7a")
"""Colours of the stages, over and over."""
_KEPT = "#d1493f"
_DPI = 150
_WIDTH = 9.0  # inches
_ROW = 0.085  # inches of a module's bar


def draw_headroom(modules: Sequence[ModuleRange], kept: Sequence[str], margin: float) -> bytes:
    """Draw a bar per module, in the model's order: powers of two up to fp16's largest value.

    Args:
        modules: measured.
        kept: those that the plan keeps in fp32, drawn in red.
        margin: drawn as a line that bars in fp16 must reach.

    Raises:
        MissingBackendError: matplotlib is not installed.
    """
    figures: Any = require("matplotlib.figure", extra="calibrate")
    figure = figures.Figure(figsize=(_WIDTH, 1.2 + _ROW * len(modules)), dpi=_DPI)
    axes = figure.subplots()
    places = range(len(modules))
    axes.barh(places, [m.headroom for m in modules], height=0.8, color=_colours(modules, kept))
    axes.axvline(log2(margin), color="#222222", linewidth=1, linestyle="--")
    axes.axvline(0, color="#222222", linewidth=1)
    axes.set_yticks(places, [m.module for m in modules], fontsize=4)
    axes.set_ylim(len(modules) - 0.5, -0.5)
    axes.set_xlabel(f"headroom in powers of two; dashed: the margin of {margin:g}", fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight", metadata={"Software": None})
    return file.getvalue()


def _colours(modules: Sequence[ModuleRange], kept: Sequence[str]) -> list[str]:
    stages = list(dict.fromkeys(m.module.split(".")[0] for m in modules))
    colours = dict(zip(stages, cycle(_COLOURS), strict=False))
    return [_KEPT if m.module in kept else colours[m.module.split(".")[0]] for m in modules]
