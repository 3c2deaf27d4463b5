"""The log of an output folder: one JSON line for each image, by which a later run goes on.

Nothing in it is believed: paths are compared with those that are asked for and never opened, and
a file counts as made only while it has the bytes that the log says.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

from tinysr import paths
from tinysr.errors import ImageError
from tinysr.hashing import file_sha256

__all__ = ["LOG_NAME", "MADE", "Log", "MadeFile"]

LOG_NAME = "tinysr-log.jsonl"
"""The log's name in the output folder."""

MADE = "made"
"""The status of a line that describes a file."""

_LONGEST_LINE = 2**16
"""Bytes; ours have some hundreds."""

_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeFile:
    """Entry of the log for a file that was made."""

    source_sha256: str
    settings: str
    """See :meth:`~tinysr.runtime.folder.settings.Settings.sha256`."""
    target_sha256: str
    target_bytes: int

    def explain_stale(
        self, source_sha256: str | None, settings: str | None, target: Path
    ) -> str | None:
        """Return why a file is not what would be made now, or None if it is.

        Raises:
            OSError: the file can't be read.
        """
        # The size first: of a file that was cut or replaced, nothing is read.
        changed = paths.size(target, ImageError) != self.target_bytes
        if changed or file_sha256(target) != self.target_sha256:
            return "it is not the file that was written"
        if source_sha256 != self.source_sha256:
            return "its source has changed"
        if settings != self.settings:
            return "it was made with other settings or weights"
        return None


class Log:
    """The log of one output folder."""

    def __init__(self, folder: Path) -> None:
        """Read what earlier runs left; lines that are not understood are passed over.

        Raises:
            ImageError: there is a log that can't be read.
        """
        self.path = folder / LOG_NAME
        self._made: dict[str, MadeFile] = {}
        self._begun = False
        try:
            self._read()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ImageError(
                f"{self.path}: expected a log that can be read: {error.strerror}; "
                "remove it, or choose another output"
            ) from error

    def find_made(self, target: str) -> MadeFile | None:
        """Return what the log says of a target, given below the folder with forward slashes."""
        return self._made.get(target)

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a line; it is in the file when this returns.

        Raises:
            OSError: it can't be written.
        """
        line = json.dumps(record).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._begun and self._cut():
            line = b"\n" + line
        with FileIO(os.open(self.path, _FLAGS, 0o666), "w") as file:
            if file.write(line) != len(line):  # a full disk takes a part
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._begun = True
        self._learn(line)

    def _read(self) -> None:
        # A pipe or a device of that name is not waited for.
        with FileIO(os.open(self.path, _READ), "r") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "Not a file")
            self._learn_all(BufferedReader(file))

    def _learn_all(self, file: BufferedReader) -> None:
        with file:
            while line := file.readline(_LONGEST_LINE):
                self._learn(line)

    def _cut(self) -> bool:
        """Tell whether the last line has no end, as where a machine went down."""
        try:
            with self.path.open("rb") as file:
                if not file.seek(0, os.SEEK_END):
                    return False
                file.seek(-1, os.SEEK_END)
                return file.read(1) != b"\n"
        except FileNotFoundError:
            return False

    def _learn(self, line: bytes) -> None:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(record, dict) or record.get("status") != MADE:
            return
        texts = [record.get(k) for k in ("target", "source_sha256", "settings", "target_sha256")]
        size = record.get("target_bytes")
        if all(isinstance(text, str) for text in texts) and type(size) is int:
            target, source, settings, digest = map(str, texts)
            self._made[target] = MadeFile(
                source_sha256=source, settings=settings, target_sha256=digest, target_bytes=size
            )
