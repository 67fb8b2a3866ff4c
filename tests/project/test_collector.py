"""The garbage collector is held back inside a block, and never longer."""

from __future__ import annotations

import gc
from contextlib import suppress

import pytest

from demucs_tf.utils.collector import without_collector


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
