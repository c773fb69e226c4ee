"""`make sanitize`: the tests of the native kernel, compiled with sanitizers.

    python tools/sanitize.py [address] [thread] [-- PYTEST ARGUMENTS]

For each sanitizer, CMake compiles the extension again (GATEWISE_SANITIZE) in build/sanitize-NAME, next to a copy of the
package that only these runs import. The kernel tests run with it, including their subprocesses. A sanitizer report is a
failure even if the tests pass. Needs Linux and GCC with its sanitizer libraries.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ["tests/kernels", "tests/nn/test_kernel_ops.py", "tests/network"]

# libstdc++ as well: the sanitizers look up its functions at start, before Python loads it with an extension.
LIBRARIES = {"address": ["libasan.so", "libubsan.so", "libstdc++.so"], "thread": ["libtsan.so", "libstdc++.so"]}
OPTIONS = {
    "address": {
        # No leak check: Python frees little at exit, and nanobind keeps its types. tests/kernels/test_memory.py tests
        # with the arena's counter that arrays free their memory.
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=1:strict_string_checks=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    },
    "thread": {
        # die_after_fork=0: one test forks a child that starts threads, which would abort otherwise.
        "TSAN_OPTIONS": "die_after_fork=0:second_deadlock_stack=1",
    },
}
# The sanitizers see only code that is compiled with them, so other libraries get one thread.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# Without the editable install's import hook, so that Python imports the copy on PYTHONPATH.
SITECUSTOMIZE = 'import sys\n\nsys.meta_path[:] = [f for f in sys.meta_path if "editable" not in type(f).__module__]\n'


DEBUG = "-DCMAKE_BUILD_TYPE=RelWithDebInfo"  # otherwise nanobind strips the symbols from reports
MAX_REPORT = 6000  # characters per process


def main() -> None:
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    selected, extra = words[:cut] or list(LIBRARIES), words[cut + 1 :]
    failed = [name for name in selected if not _clean(name, extra)]
    if failed:
        raise SystemExit(f"sanitize: failed: {', '.join(failed)}")
    print(f"sanitize: passed: {', '.join(selected)}")


def _clean(name: str, extra: list[str]) -> bool:
    """Whether the tests pass with the sanitizer `name` and without a report."""
    build = ROOT / "build" / f"sanitize-{name}"
    site, reports = build / "site", build / "reports"
    compile_extension(build, site, f"-DGATEWISE_SANITIZE={name}")
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir()
    environment = {
        **os.environ,
        **ONE_THREAD,
        "PYTHONPATH": str(site),
        "LD_PRELOAD": ":".join(map(_library, LIBRARIES[name])),
    }
    for variable, options in OPTIONS[name].items():
        environment[variable] = f"{options}:log_path={reports / variable.split('_')[0].lower()}"
    shared = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", *extra]
    check = f"import gatewise.kernels._native as n; assert n.__file__.startswith({str(site)!r}), n.__file__"
    subprocess.run([sys.executable, "-c", check], env=environment, cwd=ROOT, check=True)
    print(f"sanitize: {name}: {' '.join(TESTS)}", flush=True)
    done = subprocess.run([*shared, *TESTS], env=environment, cwd=ROOT, check=False)
    contents = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(reports.iterdir())]
    for report in contents:
        print(report[:MAX_REPORT])
    passed = "pass" if done.returncode == 0 else "fail"
    print(f"sanitize: {name}: tests {passed}, {len(contents)} reports in {reports}", flush=True)
    return done.returncode == 0 and not contents


def compile_extension(build: Path, site: Path, *options: str) -> None:
    """Build changed files in `build` with options of CMake, and copy the package with that extension to `site`."""
    scripts = Path(sysconfig.get_path("scripts"))
    cmake = str(scripts / "cmake") if (scripts / "cmake").exists() else "cmake"
    ninja = shutil.which("ninja", path=f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}") or "ninja"
    configure = [cmake, "-S", str(ROOT), "-B", str(build), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    subprocess.run([*configure, f"-DPython_EXECUTABLE={sys.executable}", DEBUG, *options], check=True)
    subprocess.run([cmake, "--build", str(build)], check=True)
    shutil.rmtree(site, ignore_errors=True)
    skipped = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "src" / "gatewise", site / "gatewise", ignore=skipped)
    subprocess.run([cmake, "--install", str(build), "--prefix", str(site)], check=True)
    (site / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")


def _library(name: str) -> str:
    """The path of a library of the compiler's."""
    compiler = os.environ.get("CXX", "c++")
    found = subprocess.run([compiler, f"-print-file-name={name}"], check=True, capture_output=True, text=True).stdout
    if not Path(found.strip()).is_absolute():
        raise SystemExit(f"{compiler} has no {name}: install the compiler's sanitizer libraries")
    return str(Path(found.strip()).resolve())


if __name__ == "__main__":
    main()
