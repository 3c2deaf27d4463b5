"""Search for a smaller UNet: which of a teacher's blocks to keep (TOC-SR, section 3)."""

from tinysr.training.architecture.search import SearchOptions, find_architecture, make_student
from tinysr.training.architecture.trials import SearchRecord, TrialRecord

__all__ = ["SearchOptions", "SearchRecord", "TrialRecord", "find_architecture", "make_student"]
