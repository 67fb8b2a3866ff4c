"""Memory that is free goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import os
import numpy as np
from demucs_tf.utils.allocator import give_back_memory, give_back_now

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

give_back_memory()
blocks = [np.ones(2**17) for _ in range(100)]  # a megabyte each
last = np.ones(2**17)  # holds what is free below it
full = resident()
del blocks
before = resident()
give_back_now()
print(full - before, before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_small_blocks_go_back_when_that_is_asked_for() -> None:
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    by_itself, asked_for = map(int, done.stdout.split())
    assert by_itself < 10 << 20
    assert asked_for > 90 << 20
