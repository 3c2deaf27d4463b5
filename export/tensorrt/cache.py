"""Engines that were built before, in the user's cache directory.

An entry is two files named after its key's hash: the engine, and a record with the key's parts
and the engine's hash. Builds of one key wait for each other; others don't. The entries that were
not used for longest are dropped when all together grow past a bound.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinysr import paths
from tinysr.atomic import share, write_atomically
from tinysr.errors import TinySRError, require
from tinysr.hashing import file_sha256
from tinysr.user_cache import cache_folder

from .key import Key

__all__ = ["MAX_BYTES", "EngineCache", "Placed", "default_folder"]

MAX_BYTES = 8 * 10**9
"""The full-size model's engines in fp32 and fp16 take half of it."""

_EXTRA = "rtx"

_LOG = logging.getLogger("tinysr.export")


def default_folder() -> Path | None:
    """Return where engines are kept; None where nothing can be."""
    return cache_folder("tensorrt")


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """An engine that was put in place."""

    sha256: str
    cached: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineCache:
    """The engines of a folder."""

    folder: Path
    max_bytes: int = MAX_BYTES

    def place(self, key: Key, target: Path, build: Callable[[Path], object]) -> Placed:
        """Put an engine in place, from the cache or newly built.

        A cache that can't be written is said, and does no more harm.

        Args:
            key: the engine's.
            target: a file that is not there yet.
            build: writes the engine when there is none, or a damaged one.

        Returns:
            Its hash, and whether it was there.
        """
        sha256 = ""
        try:
            with self._lock(key.sha256[:2]):
                if found := self._find(key):
                    share(self.folder, self._engine(key).name, target)
                    return Placed(sha256=found, cached=True)
                self._say_why(key)
                build(target)
                sha256 = file_sha256(target)
                self._keep(key, target, sha256)
        except CacheUnusableError as error:
            _LOG.warning("engines are not cached: %s", error)
            if not paths.is_file(target, TinySRError):
                build(target)
        else:
            with contextlib.suppress(CacheUnusableError):
                self._trim(key)
        return Placed(sha256=sha256 or file_sha256(target), cached=False)

    def _engine(self, key: Key) -> Path:
        return self.folder / f"{key.sha256}.engine"

    def _record(self, key: Key) -> Path:
        return self.folder / f"{key.sha256}.json"

    def _find(self, key: Key) -> str:
        """Return the hash of an entry that is sound, or ""; a damaged one is removed."""
        record, engine = self._record(key), self._engine(key)
        if not paths.exists(record, CacheUnusableError):
            return ""
        known = _read(record)
        with contextlib.suppress(OSError):
            found = file_sha256(engine)
            if known.get("parts") == key.parts and found == known.get("sha256"):
                os.utime(record)  # used now: dropped later
                return found
        _LOG.warning("the cached engine of %s is damaged: it is built again", key.name)
        for path in (record, engine):
            path.unlink(missing_ok=True)
        return ""

    def _say_why(self, key: Key) -> None:
        """Say which parts of the key no cached engine of this name shares."""
        others = [known["parts"] for _, known in self._records() if known.get("name") == key.name]
        if not others:
            _LOG.info("no engine of %s is cached yet", key.name)
            return
        nearest = min((key.list_differing(parts) for parts in others), key=len)
        _LOG.info("the cached engine of %s has another %s", key.name, ", ".join(nearest))

    def _keep(self, key: Key, engine: Path, sha256: str) -> None:
        size = engine.stat().st_size
        if size > self.max_bytes:
            raise CacheUnusableError(f"{size} bytes are more than the cache's {self.max_bytes}")
        kept, record = self._engine(key), self._record(key)
        data = {"name": key.name, "parts": key.parts, "sha256": sha256, "size": size}
        try:
            kept.unlink(missing_ok=True)
            share(engine.parent, engine.name, kept)
            # Last: an engine without a record is none.
            write_atomically(record, json.dumps(data, indent=1), CacheUnusableError)
        except CacheUnusableError:
            kept.unlink(missing_ok=True)
            raise
        except OSError as error:
            kept.unlink(missing_ok=True)
            raise CacheUnusableError(f"{self.folder}: {error.strerror}") from error

    def _trim(self, used: Key) -> None:
        """Drop the entries that were not used for longest, but never the one just used."""
        with self._lock("all"):
            entries = sorted(self._records(), key=lambda entry: _age(entry[0]))
            total = sum(int(known.get("size", 0)) for _, known in entries)
            for record, known in entries:
                if total <= self.max_bytes:
                    break
                if record == self._record(used):
                    continue
                record.unlink(missing_ok=True)
                record.with_suffix(".engine").unlink(missing_ok=True)
                total -= int(known.get("size", 0))

    def _records(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        for path in self.folder.glob("*.json"):
            known = _read(path)
            if isinstance(known.get("parts"), dict):
                yield path, known

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        filelock: Any = require("filelock", extra=_EXTRA)
        locks = self.folder / "locks"
        try:
            locks.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(locks / f"{name}.lock")
            lock.acquire()
        except OSError as error:
            raise CacheUnusableError(f"{self.folder}: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()


class CacheUnusableError(TinySRError):
    """The cache can't be read or written; a build goes on without it."""


def _read(record: Path) -> dict[str, Any]:
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _age(record: Path) -> float:
    try:
        return record.stat().st_mtime
    except OSError:  # another process dropped it
        return 0.0
