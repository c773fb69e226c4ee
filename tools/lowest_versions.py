"""Install gatewise with the lowest version of every dependency into an empty environment, and use it there.

    python tools/lowest_versions.py [EXTRA ...]     default: train data keras onnx sklearn serve

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
EXTRAS = ("train", "data", "keras", "onnx", "sklearn", "serve")
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
            [python, "-m", "gatewise", "predict", "a good film"],
            [python, "-m", "gatewise", "info"],
        ]
        for command in commands:
            if subprocess.run([str(part) for part in command], cwd=folder, check=False).returncode:
                print(f"failed: {' '.join(str(part) for part in command)[:200]}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:]) or EXTRAS))
