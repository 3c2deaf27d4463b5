"""The options of `tinysr export -t tensorrt`, in a panel of their own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .numbers import COUNT, TRIES

if TYPE_CHECKING:
    from tinysr.export.tensorrt import SizeRange

__all__ = ["TENSORRT_PARAMETERS", "build_notes", "tensorrt_settings", "with_tensorrt_options"]

TARGET = "tensorrt"

_PANEL = "TensorRT"

_PREFIX = "tensorrt_"
"""Prefix of the parameters' names: the command has a batch of its own."""


def _option(*names: str, text: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=_PANEL, **more)


def _options(
    *,
    flavor: Annotated[
        str | None,
        _option(
            "--flavor",
            text="tensorrt (for this machine's GPU), rtx (ahead of time, without a GPU) or auto.  "
            "[default: auto]",
        ),
    ] = None,
    compute_capabilities: Annotated[
        list[str] | None,
        _option(
            "--compute-capability",
            text="GPUs that engines are for: 8.6, 8.9, 12.0 …, current, or portable. Repeat for "
            "several.  [default: portable with rtx, current with tensorrt]",
        ),
    ] = None,
    batch: Annotated[
        str | None,
        _option(
            "--engine-batch",
            text="Least, best and largest batch, for --batch dynamic.  [default: 1:1:8]",
        ),
    ] = None,
    sides: Annotated[
        str | None,
        _option(
            "--engine-sides",
            text="Least, best and largest side of what the encoder takes, in low-resolution "
            "pixels.  [default: from 16 to four tiles, best for one]",
        ),
    ] = None,
    optimization_level: Annotated[
        int | None,
        _option(
            "--optimization-level",
            text="Effort of the search for tactics: 0 to 5.",
            parser=TRIES,
        ),
    ] = None,
    workspace_mb: Annotated[
        int | None,
        _option(
            "--workspace",
            text="Most memory of a layer beside its data, in MB.",
            parser=COUNT,
        ),
    ] = None,
    timing_cache: Annotated[
        Path | None,
        _option("--timing-cache", text="A file of measured tactics, read and written."),
    ] = None,
    hardware: Annotated[
        str | None,
        _option(
            "--hardware-compatibility",
            text="Other GPUs that engines run on: none, ampere+ or same-compute-capability.",
        ),
    ] = None,
    version_compatible: Annotated[
        bool, _option("--version-compatible", text="Engines that later versions run too.")
    ] = False,
    strip: Annotated[
        bool,
        _option("--strip-plan", text="Engines without weights, which come from the graphs."),
    ] = False,
    refit: Annotated[
        bool, _option("--refit", text="Engines whose weights can be replaced.")
    ] = False,
    weight_streaming: Annotated[
        bool,
        _option("--weight-streaming", text="Weights may stay in the host's memory."),
    ] = False,
    cache: Annotated[
        bool,
        _option("--engine-cache/--no-engine-cache", text="Keep engines in the user's cache."),
    ] = True,
) -> None:
    """Hold the options: their names are those of ``TensorRTOptions``."""


TENSORRT_PARAMETERS = tuple(f"{_PREFIX}{name}" for name in inspect.signature(_options).parameters)
"""Names of the options among a command's parameters."""


def with_tensorrt_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options; what was given of them reaches it as ``tensorrt``."""
    own = inspect.signature(command, eval_str=True)
    ours = inspect.signature(_options, eval_str=True).parameters
    listed = [p for name, p in own.parameters.items() if name != TARGET]

    @functools.wraps(command)
    def wrapper(**words: Any) -> None:
        given = {name: words.pop(f"{_PREFIX}{name}") for name in ours}
        changed = {n: v for n, v in given.items() if v not in (None, []) and v != ours[n].default}
        command(**words, tensorrt=changed)

    signature = own.replace(parameters=[*listed, *_keywords(ours.values())])
    wrapper.__dict__["__signature__"] = signature
    wrapper.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    del wrapper.__dict__["__wrapped__"]
    return wrapper


def _keywords(parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    kind = inspect.Parameter.KEYWORD_ONLY
    return [p.replace(name=f"{_PREFIX}{p.name}", kind=kind) for p in parameters]


@contextmanager
def build_notes() -> Iterator[None]:
    """Print what the builders note meanwhile: what was cached, and why not."""
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("tinysr.export")
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def tensorrt_settings(given: Mapping[str, Any], targets: Iterable[str]) -> dict[str, object]:
    """Return the settings of the target, from what was given; empty without engines.

    Raises:
        UnsupportedError: something that was given makes no sense.
    """
    from tinysr.export.tensorrt import TensorRTOptions

    if TARGET not in targets:
        return {}
    words = dict(given)
    for name in ("batch", "sides"):
        if name in words:
            words[name] = _range(words[name])
    if "compute_capabilities" in words:
        words["compute_capabilities"] = tuple(words["compute_capabilities"])
    return {TARGET: TensorRTOptions(**words)}


def _range(text: str) -> SizeRange:
    from tinysr.errors import UnsupportedError
    from tinysr.export.tensorrt import SizeRange

    numbers = text.split(":")
    if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
        raise UnsupportedError(f"expected three sizes such as 1:4:8, found '{text}'")
    least, best, most = (int(number) for number in numbers)
    return SizeRange(least=least, best=best, most=most)
