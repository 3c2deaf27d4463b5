"""A network → the bytes of an engine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinysr import paths
from tinysr.atomic import write_atomically
from tinysr.errors import MissingBackendError, UnsupportedError
from tinysr.runtime.tensorrt.log import Messages

from ..options import TellStep
from .flavor import Flavor, needs_gpu
from .isolated import run_isolated
from .network import Parsed, parse_network
from .options import CURRENT, PORTABLE, TensorRTOptions
from .profiles import Profile

__all__ = ["EngineBuild", "build_engine", "engine_from_network"]

_HARDWARE = {"ampere+": "AMPERE_PLUS", "same-compute-capability": "SAME_COMPUTE_CAPABILITY"}

_FLAGS = {
    "version_compatible": "VERSION_COMPATIBLE",
    "strip": "STRIP_PLAN",
    "refit": "REFIT",
    "weight_streaming": "WEIGHT_STREAMING",
}
"""Builder flags by the option that sets them."""

_MOST_TIMINGS = 2**30
"""Bytes of a timing cache; those of large networks have some megabytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineBuild:
    """One engine to be built."""

    graph: Path
    """The ONNX graph, its weights beside it."""
    label: str
    """The engine's name, for messages."""
    profile: Profile
    options: TensorRTOptions


def build_engine(flavor: Flavor, build: EngineBuild, target: Path, progress: TellStep) -> None:
    """Build an engine into a file. The bundle around it is complete or absent, so this need not be.

    Where no GPU is needed, the work is done in a process of its own.

    Args:
        flavor: with what.
        build: what.
        target: the file.
        progress: told about TensorRT's phases.

    Raises:
        UnsupportedError: TensorRT can't build it; the message has its words.
        MissingBackendError: this machine has too little memory.
        OSError: the file can't be written.
    """

    def work(tell: TellStep) -> None:
        parsed = parse_network(flavor, build.graph, build.label)
        with target.open("wb") as file:
            file.write(engine_from_network(flavor, parsed, build, tell))

    if needs_gpu(flavor, build.options) or not hasattr(os, "fork"):
        work(progress)  # CUDA does not survive a fork
    else:
        run_isolated(work, label=build.label, progress=progress)


def engine_from_network(
    flavor: Flavor, parsed: Parsed, build: EngineBuild, progress: TellStep = lambda _: None
) -> memoryview:
    """Return the serialized engine of a network.

    Raises:
        UnsupportedError: TensorRT can't build it; the message has its words.
        MissingBackendError: this machine has too little memory, as far as TensorRT says so.
    """
    config = _config(flavor, parsed.builder, build)
    monitor = _make_monitor(flavor.module, build, progress)
    config.progress_monitor = monitor
    engine = parsed.builder.build_serialized_network(parsed.network, config)
    if monitor.interruption is not None:
        raise monitor.interruption
    if engine is None:
        raise _explain_failure(flavor, build, parsed.messages)
    _keep_timings(config, build.options)
    return memoryview(engine)


def _config(flavor: Flavor, builder: Any, build: EngineBuild) -> Any:
    module, options = flavor.module, build.options
    config = builder.create_builder_config()
    config.clear_flag(module.BuilderFlag.TF32)  # on by default: it rounds fp32 to 10 bits
    for option, flag in _FLAGS.items():
        if getattr(options, option):
            config.set_flag(getattr(module.BuilderFlag, flag))
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.workspace_mb is not None:
        limit = options.workspace_mb * 10**6
        config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, limit)
    if options.hardware != "none":
        level = getattr(module.HardwareCompatibilityLevel, _HARDWARE[options.hardware])
        config.hardware_compatibility_level = level
    if flavor.name == "rtx":
        _set_capabilities(module, config, options.compute_capabilities)
    if options.timing_cache is not None:
        _set_timings(config, options.timing_cache)
    config.profiling_verbosity = module.ProfilingVerbosity.DETAILED  # the inspector reads types
    if not build.profile.fixed:
        profile = builder.create_optimization_profile()
        profile.set_shape(build.profile.name, *build.profile.shapes)
        config.add_optimization_profile(profile)
    return config


def _set_capabilities(module: Any, config: Any, wanted: tuple[str, ...]) -> None:
    if not wanted or wanted == (PORTABLE,):
        return
    config.num_compute_capabilities = len(wanted)
    for index, capability in enumerate(wanted):
        name = "CURRENT" if capability == CURRENT else f"SM{capability.replace('.', '')}"
        config.set_compute_capability(getattr(module.ComputeCapability, name), index)


def _set_timings(config: Any, path: Path) -> None:
    known = paths.read_limited(path, _MOST_TIMINGS, UnsupportedError) or b""
    cache = config.create_timing_cache(known)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        raise UnsupportedError(
            f"{path}: expected a timing cache of this GPU and this version of TensorRT: "
            "remove the file to measure again"
        )


def _keep_timings(config: Any, options: TensorRTOptions) -> None:
    if options.timing_cache is None:
        return
    timings = bytes(memoryview(config.get_timing_cache().serialize()))
    write_atomically(options.timing_cache, timings, UnsupportedError)


def _make_monitor(module: Any, build: EngineBuild, progress: TellStep) -> Any:
    """Return TensorRT's progress monitor, which tells ours, and stops the build on Ctrl-C."""

    class Monitor(module.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}
            self.interruption: KeyboardInterrupt | None = None

        # An exception must not leave these: TensorRT's threads would end the process.
        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self.steps[phase] = steps
            self._tell(f"building {build.label}: {phase}")

        def step_complete(self, phase: str, step: int) -> bool:
            self._tell(f"building {build.label}: {phase}, {step + 1} of {self.steps.get(phase)}")
            return self.interruption is None

        def phase_finish(self, phase: str) -> None:
            self.steps.pop(phase, None)

        def _tell(self, text: str) -> None:
            try:
                progress(text)
            except KeyboardInterrupt as interruption:
                self.interruption = interruption

    return Monitor()


def _explain_failure(flavor: Flavor, build: EngineBuild, messages: Messages) -> Exception:
    if messages.lack_of_memory:
        return MissingBackendError(
            f"{build.label}: this machine has too little memory for {flavor.title} to build it "
            f"({messages.first}): free some, or build on a larger machine"
        )
    return UnsupportedError(f"{build.label}: {flavor.label} can't build it: {messages.first}")
