"""A checkpoint with any bit changed is refused: a run never continues from other weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import ModelFileError, TrainingError
from gatewise.storage.tensors import metadata_of, tensors_from_bytes, tensors_to_bytes
from gatewise.training.callback import EpochLog
from gatewise.training.optim import Adam
from gatewise.training.run import FILE, Progress, parse_checkpoint, read_verified, write_checkpoint

IDENTITY = json.dumps({"seed": 3, "sha256": "0" * 64})
WEIGHTS = {"w": np.arange(12, dtype=np.float32).reshape(3, 4)}
GROUPS = {"weights": WEIGHTS, "best": WEIGHTS}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    row = EpochLog(1, 0.5, 0.75, 0.25, None, 1.5, True)
    write_checkpoint(tmp_path, IDENTITY, Progress(7, 9, 3.5, 4, 2, 1.5, [row]), GROUPS, Adam(WEIGHTS))
    return tmp_path


def read(folder: Path, identity: str = IDENTITY) -> tuple[Progress, Any]:
    return parse_checkpoint(read_verified(folder / FILE), folder, identity, GROUPS, Adam(WEIGHTS))


def test_it_comes_back(folder: Path) -> None:
    progress, groups = read(folder)
    assert progress == Progress(7, 9, 3.5, 4, 2, 1.5, [EpochLog(1, 0.5, 0.75, 0.25, None, 1.5, True)])
    assert groups["best"]["w"].tobytes() == WEIGHTS["w"].tobytes()
    with pytest.raises(TrainingError, match="another run: it differs in seed"):
        read(folder, json.dumps({"seed": 4, "sha256": "0" * 64}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.update(steps=-1), "steps must not be negative"),
        (lambda found: found.update(step="7"), "step must be a whole number"),
        (lambda found: found.update(loss_sum=True), "loss_sum must be a number"),
        (lambda found: found.update(other=1), "unknown key 'other'"),
        (lambda found: found.update(history=3), "history must be a list"),
        (lambda found: found.update(history=[3]), r"history\[0\]: must be an object"),
        (lambda found: found["history"][0].pop("loss"), r"history\[0\]: loss is missing"),
    ],
)
def test_progress_is_read_strictly(folder: Path, change: Callable[[Any], Any], message: str) -> None:
    """Also where the checksum fits."""
    raw = (folder / FILE).read_bytes()
    progress = json.loads(metadata_of(raw)["progress"])
    change(progress)
    shapes = {f"{group}/w": ((3, 4), "float32") for group in GROUPS}
    shapes |= {name: (value.shape, value.dtype.name) for name, value in Adam(WEIGHTS).state().items()}
    metadata = {"identity": IDENTITY, "progress": json.dumps(progress)}
    (folder / FILE).write_bytes(tensors_to_bytes(tensors_from_bytes(raw, shapes), metadata, checksum=True))
    with pytest.raises(ModelFileError, match=message):
        read(folder)
