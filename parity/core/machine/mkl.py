"""MKL's last places, the same on every processor.

Goldens are of MKL's code for every processor. For Intel's it has an exponential and a Fourier
transform of its own, whose last places are others, and a process chooses once.
"""

from __future__ import annotations

import atexit
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

_CPUINFO = Path("/proc/cpuinfo")
_SWITCH, _EVERY = "MKL_CBWR", "COMPATIBLE"
_HEAD = struct.Struct("<q")  # in front of numbers: how many bytes


def same_on_every_processor() -> None:
    """Have MKL, before torch is there, run its code for every processor: goldens are of that.

    Products are up to twenty times slower so: no benchmark may do this.
    """
    os.environ.setdefault(_SWITCH, _EVERY)


def may_differ() -> bool:
    """Whether MKL may have code of this processor alone: of Intel's, or nobody knows."""
    try:
        return "GenuineIntel" in _CPUINFO.read_text()
    except OSError:
        return True


@contextmanager
def common_exponential() -> Iterator[None]:
    """Let `torch.exp` give inside the block, in float32, what MKL's code for every processor gives.

    The reference works its positional embeddings out by it, also for a model in float64, which
    hears the last place. Another process is asked for it: all else stays as fast as MKL is here.
    Where MKL_CBWR is set, and on processors that have no other code, nothing is changed.

    Raises:
        ParityError: from `torch.exp`, where that process fails.
    """
    if _SWITCH in os.environ or not may_differ():
        yield
        return
    import torch

    here, other = torch.exp, _other()

    def exp(x: Any, *arguments: Any, **named: Any) -> Any:
        result = here(x, *arguments, **named)
        with torch._C.DisableTorchFunction():  # whoever watches saw the exponential
            if result.dtype == torch.float32 and result.device.type == "cpu":
                result.detach().numpy()[...] = other(x.detach().numpy())
        return result

    torch.exp = exp
    try:
        yield
    finally:
        torch.exp = here


class _Other:
    """A process that runs MKL's code for every processor: from arrays to their exponentials."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, _SWITCH: _EVERY},
        )
        atexit.register(self.close)

    def __call__(self, x: Any) -> Any:
        import numpy as np

        asked, answer = x.tobytes(), b""
        if self._process.stdin and self._process.stdout:
            try:
                self._process.stdin.write(_HEAD.pack(len(asked)) + asked)
                self._process.stdin.flush()
                answer = self._process.stdout.read(len(asked))
            except OSError:  # it is gone
                pass
        if len(answer) < len(asked):
            from parity.core.result import ParityError

            raise ParityError(
                "a process with MKL's code for every processor was expected to answer, and it "
                f"ended: set {_SWITCH}={_EVERY}, which does without it and takes longer."
            )
        return np.frombuffer(answer, np.float32).reshape(x.shape)

    def close(self) -> None:
        """Let it end."""
        atexit.unregister(self.close)
        self._process.communicate()


@lru_cache(1)
def _other() -> _Other:
    """One for all: torch takes two seconds to be imported."""
    return _Other()


def _answer() -> None:
    """Be that process."""
    import numpy as np
    import torch

    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(_HEAD.size):
        (size,) = _HEAD.unpack(head)
        x = np.frombuffer(source.read(size), np.float32).copy()
        sink.write(torch.exp(torch.from_numpy(x)).numpy().tobytes())
        sink.flush()


if __name__ == "__main__":
    _answer()
