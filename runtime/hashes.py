"""Hashes of files; large ones are remembered, for hashing them takes longer than loading them.

A hash stands for a file's identity: device, inode, size, and the times of its last change, of which
no program can set the inode's. Whoever can fake one can write the user's own files. A file that was
changed a moment ago is not remembered, for a further change might not move its times.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from pathlib import Path

from tinysr.atomic import replace_atomically
from tinysr.errors import TinySRError
from tinysr.hashing import file_sha256
from tinysr.user_cache import cache_folder

__all__ = ["LARGE", "look_up_sha256"]

LARGE = 32 * 2**20
"""Bytes from which a file's hash is remembered; smaller ones are read in no time."""

_SETTLED = 2.0
"""Seconds since a file's last change: more than the coarsest step of a file system's clock."""

_KEPT = 256
"""Hashes that are kept; those that were not used for longest are dropped."""

_HASH = re.compile(r"[0-9a-f]{64}")


def look_up_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal; of a large one, perhaps from memory.

    Raises:
        OSError: the file can't be read.
    """
    before = path.stat()
    if before.st_size < LARGE or before.st_ino == 0:  # some file systems number no files
        return file_sha256(path)
    folder = _folder()
    if folder is None:
        return file_sha256(path)
    record = folder / f"{_name(before)}.txt"
    known = _recall(record)
    if known:
        return known
    now = time.time()
    found = file_sha256(path)
    settled = now - max(before.st_mtime, before.st_ctime) > _SETTLED
    if settled and _name(path.stat()) == _name(before):
        # A place that can't be written only costs the next reading.
        with contextlib.suppress(OSError, TinySRError):
            _remember(record, found)
    return found


def _folder() -> Path | None:
    return cache_folder("hashes")


def _name(stat: os.stat_result) -> str:
    """Return a file name for the identity of a file."""
    identity = [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _recall(record: Path) -> str | None:
    try:
        text = record.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    with contextlib.suppress(OSError):
        os.utime(record)  # used now: dropped later
    return text if _HASH.fullmatch(text) else None


def _remember(record: Path, found: str) -> None:
    record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replace_atomically(record, TinySRError) as new:
        new.chmod(0o600)
        new.write_text(found, encoding="ascii")
    old = sorted(record.parent.glob("*.txt"), key=lambda path: path.stat().st_mtime)[:-_KEPT]
    for path in old:
        path.unlink(missing_ok=True)
