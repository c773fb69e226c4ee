"""The name `gw` of the examples in docstrings, which pytest runs."""

from __future__ import annotations

from typing import Any

import pytest

import gatewise

pytest_plugins = ["tests.cost"]


@pytest.fixture(scope="session", autouse=True)
def _names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace["gw"] = gatewise
