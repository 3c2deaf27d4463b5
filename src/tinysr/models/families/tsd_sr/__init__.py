"""Models that students learn from, and that are never exported."""

from tinysr.models.families.tsd_sr.config import KlConfig, TsdSrConfig
from tinysr.models.families.tsd_sr.model import TsdSr

__all__ = ["KlConfig", "TsdSr", "TsdSrConfig"]
