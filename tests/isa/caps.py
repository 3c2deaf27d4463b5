"""Caps on instruction sets: what each leaves of this CPU, and the environment that does it.

Libraries ask the CPU itself what it can do, and not all obey a setting: ONNX Runtime has none, and
OpenVINO says that it computes in bf16 where its oneDNN was told not to. So the CPU's answer is
changed, for all of them alike: see ``hide_cpuid.c``. That needs Linux, a C compiler, and a CPU and
kernel that let the instruction `cpuid` fault. Elsewhere the settings are left.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CAPS", "Cap", "environment", "missing", "unable"]

SOURCE = Path(__file__).parent / "hide_cpuid.c"

REGISTERS = ("ebx", "ecx", "edx", "eax1", "edx1")
"""Of leaf 7, and of its subleaf 1: the order of the masks."""

BITS = {
    "avx512f": ("ebx", 16), "avx512dq": ("ebx", 17), "avx512cd": ("ebx", 28),
    "avx512bw": ("ebx", 30), "avx512vl": ("ebx", 31),
    "avx512ifma": ("ebx", 21), "avx512_vbmi": ("ecx", 1), "avx512_vbmi2": ("ecx", 6),
    "avx512_vnni": ("ecx", 11), "avx512_bitalg": ("ecx", 12), "avx512_vpopcntdq": ("ecx", 14),
    "avx512_4vnniw": ("edx", 2), "avx512_4fmaps": ("edx", 3), "avx512_vp2intersect": ("edx", 8),
    "avx512_bf16": ("eax1", 5), "avx512_fp16": ("edx", 23), "avx10": ("edx1", 19),
    "avx_vnni": ("eax1", 4), "avx_ifma": ("eax1", 23), "avx_vnni_int8": ("edx1", 4),
    "avx_ne_convert": ("edx1", 5), "avx_vnni_int16": ("edx1", 10),
    "amx_bf16": ("edx", 22), "amx_tile": ("edx", 24), "amx_int8": ("edx", 25),
    "amx_fp16": ("eax1", 21), "amx_complex": ("edx1", 8),
}  # fmt: skip
"""Where `cpuid` says what a CPU has, under Linux's names."""

CORE = ("avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl")
AMX = ("amx_bf16", "amx_tile", "amx_int8", "amx_fp16", "amx_complex")
FP16 = ("avx512_fp16", "avx10")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cap:
    """A CPU that this one can be taken for."""

    name: str
    needs: tuple[str, ...]
    """What the CPU must have, or the cap is of nothing."""
    hidden: tuple[str, ...]
    settings: Mapping[str, str]
    """The same, as far as libraries can be told; for CPUs that can hide nothing."""


def settings(onednn: str, aten: str, mkl: str, openblas: str, *numpy: str) -> dict[str, str]:
    """Return what caps each library, in its own words; for NumPy what it is to leave."""
    return {
        "ONEDNN_MAX_CPU_ISA": onednn,
        "ATEN_CPU_CAPABILITY": aten,
        "MKL_ENABLE_INSTRUCTIONS": mkl,
        "OPENBLAS_CORETYPE": openblas,
        "NPY_DISABLE_CPU_FEATURES": " ".join(numpy),
    }


LATER = ("AVX512_CLX", "AVX512_CNL", "AVX512_ICL", "AVX512_SPR")
LARGE = ("avx512", "AVX512", "SkylakeX")

CAPS = (
    Cap(
        name="avx2",
        needs=("avx2", "fma"),
        hidden=tuple(BITS),
        settings=settings("AVX2", "avx2", "AVX2", "Haswell", "AVX512F AVX512CD AVX512_SKX", *LATER),
    ),
    Cap(
        name="avx512",
        needs=CORE,
        hidden=tuple(name for name in BITS if name not in CORE),
        settings=settings("AVX512_CORE", *LARGE, *LATER),
    ),
    Cap(
        name="avx512_bf16",
        needs=(*CORE, "avx512_vnni", "avx512_bf16"),
        hidden=(*FP16, *AMX),
        settings=settings("AVX512_CORE_BF16", *LARGE, "AVX512_SPR"),
    ),
    Cap(
        name="avx512_fp16",
        needs=(*CORE, "avx512_fp16"),
        hidden=AMX,
        settings=settings("AVX512_CORE_FP16", *LARGE),
    ),
    Cap(name="amx", needs=(*CORE, "amx_tile"), hidden=(), settings={}),
)
"""From small to large: Intel's since Haswell and AMD's before Zen 4, Skylake's servers, Zen 4 and
5, and Sapphire Rapids, without and with its tiles."""


def cpu_flags() -> frozenset[str]:
    """Return what Linux says this CPU has."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    words = next((line for line in lines if line.startswith("flags")), ":").partition(":")[2]
    return frozenset(words.split())


def missing(cap: Cap) -> list[str]:
    """Return what this CPU lacks of a cap."""
    return sorted({*cap.needs} - cpu_flags())


def masks(names: Iterable[str]) -> str:
    """Return instruction sets as ``hide_cpuid.c`` wants them."""
    values = dict.fromkeys(REGISTERS, 0)
    for name in names:
        register, bit = BITS[name]
        values[register] |= 1 << bit
    return ",".join(f"{values[register]:x}" for register in REGISTERS)


@functools.cache
def unable() -> str:
    """Say why nothing can be hidden here; "" if it can."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "hiding instruction sets needs Linux on x86-64"
    if shutil.which("cc") is None:
        return "hiding instruction sets needs a C compiler, cc"
    done = subprocess.run(["true"], env=hiding(CAPS[-1]), capture_output=True, text=True)  # noqa: S607, PLW1510
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def environment(cap: Cap) -> dict[str, str]:
    """Return this process's environment, with what caps all processes that get it."""
    return os.environ | dict(cap.settings) if unable() else hiding(cap)


def hiding(cap: Cap) -> dict[str, str]:
    """Return this process's environment, with what hides instruction sets from what it starts."""
    preloaded = f"{_library()} {os.environ.get('LD_PRELOAD', '')}".strip()
    return os.environ | {"HIDDEN_CPUID": masks(cap.hidden), "LD_PRELOAD": preloaded}


@functools.cache
def _library() -> Path:
    """Compile what is preloaded; it goes with the process."""
    folder = tempfile.TemporaryDirectory(prefix="hide-cpuid-")
    _folders.append(folder)
    path = Path(folder.name) / "hide_cpuid.so"
    options = ("-O2", "-Wall", "-Werror", "-shared", "-fPIC")
    command: list[str | Path] = ["cc", *options, "-o", path, SOURCE, "-ldl"]
    subprocess.run(command, check=True)  # noqa: S603
    return path


_folders: list[tempfile.TemporaryDirectory[str]] = []
