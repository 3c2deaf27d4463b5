"""The parity harness: no artifact passes that departs from the eager model."""

from .bisection import bisect
from .gate import bisect_failures, gate_bundle
from .gates import DEPARTURE, GATES_DB, departure, gate_db
from .images import SuiteImage, suite, user_images
from .metrics import Metrics, measure
from .record import REPORT_HTML, REPORT_JSON, save_manifest, with_verdicts
from .reference import Progress, Reference, eager_reference
from .report import html_text
from .results import ArtifactResult, BisectResult, BisectRow, ImageResult, ParityReport
from .run import ParityRun, run_artifact, run_parity

__all__ = [
    "DEPARTURE",
    "GATES_DB",
    "REPORT_HTML",
    "REPORT_JSON",
    "ArtifactResult",
    "BisectResult",
    "BisectRow",
    "ImageResult",
    "Metrics",
    "ParityReport",
    "ParityRun",
    "Progress",
    "Reference",
    "SuiteImage",
    "bisect",
    "bisect_failures",
    "departure",
    "eager_reference",
    "gate_bundle",
    "gate_db",
    "html_text",
    "measure",
    "run_artifact",
    "run_parity",
    "save_manifest",
    "suite",
    "user_images",
    "with_verdicts",
]
