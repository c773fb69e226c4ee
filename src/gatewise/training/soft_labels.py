"""Soft labels: class probabilities that a teacher predicts for unlabelled texts.

Self-training (Scudder 1965) with the soft targets of distillation (Hinton et al. 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import TrainingError
from gatewise.model.model import Model
from gatewise.storage import tensors_from_bytes, tensors_to_bytes, write_atomic
from gatewise.target import log_probabilities
from gatewise.training.run import read_verified
from gatewise.types import Array

_FILE = "teacher.safetensors"


@dataclass(frozen=True)
class SoftTargets:
    """targets (n, K) float32: probabilities of the classes; weights (n,) float32: weight of each row in the loss."""

    targets: NDArray[np.float32]
    weights: NDArray[np.float32]

    @classmethod
    def of(cls, labels: NDArray[np.int64], soft_labels: NDArray[np.float64]) -> SoftTargets:
        """One-hot targets of labels (n,), then soft labels (m, K), with weight 1."""
        one_hot = np.eye(soft_labels.shape[1], dtype=np.float32)[labels]  # (n, K)
        targets = np.concatenate([one_hot, soft_labels.astype(np.float32)])
        return cls(targets, np.ones(len(targets), dtype=np.float32))


def predict_soft_labels(teacher: Model, full_sequences: list[Array]) -> NDArray[np.float64]:
    """The teacher's probabilities (m, K) of m encoded texts."""
    return np.asarray(np.exp(log_probabilities(teacher.ensemble.logits(full_sequences))), dtype=np.float64)


def save_soft_labels(soft_labels: NDArray[np.float64], folder: Path | None, identity: str) -> NDArray[np.float64]:
    """Round soft labels (m, K) to single precision and save them in `folder`, for a run that is resumed."""
    rounded = soft_labels.astype(np.float32)
    if folder is not None:
        write_atomic(
            folder / _FILE, tensors_to_bytes({"probabilities": rounded}, {"identity": identity}, checksum=True)
        )
    return rounded.astype(np.float64)


def load_soft_labels(folder: Path, shape: tuple[int, int], identity: str) -> NDArray[np.float64] | None:
    """What `save_soft_labels` left in `folder`, if anything. Raises TrainingError for that of another run,
    ModelFileError for a damaged file.
    """
    if not (folder / _FILE).exists():
        return None
    raw, metadata = read_verified(folder / _FILE)
    if metadata.get("identity") != identity:
        raise TrainingError(f"{folder} holds the teacher of another run; resume with the same, or delete it")
    return tensors_from_bytes(raw, {"probabilities": (shape, "float32")}, _FILE)["probabilities"].astype(np.float64)


def subsample(count: int, limit: int) -> NDArray[np.int64]:
    """Indices of at most `limit` of `count` texts, evenly spaced; of all for 0."""
    return np.arange(count)[:: 1 if not limit else max(1, -(-count // limit))]
