"""The parity harness: no artifact passes that departs from the eager model."""

from .bisection import bisect
from .gate import bisect_failures, gate_bundle
from .gates import DEPARTURE, GATES_DB, SEAM_RATIO, departure, gate_db
from .record import REPORT_HTML, REPORT_JSON, save_manifest, with_verdicts
from .reference import Reference, eager_reference, further_references
from .report import html_text
from .results import ArtifactResult, BisectResult, BisectRow, ImageResult, ParityReport, SeamResult
from .run import ParityRun, run_artifact, run_parity
from .seams import SeamReference, measure_seams, seam_ratio, seam_reference

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
    "SeamReference",
    "SeamResult",
    "bisect",
    "bisect_failures",
    "departure",
    "eager_reference",
    "further_references",
    "gate_bundle",
    "gate_db",
    "html_text",
    "measure_seams",
    "run_artifact",
    "run_parity",
    "save_manifest",
    "seam_ratio",
    "seam_reference",
    "with_verdicts",
]
