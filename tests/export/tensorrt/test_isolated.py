"""Work in a process of its own: what it ends with is told, and it does not wait for ever."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tinysr.errors import MissingBackendError, UnsupportedError
from tinysr.export.options import TellStep
from tinysr.export.tensorrt.isolated import run_isolated

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="a process's time is told by Linux"
)


def test_results_and_progress_come_back() -> None:
    heard: list[str] = []

    def work(tell: TellStep) -> int:
        tell("half")
        return 7

    assert run_isolated(work, label="engine", progress=heard.append) == 7
    assert heard == ["half"]


def test_errors_come_back_as_they_are() -> None:
    def work(_: TellStep) -> None:
        raise UnsupportedError("decoder: no such thing")

    with pytest.raises(UnsupportedError, match="decoder: no such thing"):
        run_isolated(work, label="engine")


def test_a_killed_process_is_a_lack_of_memory() -> None:
    def work(_: TellStep) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(
        MissingBackendError, match=r"engine: this machine has too little memory.*SIGKILL"
    ):
        run_isolated(work, label="engine")


@needs_proc
def test_a_process_that_only_waits_is_ended() -> None:
    with pytest.raises(MissingBackendError, match=r"engine: TensorRT stopped working.*memory"):
        run_isolated(lambda _: time.sleep(600), label="engine", patience=1)


@needs_proc
def test_a_process_that_works_is_not_ended() -> None:
    def work(_: TellStep) -> str:
        start = time.process_time()
        while time.process_time() - start < 4:
            sum(range(1000))
        return "done"

    assert run_isolated(work, label="engine", patience=3) == "done"
