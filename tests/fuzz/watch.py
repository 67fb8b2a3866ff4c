"""What a piece of code does besides computing: processes, network, files, imports, memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

# Audit events of the interpreter (docs.python.org/3/library/audit_events.html), by their start.
_FORBIDDEN = (
    "builtins.input",
    "code.__new__",
    "ctypes.dlopen",
    "ftplib.",
    "http.",
    "os.chmod",
    "os.chown",
    "os.exec",
    "os.fork",
    "os.kill",
    "os.link",
    "os.mkdir",
    "os.posix_spawn",
    "os.putenv",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.spawn",
    "os.startfile",
    "os.symlink",
    "os.system",
    "os.truncate",
    "os.unsetenv",
    "os.utime",
    "pickle.find_class",
    "pty.spawn",
    "shutil.",
    "smtplib.",
    "socket.",
    "subprocess.",
    "tempfile.",
    "urllib.",
    "webbrowser.",
)
# A reader may still import parts of these; anything new from elsewhere is named.
_IMPORTS = {"demucs_tf", "encodings", "h5py", "keras", "numpy", "safetensors", "tensorflow", "yaml"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
MB = 2**20


@dataclass
class Seen:
    """What happened inside `watched`: forbidden events, and growth of the memory in bytes."""

    events: list[str] = field(default_factory=list)
    growth: int = 0


_current: Seen | None = None
_installed = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _current is None:
        return
    if event == "import":
        bad = str(arguments[0]).partition(".")[0] not in _IMPORTS
    elif event == "open":
        bad = _writes(*arguments[1:3])
    elif event in ("compile", "exec"):  # modules that are imported are, too
        code = arguments[0]
        file = code.co_filename if isinstance(code, CodeType) else arguments[-1]
        bad = not _IMPORTS.intersection(Path(str(file)).parts)
    else:
        bad = event.startswith(_FORBIDDEN)
    if bad:
        _current.events.append(f"{event} {str(arguments)[:200]}")


def _writes(mode: object, flags: object) -> bool:
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITING)


@contextmanager
def watched() -> Iterator[Seen]:
    """Record what the block does, in this thread and in others.

    An audit hook can't be removed; it stays and does nothing outside of such blocks.
    """
    global _current, _installed
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True
    seen = Seen()
    before = restart_peak()
    _current = seen
    try:
        yield seen
    finally:
        _current = None
        seen.growth = peak() - before


def restart_peak() -> int:
    """Make the kernel measure the peak of the memory afresh; return what is in use now."""
    if _CLEAR.exists():
        _CLEAR.write_text("5")
    return peak()


def peak() -> int:
    """The most memory that the process had since `restart_peak`, in bytes."""
    if not _STATUS.exists():  # elsewhere only the peak since the start is known
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
            1 if sys.platform == "darwin" else 1024
        )
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
