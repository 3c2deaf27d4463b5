"""Flow between threads: one thing waits at a time, within a limit of megapixels under way.

Every wait ends when its channel or budget is closed, and wakes up now and then, so that Ctrl-C
reaches the main thread on every system.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Channel", "Closed", "MegapixelBudget"]

_TICK = 0.2
"""Seconds; on Windows a waiting thread sees signals only when it wakes up."""

T = TypeVar("T")


class Closed(Exception):  # noqa: N818  an end, not an error
    """Nothing more comes, or nothing more is taken."""


class Channel(Generic[T]):
    """Hands things from one thread to another, in order."""

    def __init__(self, room: int = 1) -> None:
        """Let at most ``room`` things wait."""
        self._room = room
        self._waiting: deque[T] = deque()
        self._ended = False
        self._changed = threading.Condition()

    def put(self, item: T) -> None:
        """Hand over, once there is room.

        Raises:
            Closed: nobody takes it any more.
        """
        with self._changed:
            _wait(self._changed, lambda: self._ended or len(self._waiting) < self._room)
            if self._ended:
                raise Closed
            self._waiting.append(item)
            self._changed.notify_all()

    def get(self) -> T:
        """Take the next.

        Raises:
            Closed: there is none, and none will come.
        """
        with self._changed:
            _wait(self._changed, lambda: self._ended or bool(self._waiting))
            if not self._waiting:
                raise Closed
            self._changed.notify_all()
            return self._waiting.popleft()

    def end(self) -> None:
        """Take nothing more; what waits can still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class MegapixelBudget:
    """Megapixels that may be under way at a time; an image of more is under way alone."""

    def __init__(self, limit: float) -> None:
        self._limit, self._used = limit, 0.0
        self._ended = False
        self._changed = threading.Condition()

    def take(self, megapixels: float) -> None:
        """Wait until there is room.

        Raises:
            Closed: there will be none.
        """
        with self._changed:
            _wait(
                self._changed,
                lambda: self._ended or not self._used or self._used + megapixels <= self._limit,
            )
            if self._ended:
                raise Closed
            self._used += megapixels

    def give(self, megapixels: float) -> None:
        """Return what was taken."""
        with self._changed:
            self._used = max(0.0, self._used - megapixels)
            self._changed.notify_all()

    def end(self) -> None:
        """Let nothing more under way."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def _wait(condition: threading.Condition, holds: Callable[[], bool]) -> None:
    while not holds():
        condition.wait(_TICK)
