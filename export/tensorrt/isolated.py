"""Work in a process of its own, because TensorRT ends the process when memory runs out.

A build then costs one engine and not the export, its memory is free again afterwards, and what
TensorRT writes to the screen by itself becomes part of the error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from tinysr import errors
from tinysr.errors import MissingBackendError, TinySRError
from tinysr.runtime.tensorrt.log import Messages

from ..options import TellStep
from .stall import STALL_SECONDS, end_when_stalled

__all__ = ["run_isolated"]

IsolatedCall = Callable[[TellStep], Any]

_WORDS = 300
"""Characters of what the process said last, in an error."""


def run_isolated(
    work: IsolatedCall,
    *,
    label: str,
    progress: TellStep = lambda _: None,
    patience: float = STALL_SECONDS,
) -> Any:
    """Run a function in a child process.

    Args:
        work: is given a progress function; what it returns must be plain JSON data.
        label: of what it makes, for messages.
        progress: told what the child tells.
        patience: seconds without work after which the child is ended.

    Raises:
        TinySRError: as raised by ``work``.
        OSError: as raised by ``work``.
        MissingBackendError: the child was ended, or stuck, which a lack of memory does.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as noise, _fork(work, noise) as (pid, reader):
        with end_when_stalled(pid, patience) as stall:
            answer = _answer(reader, progress)
        _, status = os.waitpid(pid, 0)
        if answer is None and stall.happened:
            raise _explain_stall(label, patience)
        if answer is None:
            raise _explain_end(os.waitstatus_to_exitcode(status), label, noise)
    if "result" in answer:
        return answer["result"]
    raise _rebuild_error(answer)


@contextmanager
def _fork(work: IsolatedCall, noise: IO[bytes]) -> Iterator[tuple[int, IO[str]]]:
    """Fork. The child never returns from here."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reading)
            os.dup2(noise.fileno(), 2)
            with os.fdopen(writing, "w", encoding="utf-8") as pipe:
                _run(work, pipe)
        finally:
            os._exit(0)
    os.close(writing)
    try:
        with os.fdopen(reading, encoding="utf-8") as reader:
            yield pid, reader
    except BaseException:
        _end(pid)
        raise


def _run(work: IsolatedCall, pipe: IO[str]) -> None:
    def say(**data: Any) -> None:
        pipe.write(json.dumps(data) + "\n")
        pipe.flush()

    try:
        say(result=work(lambda text: say(progress=text)))
    except TinySRError as error:
        say(error=type(error).__name__, words=str(error))
    except OSError as error:
        say(errno=error.errno, words=error.strerror)
    except KeyboardInterrupt:
        say(error="KeyboardInterrupt", words="")
    except BaseException:  # a bug: the parent shows where
        say(error="RuntimeError", words=traceback.format_exc())


def _answer(reader: IO[str], progress: TellStep) -> dict[str, Any] | None:
    """Return what the child ended with; None if it was ended before."""
    for line in reader:
        data: dict[str, Any] = json.loads(line)
        if "progress" not in data:
            return data
        progress(data["progress"])
    return None


def _rebuild_error(answer: dict[str, Any]) -> BaseException:
    if "errno" in answer:
        return OSError(answer["errno"], answer["words"])
    kinds: dict[str, type[BaseException]] = {
        name: getattr(errors, name) for name in errors.__all__ if name.endswith("Error")
    }
    kinds |= {"KeyboardInterrupt": KeyboardInterrupt}
    return kinds.get(answer["error"], RuntimeError)(answer["words"])


def _explain_end(code: int, label: str, noise: IO[bytes]) -> MissingBackendError:
    noise.seek(0)
    messages = Messages()
    messages.add(noise.read().decode(errors="replace")[-_WORDS:] or "it says nothing")
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    killed = code == -signal.SIGKILL or messages.lack_of_memory
    why = "this machine has too little memory" if killed else "TensorRT broke off"
    return MissingBackendError(
        f"{label}: {why} to build it ({how}: {messages.first}): "
        "free memory, or build on a larger machine"
    )


def _explain_stall(label: str, patience: float) -> MissingBackendError:
    return MissingBackendError(
        f"{label}: TensorRT stopped working and was ended after {patience:.0f} s, as happens where "
        "the machine has too little memory: free memory, or build on a larger machine"
    )


def _end(pid: int) -> None:
    """End the child that was forked here, and only that."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return
