"""Commands run as somebody else: one who may not enter every folder, or is not known at all.

The tests may run as root, whom no permission stops. So a child process gives that power up: it
keeps its user, who can read the interpreter, and from then on is refused what is another's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["STRANGER", "as_stranger", "as_unknown", "close_to_us"]

STRANGER = 12345
"""The number of a user that no system has."""

_CAPABILITIES = """
import ctypes, os, sys

def capabilities(mask):
    class Header(ctypes.Structure):
        _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]
    Sets = (ctypes.c_uint32 * 3) * 2  # effective, permitted, inheritable; low words first
    sets = Sets((mask, mask, 0), (0, 0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(ctypes.byref(Header(0x20080522, 0)), sets):
        raise OSError(ctypes.get_errno(), "capset")

def keep_capabilities():
    ctypes.CDLL(None).prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
"""

_POWERLESS = """
if os.getuid() == 0:
    capabilities(0)
"""

_UNKNOWN = """
if os.getuid() == 0:
    keep_capabilities()
    os.setgroups([])
    os.setgid({stranger})
    os.setuid({stranger})
    capabilities(1 << 2)  # CAP_DAC_READ_SEARCH: the interpreter may lie in root's folder
else:
    import pwd
    def nobody(_number):
        raise KeyError("getpwuid(): uid not found")
    pwd.getpwuid = nobody
"""

_COMMAND = """
sys.argv[0] = "tinysr"
from tinysr.cli import main
main()
"""


def as_stranger(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command without root's power to enter every folder."""
    return _run(_CAPABILITIES + _POWERLESS + _COMMAND, words, cwd, os.environ)


def as_unknown(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command without a home, as a user whom the system does not know."""
    lost = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "USER", "LOGNAME", "USERNAME")
    environment = {name: value for name, value in os.environ.items() if name not in lost}
    return _run(
        _CAPABILITIES + _UNKNOWN.format(stranger=STRANGER) + _COMMAND, words, cwd, environment
    )


def close_to_us(folder: Path) -> None:
    """Make a folder one that :func:`as_stranger` may not enter."""
    folder.chmod(0o700 if os.getuid() == 0 else 0)
    if os.getuid() == 0:
        os.chown(folder, STRANGER, STRANGER)


def _run(
    program: str, words: tuple[str | Path, ...], cwd: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", program, *map(str, words)],
        cwd=cwd,
        env={**environment, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
