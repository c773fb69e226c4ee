"""Checkpoints: everything that the rest of a run depends on, in one safetensors file without pickle.

A checkpoint is written whole or not at all. A run that continues from it ends with the same bits as one that was never
stopped, on the same machine with the same number of threads.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from gatewise.errors import ModelFileError, TrainingError
from gatewise.storage import (
    fields_from,
    metadata_of,
    parse_json,
    read_regular,
    tensors_from_bytes,
    tensors_to_bytes,
    verify_checksum,
    write_atomic,
)
from gatewise.training.callback import EpochLog, PerplexityLog
from gatewise.training.communicator import Communicator
from gatewise.training.optim import Adam
from gatewise.types import Array

FILE = "checkpoint.safetensors"
CHECKPOINT_SECONDS = 300.0  # between two checkpoints of a loop: a killed process loses that much work
MAX_BYTES = 16_000_000_000  # the weights of the largest model folder, those of the best epoch, and Adam's state, twice
Row = TypeVar("Row", EpochLog, PerplexityLog)
Groups = Mapping[str, Mapping[str, Array]]  # "weights" and others, each arrays by name


@dataclass
class Progress(Generic[Row]):
    """State of a run. step: steps done, in training those of the current epoch; steps: of the whole run, in pretraining
    only; loss_sum over loss_count rows (training: of the epoch) or steps (pretraining: since the last measurement).
    """

    epoch: int = 0
    step: int = 0
    steps: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    correct: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    history: list[Row] = field(default_factory=list)

    @property
    def position(self) -> str:
        """Where the run is, in words."""
        return f"step {self.step:,} of {self.steps:,}" if self.steps else f"epoch {self.epoch}, step {self.step}"

    @property
    def history_lines(self) -> str:
        """The history as JSON lines, as a model folder stores it."""
        return "".join(json.dumps(row.as_dict()) + "\n" for row in self.history)


def write_checkpoint(folder: Path, identity: str, progress: Progress[Any], groups: Groups, optimizer: Adam) -> None:
    """Write `folder`/checkpoint.safetensors: progress, arrays and Adam's state. identity: what only a run of the same
    `run_identity` may continue.
    """
    tensors = {f"{group}/{name}": value for group, arrays in groups.items() for name, value in arrays.items()}
    tensors |= optimizer.state()
    metadata = {"identity": identity, "progress": json.dumps(asdict(progress))}
    write_atomic(folder / FILE, tensors_to_bytes(tensors, metadata, checksum=True))


def parse_checkpoint(
    raw: bytes, folder: Path | str, identity: str, row: type[Row], groups: Groups, optimizer: Adam
) -> tuple[Progress[Row], dict[str, dict[str, Array]]]:
    """Progress and arrays of the content of a checkpoint, which was read from `folder` by `read_verified`; Adam's state
    is restored in place.

    row: the type of the history's rows. groups: arrays of the expected names, shapes and dtypes. Raises TrainingError
    for the checkpoint of another run, ModelFileError for a damaged one.
    """
    metadata = metadata_of(raw, FILE)
    if metadata.get("identity") != identity:
        was: dict[str, Any] = _object(metadata.get("identity", ""))
        now: dict[str, Any] = _object(identity)
        differs = sorted(key for key in {*was, *now} if was.get(key) != now.get(key))
        raise TrainingError(
            f"{folder} holds another run: it differs in {', '.join(differs)}; resume with the same, or delete it"
        )
    progress = _progress_from(_object(metadata.get("progress", "")), row)
    shapes = {
        f"{group}/{name}": (value.shape, value.dtype.name)
        for group, arrays in groups.items()
        for name, value in arrays.items()
    }
    tensors = tensors_from_bytes(raw, shapes | optimizer.state_shapes(), FILE)
    if not 0 <= int(tensors["adam/step"]) < 2**31:
        raise ModelFileError(f"{FILE}: adam/step is not a number of steps")
    optimizer.load_state(tensors)
    return progress, {
        group: {name: tensors[f"{group}/{name}"].copy() for name in arrays} for group, arrays in groups.items()
    }


def read_verified(path: Path) -> tuple[bytes, dict[str, str]]:
    """Content and metadata of a file of a run folder. Raises ModelFileError for what is not a regular file, and
    where its SHA-256 does not match.
    """
    raw = read_regular(path, MAX_BYTES)
    try:
        verify_checksum(raw, str(path))
    except ModelFileError as error:
        raise ModelFileError(f"{error}; start the run again with --overwrite (overwrite=True)") from error
    return raw, metadata_of(raw, path.name)


def _object(text: str) -> dict[str, Any]:
    found = parse_json(text.encode(), FILE)
    if not isinstance(found, dict):
        raise ModelFileError(f"{FILE}: its metadata must be objects")
    return found


def _progress_from(found: dict[str, Any], row: type[Row]) -> Progress[Row]:
    rows = found.pop("history", None)
    if not isinstance(rows, list):
        raise ModelFileError(f"{FILE}: progress: history must be a list")
    progress: Progress[Row] = fields_from(Progress, found, f"{FILE}: progress")
    for name in ("epoch", "step", "steps", "loss_count", "correct", "best_epoch"):
        if getattr(progress, name) < 0:
            raise ModelFileError(f"{FILE}: progress: {name} must not be negative")
    progress.history = [fields_from(row, entry, f"{FILE}: history[{n}]") for n, entry in enumerate(rows)]
    return progress


def run_identity(
    recipe: Mapping[str, Any], seed: int, fingerprint: str, kernel: str, threads: int, communicator: Communicator
) -> str:
    """What must be equal for a run to continue bit for bit, as JSON: kernel, threads and machine are those of the first
    process. Raises TrainingError where recipe, seed, data or version of another process differ.
    """
    same = {"recipe": dict(recipe), "seed": seed, "data": fingerprint, "numpy": np.__version__}
    communicator.check_equal({name: json.dumps(value, sort_keys=True) for name, value in same.items()}, "training")
    parts = {"kernel": kernel, "threads": threads, "processes": communicator.size, "machine": platform.machine()}
    return communicator.share(json.dumps({**same, **parts}, sort_keys=True).encode()).decode()
