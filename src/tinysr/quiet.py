"""Loading libraries that otherwise send telemetry, or write where tinysr does not.

What keeps such a library quiet is in place while it loads, and is taken back afterwards: so that a
program that uses tinysr finds its environment as it left it. A library that the program loaded
before is left as it is, and so is a variable that somebody set.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

__all__ = ["MEASURES", "Measure", "load"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """What keeps a library quiet while it loads."""

    variables: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    """Environment variables that it reads then, and what finds their values; "" leaves one out."""

    hidden: Sequence[str] = ()
    """Packages that it must not find; it has a way to go on without each."""

    inner: Sequence[str] = ()
    """Modules of it that read the variables later, and so are loaded with it."""


def _matplotlib_folder() -> str:
    """Return the folder of matplotlib's list of fonts; without a home folder, matplotlib's own."""
    import platformdirs  # noqa: PLC0415 - most commands draw nothing

    folder = Path(platformdirs.user_cache_path("tinysr")) / "matplotlib"
    return str(folder) if folder.is_absolute() else ""


_ONNX_RUNTIME = Measure(variables={"ORT_DISABLE_TELEMETRY": lambda: "1"})

MEASURES: Mapping[str, Measure] = {
    # Reads the variable once, when it is loaded. `disable_telemetry_events()` comes too late: by
    # then there are a device's id and a database in the home folder, and a thread that uploads.
    "onnxruntime": _ONNX_RUNTIME,
    "onnxsim": _ONNX_RUNTIME,  # loads onnxruntime
    # Reports its own import, whatever it is used for. There is no variable for that; without the
    # package that sends, it takes the stand-in that it brings for this case.
    "openvino": Measure(hidden=("openvino_telemetry",)),
    # Makes folders for its settings and its list of fonts in the home folder.
    "matplotlib": Measure(
        variables={"MPLCONFIGDIR": _matplotlib_folder}, inner=("matplotlib.font_manager",)
    ),
}
"""Measures for each package, by its name. No other way to load these may be taken."""

_LOADING = threading.RLock()
"""Lock held while a measure is in place: of two threads, the second must not find it half gone."""


def load(module: str) -> ModuleType:
    """Import a module, quietly where its package has a measure.

    Raises:
        ImportError: as the import itself does.
    """
    package = module.split(".", maxsplit=1)[0]
    measure = MEASURES.get(package)
    if measure is None or package in sys.modules:
        return importlib.import_module(module)
    with _LOADING, _put_in_place(measure):
        found = importlib.import_module(module)
        for name in measure.inner:
            importlib.import_module(name)
    return found


@contextmanager
def _put_in_place(measure: Measure) -> Iterator[None]:
    with ExitStack() as stack:
        for name, find in measure.variables.items():
            stack.enter_context(_set_variable(name, find))
        for package in measure.hidden:
            stack.enter_context(_hide_package(package))
        yield


@contextmanager
def _set_variable(name: str, find: Callable[[], str]) -> Iterator[None]:
    """Set an environment variable, unless it has a value."""
    before = os.environ.get(name)
    value = "" if before else find()
    if not value:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


@contextmanager
def _hide_package(package: str) -> Iterator[None]:
    """Let imports of a package fail, as Python's documentation says: None stands in its place."""
    before = sys.modules.get(package)
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is None:
            sys.modules.pop(package, None)
        else:
            sys.modules[package] = before
