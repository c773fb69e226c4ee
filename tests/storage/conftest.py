"""A small model folder, made anew for each test."""

import os
import sys
from pathlib import Path

import pytest
from small_model import small_files

from gatewise.storage.folder import save_folder
from tests.system import no_posix


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_folder(tmp_path / "model", small_files())


@pytest.fixture(params=["here", "without POSIX"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The system as it is, then files and folders as on Windows. The code that prepares another process for it."""
    if request.param != "here":
        if os.name == "posix" and sys.platform != "linux":
            pytest.skip("/proc tells what is open")
        no_posix.install(monkeypatch.setattr)
        return "from tests.system import no_posix\nno_posix.install()\n"
    return ""
