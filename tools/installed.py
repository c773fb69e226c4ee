"""Install the wheel and the source archive into empty environments, and use them there.

    python tools/installed.py [PYTHON ...]     default: python3.11, python3.12, ... as far as they are installed
    python tools/installed.py --here           only use the gatewise of the environment that runs this
    python tools/installed.py --lowest         the lowest version of every dependency and of the extras `EXTRAS`

It builds the source archive and, for each Python that no earlier wheel fits, a wheel from it. It installs both with the
extra `train`. There it imports gatewise, checks that the native kernel is present, predicts with the bundled model and
trains an epoch. Prints the table of docs/platforms.md, and exits with 1 where a step fails. The lowest versions are the
floors of the ranges in pyproject.toml, as constraints for pip.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
EXTRAS = ("train", "data", "forecast", "onnx", "sklearn", "tune", "tensorboard", "mlflow", "serve")
_FLOOR = re.compile(r"([A-Za-z0-9_-]+)(?:\[[a-z,]+\])?>=([0-9.]+)")

USE = """
import platform
import subprocess
import sys

import gatewise as gw
from gatewise import kernels

assert kernels.unavailable_reason("native") is None, kernels.unavailable_reason("native")
command = [sys.executable, "-m", "gatewise", "predict", "A film to see twice."]
shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
assert shown.startswith("positive"), shown
texts = [f"{'good' if n % 3 else 'bad'} film number {n}" for n in range(60)]
labels = ["yes" if n % 3 else "no" for n in range(60)]
model = gw.train(texts, labels, epochs=1, units=4, verbose=0, out="model", overwrite=True)
assert (gw.load("model").predict_proba(texts) == model.predict_proba(texts)).all()
assert model.explain(texts[0])
print(f"{platform.python_version()}: gatewise {gw.__version__} in {gw.__file__}, {shown.strip()}")
"""

# What uses the libraries of an extra, in the folder that holds the model of `USE`.
EXTRA_USES = {
    "data": """
import pyarrow as pa
import pyarrow.parquet
import gatewise as gw
table = pa.table({"text": ["a good film", "a bad film"]})
pyarrow.parquet.write_table(table, "rows.parquet")
assert len(gw.load("model").predict(table["text"])) == 2
""",
    "forecast": """
import numpy as np
import gatewise as gw
times = np.arange("2024-01", "2027-01", dtype="datetime64[M]")
import pandas as pd
series = pd.Series(np.sin(np.arange(36.0)), index=times.astype("datetime64[s]"))
assert len(gw.Forecaster.fit(series, horizon=3, epochs=1, units=4).predict()) == 3
""",
    "onnx": """
import gatewise as gw
print("exported with an error of", gw.load("model").to_onnx("model.onnx").max_error)
""",
    "sklearn": """
from gatewise.sklearn import LSTMTextClassifier
texts, labels = [f"{'good' if n % 3 else 'bad'} film {n}" for n in range(300)], [n % 3 > 0 for n in range(300)]
assert LSTMTextClassifier(epochs=1, units=4).fit(texts, labels).predict(texts).shape == (300,)
""",
    "tune": """
import csv, subprocess, sys
rows = [(f"{'good' if n % 3 else 'bad'} film {n}", n % 3 > 0) for n in range(300)]
with open("rows.csv", "w", newline="") as file:
    csv.writer(file).writerows([("text", "label"), *rows])
options = "--text text --label label --trials 2 --set epochs=1 --set units=4 -o tuned".split()
subprocess.run([sys.executable, "-m", "gatewise", "tune", "rows.csv", *options], check=True, stdout=subprocess.DEVNULL)
""",
    "tensorboard": """
from pathlib import Path
import gatewise as gw
from gatewise.training.progress import TensorBoardCallback
texts, labels = [f"{'good' if n % 3 else 'bad'} film {n}" for n in range(300)], [n % 3 for n in range(300)]
gw.train(texts, labels, epochs=1, units=4, verbose=0, callbacks=TensorBoardCallback("runs"))
assert list(Path("runs").rglob("events.out.tfevents.*"))
""",
    "mlflow": """
import os
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # newer versions write to a database by default
import mlflow
import gatewise as gw
from gatewise.training.progress import MLflowCallback
mlflow.set_tracking_uri("file:mlruns")
texts, labels = [f"{'good' if n % 3 else 'bad'} film {n}" for n in range(300)], [n % 3 for n in range(300)]
gw.train(texts, labels, epochs=1, units=4, verbose=0, callbacks=MLflowCallback())
assert len(mlflow.search_runs(output_format="list")) == 1
""",
    "serve": """
import json, subprocess, sys, urllib.request
server = subprocess.Popen(
    [sys.executable, "-m", "gatewise", "serve", "-m", "model", "--port", "0"], stderr=subprocess.PIPE, text=True
)
try:
    url = next(line.split(" at ")[1].split()[0] for line in server.stderr if " at http" in line)
    print(json.load(urllib.request.urlopen(url + "/v2/models/model"))["name"], "is served")
finally:
    server.terminate()
assert server.wait() in (0, 143)
""",
}


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


def lowest(extras: tuple[str, ...]) -> list[str]:
    """The constraints, "name==version", of the package itself and its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    lines = [line for part in [project["dependencies"], *(optional[extra] for extra in extras)] for line in part]
    found = [match for line in lines if (match := _FLOOR.match(line))]
    return [f"{match[1]}=={match[2]}" for match in found]


def lowest_versions(folder: Path) -> None:
    """Install and use them. Raises CalledProcessError where pip cannot install them together or a command fails."""
    (folder / "lowest.txt").write_text("\n".join(lowest(EXTRAS)))
    print((folder / "lowest.txt").read_text())
    python = environment(sys.executable, folder / "venv")
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "install", "--quiet", "--constraint", folder / "lowest.txt", f"{ROOT}[{','.join(EXTRAS)}]"])
    run([*pip, "check"])
    for code in (USE, *EXTRA_USES.values()):
        run([python, "-W", "ignore", "-c", code], cwd=folder)
    run([python, "-m", "gatewise", "info"], cwd=folder)
    run([python, "-m", "gatewise", "predict", "-m", "model", "-i", "rows.parquet", "--text", "text"], cwd=folder)


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", nargs="*")
    parser.add_argument("--here", action="store_true")
    parser.add_argument("--lowest", action="store_true")
    given = parser.parse_args()
    if given.here or given.lowest:
        with tempfile.TemporaryDirectory() as folder:
            if given.lowest:
                lowest_versions(Path(folder))
            else:
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
