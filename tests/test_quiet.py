"""Libraries are loaded quietly, by one way, and the program around them keeps what it had."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tinysr import quiet
from tinysr.errors import MissingBackendError, require
from tinysr.quiet import MEASURES, Measure, load

LIBRARY = """
import os, time
seen = os.environ.get("LOUD_SILENCED")
try:
    import loud_telemetry
except ImportError:
    loud_telemetry = None
time.sleep(0.05)
"""


@pytest.fixture
def loud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put a library on the path that sends telemetry unless a variable is set."""
    (tmp_path / "loud").mkdir()
    (tmp_path / "loud" / "__init__.py").write_text(LIBRARY)
    (tmp_path / "loud" / "inner.py").write_text("")
    (tmp_path / "loud" / "late.py").write_text(LIBRARY)
    (tmp_path / "loud_telemetry.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    measure = Measure(
        variables={"LOUD_SILENCED": lambda: "1"}, hidden=("loud_telemetry",), inner=("loud.late",)
    )
    monkeypatch.setattr(quiet, "MEASURES", {"loud": measure, "lost": measure})
    monkeypatch.delenv("LOUD_SILENCED", raising=False)
    yield
    for name in [name for name in sys.modules if name.startswith("loud")]:
        del sys.modules[name]


@pytest.mark.usefixtures("loud")
class TestLoading:
    @pytest.mark.parametrize("module", ["loud", "loud.inner"])
    def test_a_measure_holds_while_its_package_loads_and_no_longer(self, module: str) -> None:
        before = dict(os.environ)
        load(module)
        for name in ("loud", "loud.late"):
            found = vars(sys.modules[name])
            assert (found["seen"], found["loud_telemetry"]) == ("1", None)
        assert dict(os.environ) == before
        assert "loud_telemetry" not in sys.modules

    def test_what_somebody_set_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LOUD_SILENCED", "0")
        assert load("loud").seen == "0"
        assert os.environ["LOUD_SILENCED"] == "0"

    def test_an_empty_variable_says_nothing_and_stays_empty(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LOUD_SILENCED", "")
        assert load("loud").seen == "1"
        assert os.environ["LOUD_SILENCED"] == ""

    def test_a_hidden_package_that_was_loaded_is_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        theirs = ModuleType("loud_telemetry")
        monkeypatch.setitem(sys.modules, "loud_telemetry", theirs)
        assert load("loud").loud_telemetry is None
        assert sys.modules["loud_telemetry"] is theirs

    def test_a_library_that_is_not_there_leaves_no_trace(self) -> None:
        before = dict(os.environ)
        with pytest.raises(MissingBackendError, match="'lost' is not installed"):
            require("lost", extra="models")
        assert dict(os.environ) == before
        assert "loud_telemetry" not in sys.modules

    def test_threads_that_load_it_together_are_all_quiet(self) -> None:
        threads = [threading.Thread(target=load, args=("loud",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sys.modules["loud"].seen == "1"
        assert "LOUD_SILENCED" not in os.environ


def test_without_a_home_folder_matplotlib_finds_its_own_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: Path("~/.cache/tinysr"))
    assert MEASURES["matplotlib"].variables["MPLCONFIGDIR"]() == ""
