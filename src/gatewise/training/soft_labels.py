"""Texts without labels: a first network, the teacher, says what it thinks of them, and the second learns from that.

Self-training (Scudder 1965; with soft targets Hinton et al. 2015): the teacher with its n-grams beside it is better
than either alone, and reads far more text than there are labels for.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import TrainingError
from gatewise.metrics.evaluation import log_probabilities
from gatewise.model.model import Model
from gatewise.storage import metadata_of, tensors_from_bytes, tensors_to_bytes, write_atomic
from gatewise.types import Array

__all__ = ["load_soft_labels", "predict_soft_labels", "save_soft_labels", "subsample"]

FILE = "teacher.safetensors"


def predict_soft_labels(teacher: Model, whole: list[Array]) -> NDArray[np.float64]:
    """The teacher's probabilities (m, K) of m encoded texts."""
    return np.asarray(np.exp(log_probabilities(teacher.logits_of(whole))), dtype=np.float64)


def save_soft_labels(opinion: NDArray[np.float64], folder: Path | None, identity: str) -> NDArray[np.float64]:
    """The same to single precision, and kept in `folder`, for a run that is resumed."""
    found = opinion.astype(np.float32)
    if folder is not None:
        write_atomic(folder / FILE, tensors_to_bytes({"probabilities": found}, {"identity": identity}))
    return found.astype(np.float64)


def load_soft_labels(folder: Path, shape: tuple[int, int], identity: str) -> NDArray[np.float64] | None:
    """What `save_soft_labels` kept in `folder`; None where it has kept nothing.
    Raises TrainingError if it is of another
    run.
    """
    if not (folder / FILE).exists():
        return None
    raw = (folder / FILE).read_bytes()
    if metadata_of(raw, FILE).get("identity") != identity:
        raise TrainingError(f"{folder} holds the teacher of another run; resume with the same, or delete it")
    return tensors_from_bytes(raw, {"probabilities": (shape, "float32")}, FILE)["probabilities"].astype(np.float64)


def subsample(texts: int, most: int) -> NDArray[np.int64]:
    """The numbers of at most `most` of so many texts, evenly taken; of all for 0."""
    return np.arange(texts)[:: 1 if not most else max(1, -(-texts // most))]
