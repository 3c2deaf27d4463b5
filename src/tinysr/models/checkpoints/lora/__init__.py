"""LoRAs as people have them: found, their names and strength understood, merged."""

from .find import find_lora
from .merge import merge_adapters, merge_lora, merge_weight

__all__ = ["find_lora", "merge_adapters", "merge_lora", "merge_weight"]
