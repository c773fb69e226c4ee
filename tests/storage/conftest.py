"""A small model folder, made anew for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_model import small_files

from gatewise.storage import save_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_folder(tmp_path / "model", small_files())
