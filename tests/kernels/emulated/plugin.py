"""A plugin of pytest: the tests see the program GATEWISE_EMULATED as the C++ extension.

GATEWISE_EMULATED="qemu-aarch64 -L /usr/aarch64-linux-gnu PROGRAM" python -m pytest -p tests.kernels.emulated.plugin
"""

from __future__ import annotations

import os
import shlex

import pytest

from gatewise.kernels import native
from tests.kernels.emulated.extension import Extension

EXTENSION = Extension(shlex.split(os.environ["GATEWISE_EMULATED"]))
native.imported = lambda: (EXTENSION, "")  # type: ignore[assignment, return-value]


def pytest_report_header() -> str:
    return f"instruction sets: {' '.join(native.isas())}"


def pytest_unconfigure(config: pytest.Config) -> None:
    EXTENSION.close()
