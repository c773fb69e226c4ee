"""A checkpoint with any bit changed is refused: a run never continues from other weights."""

from __future__ import annotations

import json
import os
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


def test_any_damage_is_refused(folder: Path) -> None:
    """Each byte of the file flipped in one bit; truncated, extended, with two parts exchanged."""
    good = (folder / FILE).read_bytes()
    rng = np.random.default_rng(4)
    damaged = [good[:at] + bytes([good[at] ^ (1 << int(rng.integers(8)))]) + good[at + 1 :] for at in range(len(good))]
    damaged += [good[:at] for at in rng.integers(0, len(good), 100)] + [good + b"\0", b""]
    for _ in range(100):
        a, b, c = sorted(rng.choice(len(good), 3, replace=False).tolist())
        damaged.append(good[:a] + good[b:c] + good[a:b] + good[c:])
    for raw in damaged:
        if raw == good:  # the parts exchanged were equal
            continue
        (folder / FILE).write_bytes(raw)
        with pytest.raises(ModelFileError, match="damaged: its content does not match its SHA-256; start the run"):
            read(folder)


@pytest.mark.parametrize("kind", ["FIFO", "link", "folder", "device", "sparse"])
def test_only_a_regular_file_is_read(folder: Path, kind: str) -> None:
    """A FIFO blocked for ever, and a link to /dev/zero was read until the memory was full."""
    path = folder / FILE
    if kind == "sparse":
        os.truncate(path, 2**40)
    else:
        path.rename(folder / "elsewhere")
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind != "sparse":
        path.symlink_to("/dev/zero" if kind == "device" else folder / "elsewhere")
    with pytest.raises(ModelFileError, match=r"checkpoint\.safetensors"):
        read(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.update(steps=-1), "steps must not be negative"),
        (lambda found: found.update(step="7"), "step must be a whole number"),
        (lambda found: found.update(loss_sum=True), "loss_sum must be a number"),
        (lambda found: found.update(other=1), "unknown key 'other'"),
        (lambda found: found.pop("history"), "history must be a list"),
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


@pytest.mark.parametrize("metadata", [{}, {"identity": "[]"}, {"identity": IDENTITY}, {"identity": IDENTITY[:-1]}])
def test_metadata_that_is_not_a_checkpoints_is_refused(folder: Path, metadata: dict[str, str]) -> None:
    (folder / FILE).write_bytes(tensors_to_bytes(WEIGHTS, metadata, checksum=True))
    with pytest.raises(ModelFileError):
        read(folder)
