"""Modules of the standard library that only some systems have."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def optional(name: str) -> Any:
    """The module `name`; None on a system that does not have it."""
    try:
        return import_module(name)
    except ImportError:
        return None
