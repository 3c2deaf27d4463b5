"""Models that students learn from, and that are never exported."""

from tinysr.models.teachers.config import KlConfig, TsdSrConfig
from tinysr.models.teachers.tsd_sr import TsdSr

__all__ = ["KlConfig", "TsdSr", "TsdSrConfig"]
