"""Memory that is free goes back to the system, and Python's search for it can wait."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
from contextlib import suppress

import pytest

from demucs_tf.utils.memory import without_collector

SCRIPT = """
import os
import numpy as np
from demucs_tf.utils.memory import give_back_memory, give_back_now

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


@pytest.mark.parametrize("enabled", [True, False])
def test_it_is_held_back_and_then_as_it_was(enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with suppress(KeyError), without_collector():
            assert not gc.isenabled()
            with without_collector():
                assert not gc.isenabled()
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
