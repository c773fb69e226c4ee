"""Checkpoints: everything that the rest of a run depends on, in one safetensors file without pickle.

A checkpoint is written whole or not at all. A run that continues from it ends with the same bits as one that was never
stopped, on the same machine with the same number of threads. All random draws follow from the seed and the number of
the step, so that it needs no state of a generator.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gatewise.errors import ModelFileError, TrainingError
from gatewise.storage.atomic import read_regular, write_atomic
from gatewise.storage.fields import fields_from
from gatewise.storage.strict_json import parse_json
from gatewise.storage.tensors import metadata_of, tensors_from_bytes, tensors_to_bytes, verify_checksum
from gatewise.training.callback import EpochLog
from gatewise.training.optim import Adam
from gatewise.types import Array

FILE = "checkpoint.safetensors"
MAX_BYTES = 16_000_000_000  # the weights of the largest model folder, those of the best epoch, and Adam's state, twice
CHECKPOINT_SECONDS = 300.0  # between two checkpoints: a killed process loses that much work
Groups = Mapping[str, Mapping[str, Array]]  # "weights" and others, each arrays by name


@dataclass
class Progress:
    """Where a run is."""

    step: int = 0
    """Steps done."""
    steps: int = 0
    """Steps of the run."""
    loss_sum: float = 0.0
    """Sum of the losses since the last validation."""
    loss_count: int = 0
    """How many rows, or steps with a label, `loss_sum` is of."""
    correct: int = 0
    """Rows since the last validation that are predicted correctly."""
    seconds: float = 0.0
    """Since the start of the epoch."""
    history: list[EpochLog] = field(default_factory=list)
    """A row per validation."""

    def add_step(self, loss: float, correct: int, n: int) -> None:
        """Count a step. loss: the mean over its n rows, of which so many are predicted correctly."""
        self.step += 1
        self.loss_sum += loss * n
        self.loss_count += n
        self.correct += correct

    def add_validation(self, row: EpochLog) -> None:
        """Add a row to the history; loss and accuracy start anew."""
        self.history.append(row)
        self.loss_sum = 0.0
        self.loss_count = 0
        self.correct = 0

    @property
    def loss(self) -> float:
        """Mean loss since the last validation."""
        return self.loss_sum / self.loss_count

    @property
    def accuracy(self) -> float:
        """Share of the rows since the last validation that are predicted correctly."""
        return self.correct / self.loss_count

    @property
    def best_epoch(self) -> int:
        """The epoch with the lowest validation loss, counted from 1; 0 before the first validation."""
        return max((row.epoch for row in self.history if row.best), default=0)

    @property
    def position(self) -> str:
        """Where the run is, in words."""
        return f"step {self.step:,} of {self.steps:,}"

    @property
    def history_lines(self) -> str:
        """The history as JSON lines, as a model folder stores it."""
        return "".join(json.dumps(row.as_dict()) + "\n" for row in self.history)


class CheckpointClock:
    """Whether a checkpoint is due within an epoch: CHECKPOINT_SECONDS after the last one. writes: whether this process
    has a folder for checkpoints.
    """

    def __init__(self, writes: bool) -> None:
        self.writes = writes
        self.due = False
        """Whether it was due in the process that writes when the last step was summed. All processes take part in a
        checkpoint: the states of their rows belong to it.
        """
        self._last = 0.0

    def restart(self) -> None:
        """The run begins, or a checkpoint was written."""
        self._last = time.perf_counter()

    @property
    def due_here(self) -> bool:
        """By the clock of this process."""
        return self.writes and time.perf_counter() - self._last > CHECKPOINT_SECONDS


def write_checkpoint(folder: Path, identity: str, progress: Progress, groups: Groups, optimizer: Adam) -> None:
    """Write `folder`/checkpoint.safetensors: progress, arrays and Adam's state. identity: what only a run of the same
    `run_identity` may continue.
    """
    tensors = _tensors(groups)
    tensors |= optimizer.state()
    metadata = {"identity": identity, "progress": json.dumps(asdict(progress))}
    write_atomic(folder / FILE, tensors_to_bytes(tensors, metadata, checksum=True))


def parse_checkpoint(
    raw: bytes,
    folder: Path | str,
    identity: str,
    groups: Groups,
    optimizer: Adam,
) -> tuple[Progress, dict[str, dict[str, Array]]]:
    """Progress and arrays of the content of a checkpoint, which was read from `folder` by `read_verified`; Adam's state
    is restored in place.

    groups: arrays of the expected names, shapes and dtypes. Raises TrainingError
    for the checkpoint of another run, ModelFileError for a damaged one.
    """
    metadata = metadata_of(raw, FILE)
    if metadata.get("identity") != identity:
        stored = _json_object(metadata.get("identity", ""))
        expected = _json_object(identity)
        differences = sorted(key for key in {*stored, *expected} if stored.get(key) != expected.get(key))
        raise TrainingError(
            f"{folder} holds another run: it differs in {', '.join(differences)}; resume with the same, or delete it"
        )
    progress = fields_from(Progress, _json_object(metadata.get("progress", "")), f"{FILE}: progress")
    for name in ("step", "steps", "loss_count", "correct"):
        if getattr(progress, name) < 0:
            raise ModelFileError(f"{FILE}: progress: {name} must not be negative")
    expected_tensors = _tensors(groups) | optimizer.state()
    shapes = {name: (value.shape, value.dtype.name) for name, value in expected_tensors.items()}
    tensors = tensors_from_bytes(raw, shapes, FILE)
    if not 0 <= int(tensors["adam/step"]) < 2**31:
        raise ModelFileError(f"{FILE}: adam/step is not a number of steps")
    optimizer.load_state(tensors)
    return progress, {
        group: {name: tensors[f"{group}/{name}"].copy() for name in arrays} for group, arrays in groups.items()
    }


def read_verified(path: Path) -> bytes:
    """The content of a file of a run folder. Raises ModelFileError for what is not a regular file, and where its
    SHA-256 does not match.
    """
    raw = read_regular(path, MAX_BYTES)
    try:
        verify_checksum(raw, str(path))
    except ModelFileError as error:
        raise ModelFileError(f"{error}; start the run again with --overwrite (overwrite=True)") from error
    return raw


def _tensors(groups: Groups) -> dict[str, Array]:
    """The arrays by `group/name`."""
    return {f"{group}/{name}": value for group, arrays in groups.items() for name, value in arrays.items()}


def _json_object(text: str) -> dict[str, Any]:
    content = parse_json(text.encode(), FILE)
    if not isinstance(content, dict):
        raise ModelFileError(f"{FILE}: its metadata must be objects")
    return content
