"""ICC profiles: kept byte for byte where they fit the pixels."""

from __future__ import annotations

__all__ = ["colour_space", "fit_profile"]

_HEADER = 128
_CLASSES = {b"scnr", b"mntr", b"prtr", b"spac"}
"""Classes of devices and colour spaces; links, abstract profiles and named colours fit no image."""


def colour_space(profile: bytes | None) -> str | None:
    """Return the colour space, as "RGB", "GRAY" or "CMYK"; none if it is no profile."""
    if profile is None or len(profile) < _HEADER or profile[36:40] != b"acsp":
        return None
    if int.from_bytes(profile[:4], "big") > len(profile) or profile[12:16] not in _CLASSES:
        return None
    return profile[16:20].decode("latin-1").strip()


def fit_profile(profile: bytes | None, channels: int) -> bytes | None:
    """Return a profile if it is one for pixels of so many channels, alpha included; else none.

    A profile of another colour space would make every viewer show wrong colours.
    """
    wanted = "GRAY" if channels <= 2 else "RGB"
    return profile if colour_space(profile) == wanted else None
