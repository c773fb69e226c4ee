"""Install gatewise with the lowest version of every dependency into an empty environment, and use it there.

    python tools/lowest_versions.py [EXTRA ...]     default: all but torch, demo, ray and dev

The lowest versions are the floors of the ranges in pyproject.toml, as constraints for pip. Prints them, and exits
with 1 where pip cannot install them together or a command fails.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("train", "data", "onnx", "sklearn", "tune", "tensorboard", "mlflow", "serve")
_FLOOR = re.compile(r"([A-Za-z0-9_-]+)(?:\[[a-z,]+\])?>=([0-9.]+)")

SMOKE = """
import numpy as np
import gatewise as gw

texts = [f"{'good' if n % 3 else 'bad'} film number {n}" for n in range(60)]
labels = ["yes" if n % 3 else "no" for n in range(60)]
model = gw.train(texts, labels, epochs=1, units=4, verbose=0, out="model")
assert np.array_equal(gw.load("model").predict_proba(texts), model.predict_proba(texts))
assert model.explain(texts[0])
print("trained, saved, loaded, predicted and explained with numpy", np.__version__)
"""

# What uses the libraries of an extra, in the folder that holds the model of `SMOKE`.
SMOKE_EXTRAS = {
    "data": """
import pyarrow as pa
import pyarrow.parquet
import gatewise as gw
table = pa.table({"text": ["a good film", "a bad film"]})
pyarrow.parquet.write_table(table, "rows.parquet")
assert len(gw.load("model").predict(table["text"])) == 2
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
from gatewise.training.trackers import TensorBoardCallback
texts, labels = [f"{'good' if n % 3 else 'bad'} film {n}" for n in range(300)], [n % 3 for n in range(300)]
gw.train(texts, labels, epochs=1, units=4, verbose=0, callbacks=TensorBoardCallback("runs"))
assert list(Path("runs").rglob("events.out.tfevents.*"))
""",
    "mlflow": """
import os
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # newer versions write to a database by default
import mlflow
import gatewise as gw
from gatewise.training.trackers import MLflowCallback
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


def lowest(extras: tuple[str, ...]) -> list[str]:
    """The constraints, "name==version", of the package itself and its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    lines = [line for part in [project["dependencies"], *(optional[extra] for extra in extras)] for line in part]
    found = [match for line in lines if (match := _FLOOR.match(line))]
    return [f"{match[1]}=={match[2]}" for match in found]


def main(extras: tuple[str, ...]) -> int:
    """Returns the exit code."""
    constraints = lowest(extras)
    print(*constraints, sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "venv" / "bin" / "python"
        (Path(folder) / "lowest.txt").write_text("\n".join(constraints))
        package = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        commands: list[list[str | Path]] = [
            [sys.executable, "-m", "venv", Path(folder) / "venv"],
            [*pip, "--constraint", Path(folder) / "lowest.txt", package],
            [python, "-m", "pip", "check"],
            [python, "-W", "ignore", "-c", SMOKE],
            *([python, "-W", "ignore", "-c", SMOKE_EXTRAS[extra]] for extra in extras if extra in SMOKE_EXTRAS),
            [python, "-m", "gatewise", "predict", "a good film"],
            [python, "-m", "gatewise", "info"],
        ]
        if "data" in extras:
            commands.append(
                [python, "-m", "gatewise", "predict", "-m", "model", "-i", "rows.parquet", "--text", "text"]
            )
        for command in commands:
            if subprocess.run([str(part) for part in command], cwd=folder, check=False).returncode:
                print(f"failed: {' '.join(str(part) for part in command)[:200]}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:]) or EXTRAS))
