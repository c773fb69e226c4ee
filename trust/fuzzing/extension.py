"""The native extension with AddressSanitizer, UndefinedBehaviorSanitizer and libFuzzer's counters."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from tools.sanitize import ONE_THREAD, ROOT, compile_extension

BUILD = ROOT / "build" / "fuzz" / "kernels"
SITE = BUILD / "site"
# A size of 2^40 is no reason to fail: such an allocation returns null, which is a MemoryError. Python's own memory is
# not checked for leaks.
_ADDRESS = "detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=500:handle_abort=1"


def build() -> None:
    """Compile changed files with Clang, and copy the package with the extension to SITE."""
    compile_extension(BUILD, SITE, "-DGATEWISE_SANITIZE=fuzzer", "-DCMAKE_CXX_COMPILER=clang++")


def unavailable() -> str:
    """Why it cannot be built here, or ""."""
    return "" if shutil.which("clang++") else "clang++ is not installed"


def environment() -> dict[str, str]:
    """The environment of a process that imports it. atheris brings a libFuzzer with AddressSanitizer, which has to be
    loaded first.
    """
    spec = importlib.util.find_spec("atheris")
    assert spec is not None
    assert spec.origin is not None
    library = Path(spec.origin).parents[1] / "asan_with_fuzzer.so"
    paths = f"{SITE}{os.pathsep}{ROOT}"
    return {**ONE_THREAD, "PYTHONPATH": paths, "LD_PRELOAD": str(library), "ASAN_OPTIONS": _ADDRESS}
