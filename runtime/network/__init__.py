"""The network on a whole image: its stages one after the other, each divided as it allows."""

from .network import MEMORY_MB, Network
from .pace import Pace
from .work import ImageWork, StageWork

__all__ = ["MEMORY_MB", "ImageWork", "Network", "Pace", "StageWork"]
