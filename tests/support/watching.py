"""Running a command as a newcomer would, and seeing where it connects and what it writes.

The command gets an empty home folder and an environment that says nothing of CI, where libraries
hold their telemetry back. It runs under strace where there is one, and without a network where the
kernel lets us take it away: so that what a test finds did not reach anybody.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("tinysr")

CACHE = Path(".cache") / "tinysr"
"""tinysr's own folder in a home folder, on Linux."""

LIBUUID = Path("/var/lib/libuuid")
"""Where libuuid keeps its clock, if it may: onnx names a file by the time on the way to int8."""

PYTORCH = "torchinductor_*"
"""PyTorch's folder in the temporary one: empty until something is compiled."""

_OPENS = {"open", "openat", "openat2", "creat"}
_MAKES = {"mkdir", "mkdirat", "mknod", "mknodat", "truncate"}
_LINKS = {"rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"}
_TALKS = {"connect", "bind", "sendto", "sendmsg", "sendmmsg"}

_LOOK_UP = ("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf")
"""What the C library reads to look a host's name up, and for nothing else. (It also reads
``/etc/nsswitch.conf``, but that for the name of a user as well.)"""

_LOCAL = ("/run/nscd/", "/var/lib/sss/", "/run/systemd/userdb/", "/run/uuidd/")
"""Where the C library asks this machine for the name of a user, and libuuid for an identifier."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A command that ended, and what it did beside its work."""

    code: int
    out: str
    error: str
    network: tuple[str, ...]
    """Calls that reach for another machine or look a name up; none without strace."""
    strays: tuple[str, ...]
    """Files and folders outside of those that `docs/guarantees.md` names."""
    made: frozenset[str]
    """Names in the working folder that were not there before."""


@functools.cache
def _without_network() -> tuple[str, ...]:
    """Return what starts a command without a network; nothing where that is not allowed."""
    for words in (("unshare", "-n"), ("unshare", "-rn")):
        if _works(*words, "true"):
            return words
    return ()


@functools.cache
def _traces() -> bool:
    return _works("strace", "-f", "-e", "trace=connect", "true")


def _works(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
    except OSError:
        return False


def skip_unless(*, cut_off: bool = False, traced: bool = False) -> None:
    """Skip a test that can't see anything here, or, where it must be, is not cut off."""
    if traced and not _traces():
        pytest.skip("strace is not here, or may not trace")
    if cut_off and not _without_network():
        pytest.skip("the network can't be taken away here: `unshare -n` is refused")
    if not _traces() and not _without_network():
        pytest.skip("neither strace nor `unshare -n` works here")


def watch(folder: Path, *command: str | Path, work: Path | None = None) -> Watched:
    """Run a command in a new home below ``folder``, from the folder ``work``."""
    skip_unless()
    home, temporary, trace = folder / "home", folder / "tmp", folder / "trace"
    work = work or folder / "work"
    for place in (home, temporary, work):
        place.mkdir(parents=True, exist_ok=True)
    before = {path.name for path in work.iterdir()}
    done = subprocess.run(  # noqa: S603
        [*_without_network(), *(_strace(trace) if _traces() else ()), *map(str, command)],
        cwd=work,
        env=_environment(home, temporary),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    calls = list(_calls(trace)) if _traces() else []
    places = (work, temporary, home / CACHE, LIBUUID, Path("/dev"), Path("/proc"))
    strays = {str(path) for path in _written(calls, work) if not _documented(path, places)}
    return Watched(
        code=done.returncode,
        out=done.stdout,
        error=done.stderr,
        network=tuple(_talk(calls, temporary)),
        strays=tuple(sorted(strays | set(_left(home, temporary)))),
        made=frozenset({path.name for path in work.iterdir()} - before),
    )


def _environment(home: Path, temporary: Path) -> dict[str, str]:
    """Return a newcomer's environment: nothing of it is inherited but where programs are."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",  # Python's own files beside the sources
    }


def _strace(trace: Path) -> tuple[str, ...]:
    # "?": some machines have no `open` or `mkdir`, but only their successors.
    names = ",".join(f"?{name}" for name in sorted(_OPENS | _MAKES | _LINKS | _TALKS))
    return ("strace", "-f", "-qq", "-y", "-s", "4096", "-e", f"trace={names}", "-o", str(trace))


def _calls(trace: Path) -> Iterator[tuple[str, str]]:
    """Yield each call's name and the words of its arguments, also of one that was refused."""
    for line in trace.read_text(errors="replace").splitlines():
        if found := re.match(r"\d+ +(\w+)\((.*)", line):
            yield found[1], found[2]


def _talk(calls: Iterable[tuple[str, str]], temporary: Path) -> Iterator[str]:
    # A command's own processes may talk to each other through a file.
    local = (*_LOCAL, f"{temporary}/")
    for name, words in calls:
        if name not in _TALKS:
            suspect = any(f'"{path}"' in words for path in _LOOK_UP)
        elif path := re.search(r'sun_path="([^"]*)"', words):
            suspect = not any(place in path[1] for place in local)
        else:  # without an address it goes where an earlier call connected it, or to a pipe
            suspect = "sa_family=" in words
        if suspect:
            yield f"{name}({words}"


def _written(calls: Iterable[tuple[str, str]], work: Path) -> Iterator[Path]:
    """Yield what was opened to be written, or made, or put in place."""
    for name, words in calls:
        paths = [Path(at or work, path) for at, path in re.findall(_PATH, words)]
        if name in _MAKES or name == "creat":
            yield from paths[:1]
        elif name in _LINKS:
            yield from paths[-1:]
        elif name in _OPENS and re.search("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", words):
            yield from paths[:1]


_PATH = r'(?:<([^<>]*)>, )?"([^"]*)"'
"""A path in strace's words, after the folder that it is relative to."""


def _documented(path: Path, places: Iterable[Path]) -> bool:
    # Making a place may take making the folders around it.
    path = Path(os.path.normpath(path))
    return any(path.is_relative_to(place) or place.is_relative_to(path) for place in places)


def _left(home: Path, temporary: Path) -> Iterator[str]:
    """Yield what the command left in its home, and in the folder of temporary files."""
    for path in home.rglob("*"):
        if not _documented(path, [home / CACHE]):
            yield str(path)
    for path in temporary.iterdir():
        if not path.match(PYTORCH):
            yield str(path)
