"""The only module that knows the operating system: cores, memory, processes and locks.

Training runs on Linux and macOS; everything else also on Windows. What a system does not have is imported or looked up
where it is used, so that this module can be imported anywhere.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")

BINARY = getattr(os, "O_BINARY", 0)
"""Flag of ``os.open``: Windows would otherwise translate line ends."""
NON_BLOCKING = getattr(os, "O_NONBLOCK", 0)
"""Flag of ``os.open``: opening a pipe does not wait for the other end."""
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
"""Flag of ``os.open``: a link is an error, wherever it points. Windows has none, and no links without privileges."""


def cores() -> int:
    """Return how many cores this process may use: its affinity where the system has one, else the machine's."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cache_dir() -> Path:
    """Return the folder of prepared data sets: SEEDSTUDY_CACHE, or one inside the user's cache folder."""
    given = os.environ.get("SEEDSTUDY_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seedstudy"


def host() -> str:
    """Return the machine's name in the network."""
    return platform.node()


def boot_id() -> str:
    """Return an identity of the running kernel; the host's name where the system has none (macOS, Windows).

    Equal for all processes that see each other's locks, those in containers of one machine included.
    """
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return host()


def peak_memory() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    with suppress(OSError, StopIteration):  # Linux: unlike ru_maxrss, it does not include the process that started us
        lines = _STATUS.read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def reset_peak_memory() -> bool:
    """Let :func:`peak_memory` start again from the present use; False where the system cannot (only Linux can)."""
    try:
        _CLEAR_REFS.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def other_writers(state: os.stat_result) -> str | None:
    """Return who may write a file or folder besides this user and root: its owner, or "anyone"; None: nobody.

    Always None on Windows, whose permissions ``os.stat`` does not show.
    """
    if not hasattr(os, "geteuid"):
        return None
    if state.st_uid not in (0, os.geteuid()):
        return f"user {state.st_uid}"
    return "anyone" if state.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else None


def runs_seedstudy(pid: int) -> bool:
    """Say whether a process of this number is running here, and is one of seedstudy's.

    The same number may belong to another program: in another container, or since the process ended.
    """
    import psutil

    try:
        return any("seedstudy" in word for word in psutil.Process(pid).cmdline())
    except psutil.Error:  # it ended, or belongs to another user
        return False


_OUTER_PREFIXES = ("PMI_", "PMIX_", "OMPI_", "SLURM_STEP", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS")
_OUTER_NAMES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def outer_variables() -> set[str]:
    """Return the variables of an outer launcher that would make libraries treat our processes as its ranks."""
    return {name for name in os.environ if name.startswith(_OUTER_PREFIXES) or name in _OUTER_NAMES}


def accelerator() -> str | None:
    """Return the product name of the first GPU that this process may use, without importing torch; None: no GPU."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    first = [] if visible is None else visible.split(",")[:1]
    if first and first[0].strip() in ("", "-1"):
        return None
    chosen = ["-i", first[0].strip()] if first else []
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader", *chosen]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(done.stdout.strip().splitlines()), None)


def cpp_compiler() -> str | None:
    """Return the path of the C++ compiler that torch.compile would start; None where there is none."""
    return shutil.which(os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++"))


NO_COMPILER = "there is no C++ compiler on PATH (g++, or what CXX names): install one"


def try_lock(descriptor: int, *, is_shared: bool = False) -> bool | None:
    """Lock an open file without waiting; the kernel frees the lock when the process ends.

    Returns False where another process holds the lock, and None where there are no such locks: on Windows, and on
    some network file systems.
    """
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def version() -> str:
    """Return the version of this package as it is installed; empty where it is run without being installed."""
    from importlib import metadata

    try:
        return metadata.version("seedstudy")
    except metadata.PackageNotFoundError:
        return ""
