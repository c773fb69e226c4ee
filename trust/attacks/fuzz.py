"""Fuzzing guided by coverage, with atheris; the native kernel with AddressSanitizer."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from tools.sanitize import ONE_THREAD, compile_extension
from trust.attack import ROOT, Attack, Attacks, missing
from trust.fuzzing.registry import PROMISES
from trust.mutate import Rng

RUNS = 20_000  # executions of a try
LINES = 12  # of a report
BUILD = ROOT / "build" / "fuzz" / "kernels"  # the native extension, and the package with it
# A size of 2^40 is no reason to fail: such an allocation returns null, which is a MemoryError. Python's own memory is
# not checked for leaks.
ADDRESS = "detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=500:handle_abort=1"


def _build() -> None:
    """Compile changed files of the extension with Clang, AddressSanitizer, UndefinedBehaviorSanitizer and libFuzzer's
    counters.
    """
    compile_extension(BUILD, BUILD / "site", "-DGATEWISE_SANITIZE=fuzzer", "-DCMAKE_CXX_COMPILER=clang++")


def _sanitized() -> dict[str, str]:
    """The environment of a process that imports it. atheris brings a libFuzzer with AddressSanitizer, which has to be
    loaded first.
    """
    spec = importlib.util.find_spec("atheris")
    assert spec is not None
    assert spec.origin is not None
    library = Path(spec.origin).parents[1] / "asan_with_fuzzer.so"
    paths = f"{BUILD / 'site'}{os.pathsep}{ROOT}"
    return {**ONE_THREAD, "PYTHONPATH": paths, "LD_PRELOAD": str(library), "ASAN_OPTIONS": ADDRESS}


def _fuzz(rng: Rng, folder: Path, target: str) -> None:
    """One run of the fuzzer with a seed of its own, in a process that it ends."""
    seed = int(rng.integers(1, 2**31))
    command = [sys.executable, "-m", "trust.fuzzing", target, "--seed", str(seed), "--runs", str(RUNS)]
    # Python's hashes too depend on the seed alone.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "TMPDIR": str(folder)}
    if target == "kernels":
        environment |= _sanitized()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    report = (done.stdout + done.stderr).decode("utf-8", "replace")
    right = done.returncode == 0 and f"Done {RUNS} runs" in report and "no interesting inputs" not in report
    assert right, f"exit code {done.returncode}: {_summary(report)}"


def _summary(report: str) -> str:
    """The lines of a report that say what failed, and where its input is."""
    words = ("Error", "ERROR", "SUMMARY", "runtime error", "Test unit written")
    lines = [line.strip() for line in report.splitlines() if any(word in line for word in words)]
    return " | ".join(lines[:LINES]) or report[-300:]


def _unavailable(native: bool = False) -> str:
    compiler = not native or shutil.which("clang++")
    return missing("atheris") or ("" if compiler else "clang++ is not installed")


SANITIZED = (
    ", with AddressSanitizer and UndefinedBehaviorSanitizer: shapes, dtypes, lengths, row numbers, threads, steps"
)
ATTACKS = Attacks()
for _target, _promise in (one for promises in PROMISES.values() for one in promises.items()):
    _native = _target == "kernels"
    ATTACKS[f"fuzz-{_target}"] = Attack(
        f"fuzz-{_target}",
        _promise,
        f"fuzzing guided by coverage, {RUNS:,} executions per try{SANITIZED * _native}",
        0,  # tests/trust/test_fuzzing.py has the short form, without atheris
        50,
        partial(_fuzz, target=_target),
        _build if _native else bool,
        partial(_unavailable, _native),
        seconds=900.0,
        memory=0,  # the fuzzer has a limit of its own
    )
