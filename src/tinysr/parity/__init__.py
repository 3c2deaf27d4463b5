"""The parity harness: no artifact passes that departs from the eager model."""

from .bisection import bisect
from .gate import ReportCopies, bisect_failures, gate_bundle
from .gates import DEPARTURE, GATES_DB, SEAM_RATIO, departure, gate_db
from .record import REPORT_HTML, REPORT_JSON, save_manifest, with_verdicts
from .reference import Reference, compute_further_references, compute_references
from .report import render_html
from .results import ArtifactResult, BisectResult, BisectRow, ImageResult, ParityReport, SeamResult
from .run import ParityRun, run_artifact, run_parity
from .seams import SeamReference, compute_seam_references, measure_seams, seam_ratio

__all__ = [
    "DEPARTURE",
    "GATES_DB",
    "REPORT_HTML",
    "REPORT_JSON",
    "SEAM_RATIO",
    "ArtifactResult",
    "BisectResult",
    "BisectRow",
    "ImageResult",
    "ParityReport",
    "ParityRun",
    "Progress",
    "Reference",
    "ReportCopies",
    "SeamReference",
    "SeamResult",
    "bisect",
    "bisect_failures",
    "compute_further_references",
    "compute_references",
    "compute_seam_references",
    "departure",
    "gate_bundle",
    "gate_db",
    "measure_seams",
    "render_html",
    "run_artifact",
    "run_parity",
    "save_manifest",
    "seam_ratio",
    "with_verdicts",
]
