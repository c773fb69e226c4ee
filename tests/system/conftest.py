"""A process without POSIX."""

import os
import sys

import pytest

from tests.system import no_posix


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and folders behave as on Windows."""
    if os.name == "posix" and sys.platform != "linux":
        pytest.skip("/proc tells what is open")
    no_posix.install(monkeypatch.setattr)
