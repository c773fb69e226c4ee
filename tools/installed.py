"""Use an installed gatewise, as somebody would who has nothing else of it.

    python tools/installed.py                  the gatewise of the environment that runs this
    python tools/installed.py --lowest         the lowest version of every dependency and of the extras `EXTRAS`

It imports gatewise, checks that the native kernel is present, predicts with the bundled model and trains an epoch. The
lowest versions are the floors of the ranges in pyproject.toml, as constraints for pip. `make release-check` uses the
functions for every Python and every extra.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_FLOOR = re.compile(r"([A-Za-z0-9_-]+)(?:\[[a-z,]+\])?>=([0-9.]+)")

# Begins each of the scripts.
REVIEWS = """
import subprocess
import sys
from pathlib import Path

import gatewise as gw

texts = [f"{'good' if n % 3 else 'bad'} film number {n}" for n in range(300)]
labels = ["yes" if n % 3 else "no" for n in range(300)]
small = {"epochs": 1, "units": 4, "verbose": 0}
"""

USE = """
import platform

from gatewise import kernels

assert kernels.unavailable_reason("native") is None, kernels.unavailable_reason("native")
command = [sys.executable, "-m", "gatewise", "predict", "A warm, funny and honest film."]
shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
assert shown.startswith("positive"), shown
model = gw.train(texts, labels, **small, out="model", overwrite=True)
assert (gw.load("model").predict_proba(texts) == model.predict_proba(texts)).all()
assert model.explain(texts[0])
print(f"{platform.python_version()}: gatewise {gw.__version__} in {gw.__file__}, {shown.strip()}")
"""

# What uses the libraries of an extra, in the folder that holds the model of `USE`.
EXTRA_USES = {
    "data": """
import pyarrow as pa
import pyarrow.parquet
table = pa.table({"text": ["a good film", "a bad film"]})
pyarrow.parquet.write_table(table, "rows.parquet")
assert len(gw.load("model").predict(table["text"])) == 2
""",
    "forecast": """
import numpy as np
import pandas as pd
series = pd.Series(np.sin(np.arange(36.0)), index=pd.date_range("2024-01", periods=36, freq="MS"))
assert len(gw.Forecaster.fit(series, horizon=3, epochs=1, units=4).predict()) == 3
""",
    "onnx": """
print("exported with an error of", gw.load("model").export("model.onnx").max_error)
""",
    "sklearn": """
from gatewise.sklearn import LSTMTextClassifier
assert LSTMTextClassifier(epochs=1, units=4).fit(texts, labels).predict(texts).shape == (300,)
""",
    "tune": """
rows = "".join(f"{text},{label}\\n" for text, label in zip(texts, labels))
Path("rows.csv").write_text(f"text,label\\n{rows}")
options = "--text text --label label --trials 2 --set epochs=1 --set units=4 -o tuned".split()
subprocess.run([sys.executable, "-m", "gatewise", "tune", "rows.csv", *options], check=True, stdout=subprocess.DEVNULL)
""",
    "tensorboard": """
from gatewise.training.progress import TensorBoardCallback
gw.train(texts, labels, **small, callbacks=TensorBoardCallback("runs"))
assert list(Path("runs").rglob("events.out.tfevents.*"))
""",
    "mlflow": """
import os
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # newer versions write to a database by default
import mlflow
from gatewise.mlflow import MLflowCallback, load_model
mlflow.set_tracking_uri("file:mlruns")
gw.train(texts, labels, **small, callbacks=MLflowCallback())
[run] = mlflow.search_runs(output_format="list")
print(load_model(f"runs:/{run.info.run_id}/model").predict(["good film"]), "by the logged model")
""",
    "serve": """
import json, urllib.request
command = [sys.executable, "-m", "gatewise", "serve", "-m", "model", "--port", "0"]
server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
try:
    url = next(line.split(" at ")[1].split()[0] for line in server.stderr if " at http" in line)
    print(json.load(urllib.request.urlopen(url + "/v2/models/model"))["name"], "is served")
finally:
    server.terminate()
assert server.wait() in (0, 143)
""",
}


EXTRAS = ("train", *EXTRA_USES)


def printed(*command: object, cwd: Path = ROOT, **variables: str) -> str:
    """Standard output of a command. Raises RuntimeError with its last lines."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[:4])}: {(done.stdout + done.stderr).strip()[-4000:]}")
    return done.stdout


def environment(python: str, home: Path) -> Path:
    """The interpreter of a new, empty environment."""
    printed(python, "-m", "venv", home)
    return home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def use(python: Path, folder: Path, code: str = USE) -> str:
    """Use gatewise outside the tree; what it prints."""
    shown = printed(python, "-W", "ignore", "-c", REVIEWS + code, cwd=folder)
    assert str(ROOT / "src") not in shown, f"that is the tree's own package: {shown}"
    return shown.strip()


def lowest(extras: tuple[str, ...]) -> list[str]:
    """The constraints, "name==version", of the package itself and its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    lines = [line for part in [project["dependencies"], *(optional[extra] for extra in extras)] for line in part]
    found = [match for line in lines if (match := _FLOOR.match(line))]
    return [f"{match[1]}=={match[2]}" for match in found]


def lowest_versions(folder: Path, source: Path = ROOT) -> None:
    """Install and use them, with gatewise from the tree or a wheel. Raises RuntimeError where pip cannot install them
    together, or a command fails.
    """
    (folder / "lowest.txt").write_text("\n".join(lowest(EXTRAS)))
    print((folder / "lowest.txt").read_text())
    python = environment(sys.executable, folder / "venv")
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    printed(*pip, "install", "--quiet", "--constraint", folder / "lowest.txt", f"{source}[{','.join(EXTRAS)}]")
    printed(*pip, "check")
    for code in (USE, *EXTRA_USES.values()):
        use(python, folder, code)
    printed(python, "-m", "gatewise", "info", cwd=folder)
    printed(python, "-m", "gatewise", "predict", "-m", "model", "-i", "rows.parquet", "--text", "text", cwd=folder)


def main() -> None:
    """Exits with 1 where a step fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lowest", action="store_true", help="install the lowest versions and use them")
    with tempfile.TemporaryDirectory() as folder:
        if parser.parse_args().lowest:
            lowest_versions(Path(folder))
        else:
            print(use(Path(sys.executable), Path(folder)))


if __name__ == "__main__":
    main()
