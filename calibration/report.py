"""A calibration as one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
from importlib import resources
from typing import Any

from tinysr.errors import require

from .calibrate import Calibration
from .plot import headroom_png
from .ranges import PERCENTS

__all__ = ["html_text", "plot_png"]


def html_text(found: Calibration, plot: bytes) -> str:
    """Return the page. Every name in it is escaped: image files and checkpoints are the user's.

    Args:
        found: the calibration.
        plot: from :func:`.plot.headroom_png`.

    Raises:
        MissingBackendError: jinja2 is not installed.
    """
    jinja2: Any = require("jinja2", extra="calibrate")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, share=_share)
    page: str = environment.get_template("report.html.j2").render(
        kept=_kept(found),
        modules=sorted(found.ranges.modules, key=lambda module: module.headroom),
        ops=sorted(found.ranges.ops, key=lambda op: -op.absmax),
        percents=PERCENTS,
        plan=found.plan,
        plot=base64.b64encode(plot).decode(),
        ranges=found.ranges,
        verdict=found.verdict,
    )
    return page


def plot_png(found: Calibration) -> bytes:
    """Return the headroom's plot."""
    return headroom_png(found.ranges.modules, _kept(found), found.plan.margin)


def _kept(found: Calibration) -> list[str]:
    """Return the modules that the plan keeps, ``.*`` written out."""
    return list(found.plan.wide([module.module for module in found.ranges.modules]))


def _template(name: str) -> str:
    # The parity report's looks, so that all reports are of one kind.
    package = "tinysr.parity" if name == "report.css.j2" else "tinysr.calibration"
    return (resources.files(package) / name).read_text(encoding="utf-8")


def _number(value: float) -> str:
    return f"{value:.4g}"


def _share(value: float) -> str:
    return "0" if value == 0 else f"{100 * value:.2g} %"
