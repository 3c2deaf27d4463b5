"""Settings: everything beside an image's bytes that its result depends on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

import tinysr

from ..background import Colour
from ..upscaler import Upscaler

__all__ = ["FolderSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderSettings:
    """Options that hold for all images."""

    color: str = "adain"
    provider: str | None = None
    overwrite: bool = False
    """Replace files that exist."""
    background: Colour | None = None
    """Colour that is put behind images with transparency; None keeps it."""
    page: int | None = None
    """Page or frame that is taken of files with several, from 1; None for the only one."""
    alpha_is_data: bool = False
    """Alpha is no opacity: colours are enlarged as they are where it is 0."""
    take_damaged: bool = False
    """Take what there is of damaged images; it is not hashed, because it changes no image that was
    made without it."""

    def with_page(self, page: int | None) -> FolderSettings:
        """Return the settings of a job that has its own page, or these."""
        return self if page is None else replace(self, page=page)

    def sha256(self, upscaler: Upscaler, file_format: str) -> str:
        """Return the hash of all that a result depends on, in hexadecimal.

        The weights count by their hashes, so a bundle may be moved; memory and the size of windows
        do not count, because they change no result, but where a stage may take an image whole.
        """
        manifest = upscaler.bundle.manifest
        artifacts = [session.artifact for session in upscaler.sessions.values()]
        known = {
            "tinysr": tinysr.__version__,
            "source": manifest.source.sha256,
            "graphs": [[f.sha256 for f in (a.file, *a.data)] for a in artifacts],
            "chain": manifest.chain.model_dump(),
            "backend": [upscaler.choice.backend, self.provider, upscaler.choice.precision],
            "color": self.color,
            "scale": upscaler.scale,
            "format": file_format,
            "background": self.background,
            **({"memory": upscaler.memory_mb} if manifest.chain.may_be_whole else {}),
            **({} if self.page is None else {"page": self.page}),
            # Named only where they are set: what was made before they existed stays up to date.
            **({"alpha is data": True} if self.alpha_is_data else {}),
        }
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
