"""Cached engines: a complete key, words for a miss, a bound, and damage that does no harm."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tinysr.export.tensorrt import FLAVORS, TensorRTOptions
from tinysr.export.tensorrt.cache import EngineCache
from tinysr.export.tensorrt.key import Key, engine_key
from tinysr.export.tensorrt.options import SizeRange
from tinysr.export.tensorrt.profiles import Profile
from tinysr.manifest import Artifact, FileEntry, Port

RTX = FLAVORS["rtx"]


def key(name: str = "tiny transformer fp16", **parts: str) -> Key:
    return Key(name=name, parts={"graph": "1", "options": "none"} | parts)


def writing(data: bytes, count: list[int] | None = None) -> Callable[[Path], object]:
    def build(target: Path) -> None:
        if count is not None:
            count.append(1)
        target.write_bytes(data)

    return build


@pytest.fixture
def cache(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> EngineCache:
    caplog.set_level(logging.INFO, logger="tinysr.export")
    return EngineCache(folder=tmp_path / "cache")


def test_an_engine_is_built_once(cache: EngineCache, tmp_path: Path) -> None:
    count: list[int] = []
    first = cache.place(key(), tmp_path / "a", writing(b"engine", count))
    second = cache.place(key(), tmp_path / "b", writing(b"engine", count))
    assert (first.cached, second.cached, len(count)) == (False, True, 1)
    assert first.sha256 == second.sha256
    assert (tmp_path / "b").read_bytes() == b"engine"


def test_a_miss_says_which_part_changed(
    cache: EngineCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.place(key(), tmp_path / "a", writing(b"1"))
    assert "no engine of tiny transformer fp16 is cached yet" in caplog.text
    cache.place(key(graph="2", options="refit"), tmp_path / "b", writing(b"2"))
    assert "has another graph, options" in caplog.text
    cache.place(key(graph="2"), tmp_path / "c", writing(b"3"))
    assert caplog.messages[-1] == "the cached engine of tiny transformer fp16 has another graph"


@pytest.mark.parametrize("damage", ["engine", "json", "missing"])
def test_damaged_entries_are_built_again(
    cache: EngineCache, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache.place(key(), tmp_path / "a", writing(b"engine"))
    (engine,) = cache.folder.glob("*.engine")
    (tmp_path / "a").unlink()
    if damage == "missing":
        engine.unlink()
    else:
        engine.with_suffix(f".{damage}").write_bytes(b"{")
    placed = cache.place(key(), tmp_path / "b", writing(b"again"))
    assert not placed.cached
    assert "is damaged: it is built again" in caplog.text
    assert cache.place(key(), tmp_path / "c", writing(b"never")).cached
    assert (tmp_path / "c").read_bytes() == b"again"


def test_the_least_recently_used_engines_are_dropped(tmp_path: Path) -> None:
    cache = EngineCache(folder=tmp_path / "cache", max_bytes=250)
    for age, name in enumerate("abc"):
        cache.place(key(graph=name), tmp_path / name, writing(name.encode() * 100))
        os.utime(cache.folder / f"{key(graph=name).sha256}.json", (age, age))
    assert cache.place(key(graph="b"), tmp_path / "b2", writing(b"")).cached  # used again
    cache.place(key(graph="d"), tmp_path / "d", writing(b"d" * 100))
    kept = {n for n in "abcd" if (cache.folder / f"{key(graph=n).sha256}.engine").exists()}
    assert kept == {"b", "d"}


def test_an_engine_that_is_too_large_for_the_cache_is_made_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = EngineCache(folder=tmp_path / "cache", max_bytes=10)
    cache.place(key(), tmp_path / "a", writing(b"engine" * 10))
    assert (tmp_path / "a").read_bytes() == b"engine" * 10
    assert "engines are not cached: 60 bytes are more than" in caplog.text
    assert not list(cache.folder.glob("*.engine"))


def test_a_cache_that_can_not_be_written_does_no_harm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file where the folder would be")
    placed = EngineCache(folder=tmp_path / "cache").place(key(), tmp_path / "a", writing(b"engine"))
    assert not placed.cached
    assert (tmp_path / "a").read_bytes() == b"engine"
    assert "engines are not cached" in caplog.text


def test_a_build_that_fails_leaves_no_entry(cache: EngineCache, tmp_path: Path) -> None:
    def broken(_: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        cache.place(key(), tmp_path / "a", broken)
    assert not list(cache.folder.glob("*.*"))


def test_builds_of_one_engine_wait_for_each_other(cache: EngineCache, tmp_path: Path) -> None:
    count: list[int] = []
    begun = threading.Event()

    def slow(target: Path) -> None:
        begun.set()
        count.append(1)
        threading.Event().wait(0.2)
        target.write_bytes(b"engine")

    threads = [
        threading.Thread(target=cache.place, args=(key(), tmp_path / str(index), slow))
        for index in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(count) == 1
    assert {(tmp_path / str(index)).read_bytes() for index in range(4)} == {b"engine"}


class TestKey:
    GRAPH = Artifact(
        target="onnx",
        stage="transformer",
        precision="fp16",
        file=FileEntry(path="a.onnx", sha256="a" * 64, size=1),
        data=(FileEntry(path="w.bin", sha256="b" * 64, size=1),),
        inputs=(Port(name="latents", dtype="float32", shape=(1, 16, 8, 8)),),
        outputs=(),
    )
    PROFILE = Profile(name="latents", dims=(SizeRange(least=1, best=1, most=1),))

    def of(self, graph: Artifact = GRAPH, plan: str = "p", **options: Any) -> Mapping[str, str]:
        return engine_key(
            "x",
            graph,
            flavor=RTX,
            options=TensorRTOptions(**options),
            profile=self.PROFILE,
            plan_sha256=plan,
        ).parts

    def test_everything_that_shapes_an_engine_is_in_it(self) -> None:
        base = self.of()
        weights = (FileEntry(path="w.bin", sha256="c" * 64, size=1),)
        changed = {
            "weights": self.of(self.GRAPH.model_copy(update={"data": weights})),
            "plan": self.of(plan="q"),
            "refit": self.of(refit=True),
            "weight streaming": self.of(weight_streaming=True),
            "workspace mb": self.of(workspace_mb=5),
            "compute capabilities": self.of(compute_capabilities=("8.6",)),
        }
        for name, parts in changed.items():
            assert [n for n in base if base[n] != parts[n]] == [name]
        assert base["version"] == RTX.version
        assert {"graph", "flavor", "shapes", "recipe"} <= base.keys()

    def test_what_shapes_none_is_not(self, tmp_path: Path) -> None:
        assert self.of(cache=False, timing_cache=tmp_path) == self.of()

    def test_the_machine_counts_only_where_it_builds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from tinysr.runtime.tensorrt.device import Gpu

        here = Gpu(name="A", capability="8.6", driver="13.0", memory=1)
        monkeypatch.setattr("tinysr.export.tensorrt.key.find_gpu", lambda: here)
        assert "GPU" not in self.of()
        found = self.of(compute_capabilities=("current",))
        assert (found["GPU"], found["driver"]) == ("A", "13.0")
        newer = replace(here, driver="13.2")
        monkeypatch.setattr("tinysr.export.tensorrt.key.find_gpu", lambda: newer)
        assert self.of(compute_capabilities=("current",))["driver"] == "13.2"
