"""TensorRT's log, kept for our own errors in place of the user's screen."""

from __future__ import annotations

from typing import Any

__all__ = ["Messages", "make_logger"]

_MEMORY = ("bad_alloc", "out of memory", "outofmemory", "cannot allocate", "resource temporarily")
"""Words for a lack of memory, in TensorRT's, CUDA's and the system's messages."""


class Messages:
    """Errors and warnings, in the order in which they came."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def add(self, text: str) -> None:
        """Keep an error."""
        self.errors.append(" ".join(text.split()))

    @property
    def first(self) -> str:
        """The first error, which the others follow from."""
        return self.errors[0] if self.errors else "it gives no reason"

    @property
    def lack_of_memory(self) -> bool:
        """Whether one of the errors is about memory."""
        return any(word in text.lower() for text in self.errors for word in _MEMORY)


def make_logger(module: Any, messages: Messages) -> Any:
    """Return a logger of a flavour that keeps errors.

    Args:
        module: the flavour's Python module.
        messages: is filled.
    """
    worst = module.ILogger.Severity.ERROR

    class Logger(module.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            if severity <= worst:
                messages.add(text)

    return Logger()
