"""The wheel, built once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.building import build


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the tree as it is. Its build folder is `build` next to it."""
    return build("wheel", tmp_path_factory.mktemp("wheel"))
