"""Install the wheel and the source archive into empty environments, and use them there.

    python tools/installed.py [PYTHON ...]     default: python3.11, python3.12, ... as far as they are installed
    python tools/installed.py --here           only use the gatewise of the environment that runs this

It builds the source archive and, for each Python that no earlier wheel fits, a wheel from it. It installs both with the
extra `train`. There it imports gatewise, checks that the native kernel is present, predicts with the bundled model and
trains an epoch. Prints the table of docs/platforms.md, and exits with 1 where a step fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")

USE = """
import platform
import subprocess
import sys
import tempfile

import gatewise as gw
from gatewise import kernels

assert kernels.unavailable_reason("native") is None, kernels.unavailable_reason("native")
command = [sys.executable, "-m", "gatewise", "predict", "A film to see twice."]
shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
assert shown.startswith("positive"), shown
texts = [f"{'good' if n % 3 else 'bad'} film number {n}" for n in range(60)]
labels = ["yes" if n % 3 else "no" for n in range(60)]
with tempfile.TemporaryDirectory() as folder:
    model = gw.train(texts, labels, epochs=1, units=4, verbose=0, out=f"{folder}/model")
    again = gw.load(f"{folder}/model")
    assert (again.predict_proba(texts) == model.predict_proba(texts)).all()
print(f"{platform.python_version()}: gatewise {gw.__version__} in {gw.__file__}, {shown.strip()}")
"""


def run(command: list[str | Path], **options: object) -> None:
    """Run a command whose output is shown where it fails. Raises CalledProcessError."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:], sep="\n", file=sys.stderr)
        done.check_returncode()


def runs(python: str) -> bool:
    """Whether there is such an interpreter. The shim of a version manager may be without one."""
    return bool(shutil.which(python)) and subprocess.run([python, "--version"], capture_output=True).returncode == 0


def environment(python: str, home: Path) -> Path:
    """The interpreter of a new, empty environment."""
    run([python, "-m", "venv", home])
    return home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def use(python: Path, folder: Path) -> str:
    """Use gatewise outside the tree; what it prints."""
    done = subprocess.run([str(python), "-W", "ignore", "-c", USE], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    assert str(ROOT) not in done.stdout, f"that is the tree's own package: {done.stdout}"
    return done.stdout.strip()


def wheel_for(pip: list[str | Path], source: Path, folder: Path) -> Path:
    """A wheel that fits this Python: one that was built for another, else a new one."""
    built = folder.parent / "wheels"
    built.mkdir(exist_ok=True)
    options = ["download", "--quiet", "--no-deps", "--no-index", "--only-binary=:all:", "--find-links", built]
    command = [str(part) for part in [*pip, *options, "--dest", folder / "fits", "gatewise"]]
    if subprocess.run(command, capture_output=True).returncode:
        run([*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "fits", source])
    [wheel] = (folder / "fits").glob("*.whl")
    shutil.copy(wheel, built)
    return wheel


def install(python: str, kind: str, source: Path, folder: Path) -> str:
    """Install `source`, a source archive, or a wheel that is built from it. Returns a row of the table."""
    pip: list[str | Path] = [environment(python, folder / "venv"), "-m", "pip", "--disable-pip-version-check"]
    if kind == "wheel":
        source = wheel_for(pip, source, folder)
    size = source.stat().st_size / 1e6
    run([*pip, "install", "--quiet", f"{source}[train]"])
    print(use(Path(pip[0]), folder), file=sys.stderr)
    version = subprocess.check_output([str(pip[0]), "-c", "import platform as p; print(p.python_version())"], text=True)
    return f"| {version.strip()} | {source.name} | {size:.1f} MB | works |"


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", nargs="*")
    parser.add_argument("--here", action="store_true")
    given = parser.parse_args()
    if given.here:
        with tempfile.TemporaryDirectory() as folder:
            print(use(Path(sys.executable), Path(folder)))
        return 0
    found = given.python or [f"python{one}" for one in VERSIONS if runs(f"python{one}")]
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        run([sys.executable, "-m", "build", "--sdist", "-o", Path(folder) / "dist", ROOT])
        [source] = (Path(folder) / "dist").glob("*.tar.gz")
        print("| Python | from | size | result |\n|---|---|---:|---|", flush=True)
        for number, python in enumerate(found):
            for kind in ("wheel", "source archive"):
                home = Path(folder) / f"{number}-{kind[0]}"
                home.mkdir()
                try:
                    print(install(python, kind, source, home), flush=True)
                except (OSError, RuntimeError, subprocess.CalledProcessError, AssertionError) as error:
                    print(f"| {python} | {kind} | | {str(error).strip().splitlines()[-1]} |", flush=True)
                    failed = True
    return int(failed or not found)


if __name__ == "__main__":
    sys.exit(main())
