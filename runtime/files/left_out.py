"""Files of a folder that are left out: what they are, by their suffixes, and why."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["describe_left_out", "explain_suffix"]

_NO_IMAGE = "not images"

_KINDS = {
    "raw photos: develop them first, to TIFF or JPEG": (
        ".3fr .arw .cr2 .cr3 .crw .dng .erf .iiq .kdc .mef .mrw .nef .nrw .orf .pef .raf .raw .rw2 "
        ".rwl .sr2 .srf .srw .x3f"
    ),
    "images of other kinds: convert them to PNG first": (
        ".clip .dds .djvu .eps .exr .fits .hdr .jxr .kra "
        ".pcx .pict .psb .psd .pspimage .sgi .wdp "
        ".xcf .xpm"
    ),
    "drawings and documents: export them as PNG": ".ai .cdr .emf .pdf .svg .svgz .wmf",
    "films: save frames as PNG": ".3gp .avi .m4v .mkv .mov .mp4 .mpg .webm .wmv",
}
"""Reasons, and the suffixes of the files that have them. All others are no images."""

_REASONS = {suffix: reason for reason, found in _KINDS.items() for suffix in found.split()}


def explain_suffix(suffix: str) -> str:
    """Return what files of a suffix are that is not read, in lower case, and what to do."""
    return _REASONS.get(suffix, _NO_IMAGE)


def describe_left_out(counts: Mapping[str, int]) -> str:
    """Return one line on the files that were left out, by reason; what is no image comes last.

    Args:
        counts: suffixes, and how many files have each.
    """
    groups: dict[str, list[str]] = {}
    for suffix, count in sorted(counts.items(), key=lambda pair: -pair[1]):
        words = f"{count} {suffix or 'without a suffix'}"
        groups.setdefault(explain_suffix(suffix), []).append(words)
    ordered = sorted(groups.items(), key=lambda pair: pair[0] == _NO_IMAGE)
    return "; ".join(f"{', '.join(found)} ({reason})" for reason, found in ordered)
