"""What a process took is its own, whatever this one has."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.kinds import process

MB = 2**20


def test_the_peak_is_the_childs_own() -> None:
    ballast = np.ones(400 * MB, np.uint8)
    small = process.run(["-c", "print('hello')"])
    large = process.run(["-c", f"x = bytearray({150 * MB}); print(len(x))"])
    assert ballast[-1] == 1
    assert small.output == "hello\n"
    assert 1 * MB < small.peak < 100 * MB
    assert 150 * MB < large.peak < 300 * MB
    assert 0 < small.seconds < 30


def test_a_process_that_fails_is_an_error_with_what_it_said() -> None:
    with pytest.raises(RuntimeError, match=r"failed: [\s\S]*ValueError: no"):
        process.run(["-c", "raise ValueError('no')"])
