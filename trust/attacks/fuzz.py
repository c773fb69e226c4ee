"""Fuzzing guided by coverage, with atheris; the native kernel with AddressSanitizer."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from trust.attack import ROOT, Attack, Attacks
from trust.fuzzing import extension
from trust.mutate import Rng

RUNS = 20_000  # executions of a try
_LINES = 12  # of a report


def _fuzz(rng: Rng, folder: Path, target: str) -> str | None:
    """One run of the fuzzer with a seed of its own, in a process that it ends."""
    seed = int(rng.integers(1, 2**31))
    command = [sys.executable, "-m", "trust.fuzzing", target, "--seed", str(seed), "--runs", str(RUNS)]
    # Python's hashes too depend on the seed alone.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "TMPDIR": str(folder)}
    if target == "kernels":
        environment |= extension.environment()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    report = (done.stdout + done.stderr).decode("utf-8", "replace")
    if done.returncode == 0 and f"Done {RUNS} runs" in report and "no interesting inputs" not in report:
        return None
    return f"exit code {done.returncode}: {_summary(report)}"


def _summary(report: str) -> str:
    """The lines of a report that say what failed, and where its input is."""
    words = ("Error", "ERROR", "SUMMARY", "runtime error", "Test unit written")
    lines = [line.strip() for line in report.splitlines() if any(word in line for word in words)]
    return " | ".join(lines[:_LINES]) or report[-300:]


def _unavailable(native: bool = False) -> str:
    if not importlib.util.find_spec("atheris"):
        return "atheris is not installed (make fuzz)"
    return extension.unavailable() if native else ""


PROMISES = {
    "json": "JSON is read as Python's json module reads it, written as it was read, or refused in one line.",
    "safetensors": "A safetensors file gives the arrays that the safetensors library reads, or is refused in one line.",
    "tokenizer": "A vocabulary gives the ids that the tokenizers library gives and is written as it was read, or is "
    "refused in one line.",
    "ts": "A .ts file gives the numbers that are written in it, or is refused in one line.",
    "arff": "An ARFF file gives finite series with their labels, or is refused in one line.",
    "ucr": "A file of the UCR archive gives finite series with their labels, or is refused in one line.",
    "csv": "A CSV file gives the rows that Python's csv module and pandas read, or is refused with its lines.",
    "tsv": "A TSV file gives the rows that Python's csv module and pandas read, or is refused with its lines.",
    "json-rows": "JSON Lines and JSON lists give the records that Python's json module reads, or are refused with "
    "lines.",
    "npz": "An .npz or .npy file gives the numbers that NumPy reads, or is refused in one line.",
    "onnx": "An ONNX file gives the weights that the onnx library reads, or is refused in one line; it reads no other "
    "file.",
    "trials": "A search continues from a file of trials, or refuses it in one line.",
    "kernels": "No argument of the native extension makes it read or write outside its arrays: it refuses what does "
    "not fit.",
}
SANITIZED = (
    ", with AddressSanitizer and UndefinedBehaviorSanitizer: shapes, dtypes, lengths, row numbers, threads, steps"
)
ATTACKS = Attacks()
for _target, _promise in PROMISES.items():
    _native = _target == "kernels"
    ATTACKS[f"fuzz-{_target}"] = Attack(
        f"fuzz-{_target}",
        _promise,
        f"fuzzing guided by coverage, {RUNS:,} executions per try{SANITIZED * _native}",
        0,  # tests/trust/test_fuzzing.py has the short form, without atheris
        50,
        partial(_fuzz, target=_target),
        extension.build if _native else bool,
        partial(_unavailable, _native),
        seconds=900.0,
        memory=0,  # the fuzzer has a limit of its own
    )
