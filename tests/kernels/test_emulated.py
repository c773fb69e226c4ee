"""The kernel's tests on a processor that qemu emulates: the NEON build, cross-compiled for aarch64."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatewise.kernels import native
from gatewise.kernels.native import Native
from tests.kernels.emulated.extension import Extension
from tests.kernels.suite import CHECKS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="builds for Linux"),
    # A sanitizer is loaded into every program, compilers too.
    pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="programs of its own"),
]

ROOT = Path(__file__).resolve().parents[2]
COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
LIBRARIES = "/usr/aarch64-linux-gnu"  # of Debian's cross compiler
MISSING = [tool for tool in (COMPILER, EMULATOR) if shutil.which(tool) is None]
needs_emulator = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

# All tests of arrays. The others inspect the process that the kernel runs in: its threads, processors and memory.
NAMES = "adam convolution interpolation isas numbers suite"
FILES = [f"tests/kernels/test_{name}.py" for name in NAMES.split()]
# The same on every instruction set.
OTHERS = ["tests/kernels/test_pooling.py", "tests/training/test_ngrams.py::test_tfidf_against_linear_svc"]


def compiled(folder: Path, processor: str, *options: str) -> Path:
    """The program of emulated/main.cpp for `processor`."""
    cmake = [sys.executable, "-m", "cmake"]
    system = ["-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={processor}", "-DCMAKE_BUILD_TYPE=Release"]
    source = ["-S", str(ROOT / "tests/kernels/emulated"), "-B", str(folder), "-G", "Unix Makefiles"]
    for command in ([*cmake, *source, *system, *options], [*cmake, "--build", str(folder), "--parallel", "2"]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return folder / "kernel"


@pytest.fixture(scope="module")
def neon(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs the kernel's build for aarch64, on a processor without later instructions."""
    program = compiled(tmp_path_factory.mktemp("neon"), "aarch64", f"-DCMAKE_CXX_COMPILER={COMPILER}")
    return [EMULATOR, "-cpu", "cortex-a53", "-L", LIBRARIES, str(program)]


@needs_emulator
def test_the_tests_of_the_kernel_pass_on_neon(neon: list[str]) -> None:
    plugins = ["-p", "tests.kernels.emulated.plugin", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWISE_")}
    environment["GATEWISE_EMULATED"] = " ".join(neon)
    # The reference and the version are tested without an emulator. The portable build for this processor is compiled to
    # NEON too. The program takes one call at a time.
    only = ["-k", "(neon or not (reference or portable)) and not many_threads and not another_version"]
    command = [sys.executable, "-m", "pytest", "-v", *plugins, *only, *FILES, *OTHERS]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    for file in FILES:
        assert re.search(rf"{file}::\S+neon\S* PASSED", done.stdout), f"{file}: no test of NEON\n{done.stdout}"


@pytest.fixture(scope="module")
def generic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Extension]:
    """The program for this machine, as for an unknown processor: the portable build."""
    extension = Extension([str(compiled(tmp_path_factory.mktemp("generic"), "generic"))])
    yield extension
    extension.close()


def test_the_program_without_an_emulator(generic: Extension, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "imported", lambda: (generic, ""))
    assert native.isas() == ("portable",)
    for check in CHECKS.values():
        check(Native(isa="portable", threads=2))


def test_a_wrong_number_from_the_program_is_found(generic: Extension, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last element of each result in turn."""
    monkeypatch.setattr(native, "imported", lambda: (generic, ""))
    right = {name: getattr(generic, name) for name in ("forward", "backward", "linear_backward")}
    cases = [("forward", n, "check_forward") for n in range(3)] + [("backward", n, "check_gradients") for n in range(4)]
    for name, at, check in [*cases, *(("linear_backward", n, "check_project_backward") for n in range(3))]:

        def wrong(*given: object, name: str = name, at: int = at) -> object:
            results = right[name](*given)
            results[at].flat[-1:] += 1
            return results

        with monkeypatch.context() as patch:
            patch.setattr(generic, name, wrong)
            with pytest.raises(AssertionError, match="off by"):
                CHECKS[check](Native(isa="portable", threads=1))
