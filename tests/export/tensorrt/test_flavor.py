"""The full TensorRT, which only installs where a GPU is: how options reach its interface.

A stand-in takes down what is set. No engine is built here, and nothing is said about one.
"""

from __future__ import annotations

import types
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

from tinysr.errors import MissingBackendError, UnsupportedError
from tinysr.export.tensorrt import FLAVORS, SizeRange, TensorRTOptions, find_flavor
from tinysr.export.tensorrt.build import EngineBuild, engine_from_network
from tinysr.export.tensorrt.network import Parsed, parse_network
from tinysr.export.tensorrt.profiles import Profile
from tinysr.runtime.tensorrt.device import Gpu
from tinysr.runtime.tensorrt.library import Library
from tinysr.runtime.tensorrt.log import Messages

FULL = FLAVORS["tensorrt"]

GPU = Gpu(name="Pretend", capability="8.6", driver="13.0", memory=2**30)

Flag = IntEnum("Flag", ["TF32", "VERSION_COMPATIBLE", "STRIP_PLAN", "REFIT", "WEIGHT_STREAMING"])


class Config:
    """Takes down what is set."""

    log: list[Any]
    timings: bytes

    def __init__(self, log: list[Any]) -> None:
        object.__setattr__(self, "log", log)
        object.__setattr__(self, "timings", b"")

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "progress_monitor":
            self.log.append((name, value))

    def set_flag(self, flag: Flag) -> None:
        self.log.append(flag.name)

    def clear_flag(self, flag: Flag) -> None:
        self.log.append(f"not {flag.name}")

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.log.append((pool, size))

    def create_timing_cache(self, data: bytes) -> Any:
        return None if data == b"another GPU" else data

    def set_timing_cache(self, data: bytes, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.log.append(("timings", data))
        return True

    def get_timing_cache(self) -> Any:
        return types.SimpleNamespace(serialize=lambda: b"measured")

    def add_optimization_profile(self, profile: Any) -> None:
        self.log.append(profile.shape)


class Builder:
    def __init__(self, log: list[Any]) -> None:
        self.log = log

    def create_builder_config(self) -> Config:
        return Config(self.log)

    def create_optimization_profile(self) -> Any:
        made: Any = types.SimpleNamespace(shape=None)
        made.set_shape = lambda *shape: setattr(made, "shape", shape)
        return made

    def build_serialized_network(self, _network: Any, _config: Any) -> bytes:
        return b"engine"

    def create_network(self, flags: int) -> str:
        self.log.append(("network", flags))
        return "network"


@pytest.fixture
def log() -> list[Any]:
    return []


@pytest.fixture
def module(log: list[Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module with TensorRT 10's interface, as far as it is used."""

    class Monitor:
        pass

    class Logger:
        Severity = types.SimpleNamespace(ERROR=1)

    made = types.SimpleNamespace(
        BuilderFlag=Flag,
        MemoryPoolType=types.SimpleNamespace(WORKSPACE="workspace"),
        HardwareCompatibilityLevel=types.SimpleNamespace(AMPERE_PLUS="ampere"),
        ProfilingVerbosity=types.SimpleNamespace(DETAILED="detailed"),
        NetworkDefinitionCreationFlag=types.SimpleNamespace(STRONGLY_TYPED=1),
        IProgressMonitor=Monitor,
        ILogger=Logger,
        Builder=lambda _: Builder(log),
        OnnxParser=lambda *_: types.SimpleNamespace(parse_from_file=lambda _: True),
    )
    monkeypatch.setattr(Library, "load", lambda _: made)
    monkeypatch.setattr("tinysr.export.tensorrt.flavor.find_gpu", lambda: GPU)
    return made


def build(log: list[Any], *, open_batch: bool = False, **options: Any) -> None:
    size = SizeRange(least=1, best=2, most=4) if open_batch else SizeRange(least=1, best=1, most=1)
    job = EngineBuild(
        graph=Path("x.onnx"),
        label="x",
        profile=Profile(name="latents", dims=(size,)),
        options=TensorRTOptions(**options),
    )
    parsed = Parsed(network="n", parser="p", builder=Builder(log), messages=Messages())
    FULL.check(job.options)
    assert bytes(engine_from_network(FULL, parsed, job)) == b"engine"


def test_networks_are_strongly_typed_where_that_has_to_be_said(module: Any, log: list[Any]) -> None:
    parse_network(FULL, Path("x.onnx"), "x")
    assert log == [("network", 2)]
    del module.NetworkDefinitionCreationFlag.STRONGLY_TYPED  # as in a version that knows no other
    parse_network(FULL, Path("x.onnx"), "x")
    assert log[-1] == ("network", 0)


def test_every_option_reaches_the_builder(module: Any, log: list[Any], tmp_path: Path) -> None:
    build(
        log,
        hardware="ampere+",
        version_compatible=True,
        strip=True,
        refit=True,
        weight_streaming=True,
        optimization_level=5,
        workspace_mb=64,
        timing_cache=tmp_path / "timings",
    )
    assert log == [
        "not TF32",
        "VERSION_COMPATIBLE",
        "STRIP_PLAN",
        "REFIT",
        "WEIGHT_STREAMING",
        ("builder_optimization_level", 5),
        ("workspace", 64_000_000),
        ("hardware_compatibility_level", "ampere"),
        ("timings", b""),
        ("profiling_verbosity", "detailed"),
    ]
    assert (tmp_path / "timings").read_bytes() == b"measured"
    build(log, timing_cache=tmp_path / "timings")
    assert ("timings", b"measured") in log


def test_nothing_is_set_that_was_not_asked_for(module: Any, log: list[Any]) -> None:
    build(log)
    assert log == ["not TF32", ("profiling_verbosity", "detailed")]


def test_open_sizes_become_a_profile(module: Any, log: list[Any]) -> None:
    build(log, open_batch=True)
    assert log[-1] == ("latents", (1,), (2,), (4,))


def test_timings_of_another_gpu_are_refused(module: Any, log: list[Any], tmp_path: Path) -> None:
    (tmp_path / "timings").write_bytes(b"another GPU")
    with pytest.raises(UnsupportedError, match="a timing cache of this GPU"):
        build(log, timing_cache=tmp_path / "timings")


def test_full_tensorrt_refuses_what_it_lacks(module: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"not for the compute capability 8\.6"):
        FULL.check(TensorRTOptions(compute_capabilities=("8.6",)))
    with pytest.raises(UnsupportedError, match="add --refit"):
        FULL.check(TensorRTOptions(strip=True))


def test_full_tensorrt_builds_nothing_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinysr.export.tensorrt.flavor.find_gpu", lambda: None)
    with pytest.raises(MissingBackendError, match="TensorRT builds engines on a machine with"):
        FULL.check(TensorRTOptions())


def test_auto_takes_what_can_build_here(monkeypatch: pytest.MonkeyPatch) -> None:
    have = {"tensorrt": True, "rtx": True}
    monkeypatch.setattr(Library, "installed", property(lambda self: have[self.flavor]))
    monkeypatch.setattr("tinysr.export.tensorrt.flavor.find_gpu", lambda: GPU)
    assert find_flavor("auto").name == "tensorrt"
    monkeypatch.setattr("tinysr.export.tensorrt.flavor.find_gpu", lambda: None)
    assert find_flavor("auto").name == "rtx"
    have["rtx"] = False
    with pytest.raises(MissingBackendError, match=r"pip install 'tinysr\[rtx\]'"):
        find_flavor("auto")
    with pytest.raises(MissingBackendError, match="TensorRT-RTX is not installed"):
        find_flavor("rtx")
