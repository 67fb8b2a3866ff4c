"""One small model in each format, for all tests here."""

from __future__ import annotations

import pytest

from tests.checkpoints.hostile.sound import Sound


@pytest.fixture(name="sound", scope="session")
def _sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    return Sound(tmp_path_factory.mktemp("sound"))
