"""What long commands say where there is no terminal."""

from __future__ import annotations

import time

import pytest

from tinysr.progress import QUIET_SECONDS, show_progress


def test_a_log_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with show_progress() as tell:
        for step in range(7):
            tell("upscale fp16", step, 7)
            now += QUIET_SECONDS / 2
        tell("writing", 0, 1)
    assert capsys.readouterr().err.splitlines() == [
        "after 30 s: upscale fp16, 2 of 7",
        "after 60 s: upscale fp16, 4 of 7",
        "after 90 s: upscale fp16, 6 of 7",
    ]


def test_short_work_leaves_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress() as tell:
        tell("quick", 0, 2)
    assert not capsys.readouterr().err
