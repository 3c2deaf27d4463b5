"""Base of all records that are read from files or written to them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["StrictRecord"]


class StrictRecord(BaseModel):
    """Frozen data; a key that no field has is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
