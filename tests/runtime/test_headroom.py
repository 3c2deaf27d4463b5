"""What memory can still be had: of the machine, of control groups, of the process."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tinysr.runtime import MEMORY_MB, admission
from tinysr.runtime.headroom import Headroom, measure_headroom

MIB = 2**20


class Machine:
    """A root folder with the files that Linux tells of memory in; sizes are in MiB."""

    def __init__(self, root: Path, *, free: int = 8000, swap: int = 0) -> None:
        self.root = root
        self.write("proc/meminfo", f"MemAvailable: {free * 1024} kB\nSwapFree: {swap * 1024} kB\n")

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def group_2(self, path: str, limit: str, used: int, idle: int = 0) -> None:
        self.write(f"{path}/memory.max", f"{limit}\n")
        self.write(f"{path}/memory.current", f"{used * MIB}\n")
        self.write(f"{path}/memory.stat", f"anon 1\ninactive_file {idle * MIB}\n")

    def group_1(self, path: str, limit: int, used: int, idle: int = 0) -> None:
        self.write(f"{path}/memory.limit_in_bytes", f"{limit}\n")
        self.write(f"{path}/memory.usage_in_bytes", f"{used * MIB}\n")
        self.write(f"{path}/memory.stat", f"total_inactive_file {idle * MIB}\n")

    @property
    def mib(self) -> tuple[int, int]:
        """What can be had without and with swap."""
        found = measure_headroom(self.root)
        assert found.memory is not None
        assert found.with_swap is not None
        return found.memory // MIB, found.with_swap // MIB


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_groups_it_is_what_the_machine_has_free(tmp_path: Path) -> None:
    assert Machine(tmp_path, free=500, swap=200).mib == (500, 700)


def test_a_group_of_version_2_bounds_it_and_pages_of_idle_files_are_free(machine: Machine) -> None:
    machine.write("proc/self/cgroup", "0::/jobs/one\n")
    machine.group_2("sys/fs/cgroup/jobs/one", str(1000 * MIB), used=600, idle=100)
    assert machine.mib == (500, 500)


def test_a_group_around_the_group_counts_too(machine: Machine) -> None:
    machine.write("proc/self/cgroup", "0::/jobs/one\n")
    machine.group_2("sys/fs/cgroup/jobs/one", "max", used=600)
    machine.group_2("sys/fs/cgroup/jobs", str(900 * MIB), used=600)
    assert machine.mib == (300, 300)


def test_in_a_container_the_mount_is_the_group(machine: Machine) -> None:
    machine.write("proc/self/cgroup", "0::/host/only/here\n")
    machine.group_2("sys/fs/cgroup", str(700 * MIB), used=100)
    assert machine.mib == (600, 600)


def test_a_group_of_version_1_bounds_it(machine: Machine) -> None:
    machine.write("proc/self/cgroup", "5:cpu:/\n4:cpuset,memory:/docker/a\n1:name=x:/docker/a\n")
    machine.group_1("sys/fs/cgroup/memory/docker/a", 800 * MIB, used=500, idle=50)
    machine.group_1("sys/fs/cgroup/memory", 2**63 - 4096, used=5000)
    assert machine.mib == (350, 350)


def test_a_group_that_is_full_leaves_nothing(machine: Machine) -> None:
    machine.write("proc/self/cgroup", "0::/\n")
    machine.group_2("sys/fs/cgroup", str(100 * MIB), used=200)
    assert machine.mib == (0, 0)


def test_the_limit_of_the_process_bounds_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = 100 * MIB // resource.getpagesize()
    machine.write("proc/self/statm", f"{pages} 1 1 1 0 1 0\n")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (400 * MIB, 400 * MIB))
    assert machine.mib == (300, 300)


def test_files_that_make_no_sense_say_nothing(machine: Machine) -> None:
    machine.write("proc/self/cgroup", "no groups\n\n7:memory\n")
    machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "many\n")
    assert machine.mib == (8000, 8000)


@pytest.mark.parametrize(
    ("free_mb", "expected"), [(24_000, MEMORY_MB), (1000, 500), (20, 100), (None, MEMORY_MB)]
)
def test_by_default_an_image_takes_at_most_half_of_what_is_free(
    monkeypatch: pytest.MonkeyPatch, free_mb: int | None, expected: float
) -> None:
    free = None if free_mb is None else free_mb * 10**6
    monkeypatch.setattr(
        admission, "measure_headroom", lambda: Headroom(memory=free, with_swap=free)
    )
    assert admission.default_memory_mb() == expected
