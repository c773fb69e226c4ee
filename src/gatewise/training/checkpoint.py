"""A checkpoint: everything that the rest of a run depends on, in one safetensors file. No pickle in it.

It is written whole or not at all, at the end of every epoch and when a run is interrupted. A run that goes on from it
ends with the same bits as one that was never stopped (same machine, same number of threads).
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gatewise.errors import TrainingError
from gatewise.storage import metadata_of, tensors_from_bytes, tensors_to_bytes, write_atomic
from gatewise.storage.strict_json import parse_json
from gatewise.training.adam import expected_moments, load_state, moments
from gatewise.training.callback import EpochLog
from gatewise.types import Array

__all__ = ["FILE", "Progress", "read_checkpoint", "read_same_run", "run_identity", "write_checkpoint"]

FILE = "checkpoint.safetensors"


@dataclass
class Progress:
    """Where a run is: epochs done, batches of the current epoch done, its sums so far, and the history."""

    epoch: int = 0
    batch: int = 0
    seen: int = 0
    loss_sum: float = 0.0
    right: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    history: list[EpochLog] = field(default_factory=list)


def write_checkpoint(
    folder: Path,
    identity: str,
    progress: Progress,
    weights: Mapping[str, Array],
    best: Mapping[str, Array],
    optimizer: torch.optim.Adam,
) -> None:
    """Write `folder`/checkpoint.safetensors. identity: what the run was started with; only the same may go on from
    it.
    """
    tensors = {f"weights/{name}": value for name, value in weights.items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    tensors |= moments(optimizer, list(weights))
    tensors["random"] = torch.get_rng_state().numpy()
    metadata = {"identity": identity, "progress": json.dumps(asdict(progress))}
    write_atomic(folder / FILE, tensors_to_bytes(tensors, metadata))


def read_checkpoint(
    folder: Path,
    identity: str,
    weights: Mapping[str, Array],
    best: Mapping[str, Array],
    optimizer: torch.optim.Adam,
) -> tuple[Progress, dict[str, Array], dict[str, Array]]:
    """Progress, weights and best weights; puts Adam's moments and torch's random state back.

    weights, best: arrays of the shapes that are expected. Raises TrainingError if the checkpoint is of another run.
    """
    raw, progress = read_same_run(folder, identity)
    saved = _progress(progress)
    expected: dict[str, tuple[tuple[int, ...], str]] = {}
    for prefix, arrays in (("weights", weights), ("best", best)):
        expected |= {f"{prefix}/{name}": (value.shape, value.dtype.name) for name, value in arrays.items()}
    if saved.epoch or saved.batch:
        expected |= expected_moments(weights)
    expected["random"] = (torch.get_rng_state().numpy().shape, "uint8")
    tensors = tensors_from_bytes(raw, expected, FILE)
    load_state(optimizer, list(weights), tensors)
    torch.set_rng_state(torch.from_numpy(tensors["random"].copy()))
    return (
        saved,
        {name: tensors[f"weights/{name}"].copy() for name in weights},
        {name: tensors[f"best/{name}"].copy() for name in best},
    )


def read_same_run(folder: Path, identity: str) -> tuple[bytes, Any]:
    """The bytes of `folder`'s checkpoint and the progress that stands in it. Raises TrainingError unless it is of this
    very run.
    """
    raw = (folder / FILE).read_bytes()
    metadata = metadata_of(raw, FILE)
    if metadata.get("identity") != identity:
        was, now = parse_json(metadata.get("identity", "{}").encode(), FILE), parse_json(identity.encode(), FILE)
        differs = sorted(k for k in {*was, *now} if was.get(k) != now.get(k))
        raise TrainingError(
            f"{folder} holds another run: it differs in {', '.join(differs)}; resume with the same, or delete it"
        )
    return raw, parse_json(metadata["progress"].encode(), FILE)


def run_identity(recipe: Mapping[str, Any], seed: int, fingerprint: str, kernel: str, threads: int) -> str:
    """What must be the same for a run to go on bit for bit, as JSON."""
    made_of = {
        "recipe": dict(recipe),
        "seed": seed,
        "data": fingerprint,
        "kernel": kernel,
        "threads": threads,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
    }
    return json.dumps(made_of, sort_keys=True)


def _progress(data: Any) -> Progress:
    rows = [EpochLog(**row) for row in data.pop("history")]
    return Progress(**data, history=rows)
