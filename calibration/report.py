"""A calibration as one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64

from tinysr.pages import page

from .calibrate import Calibration
from .plot import draw_headroom
from .ranges.record import PERCENTS

__all__ = ["draw_headroom_png", "render_html"]


def render_html(found: Calibration, plot: bytes) -> str:
    """Return the page. Every name in it is escaped: image files and checkpoints are the user's.

    Args:
        found: the calibration.
        plot: from :func:`.plot.draw_headroom`.

    Raises:
        MissingBackendError: jinja2 is not installed.
    """
    values = {
        "kept": _list_kept(found),
        "modules": sorted(found.ranges.modules, key=lambda module: module.headroom),
        "ops": sorted(found.ranges.ops, key=lambda op: -op.absmax),
        "percents": PERCENTS,
        "plan": found.plan,
        "plot": base64.b64encode(plot).decode(),
        "ranges": found.ranges,
        "verdict": found.verdict,
    }
    filters = {"number": _number, "share": _share}
    return page("tinysr.calibration", "report.html.j2", values, filters, extra="calibrate")


def draw_headroom_png(found: Calibration) -> bytes:
    """Return the headroom's plot."""
    return draw_headroom(found.ranges.modules, _list_kept(found), found.plan.margin)


def _list_kept(found: Calibration) -> list[str]:
    """Return the modules that the plan keeps, ``.*`` written out."""
    return list(found.plan.list_wide([module.module for module in found.ranges.modules]))


def _number(value: float) -> str:
    return f"{value:.4g}"


def _share(value: float) -> str:
    return "0" if value == 0 else f"{100 * value:.2g} %"
