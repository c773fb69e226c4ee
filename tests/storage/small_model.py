"""A small model, for the tests of storage."""

import numpy as np

from gatewise.storage.strict_json import json_bytes
from gatewise.storage.tensors import tensors_to_bytes

EXPECTED = {"bias": ((5,), "float32"), "count": ((), "int64"), "weight": ((3, 5), "float32")}


def small_tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(20)
    return {
        "weight": rng.normal(size=(3, 5)).astype(np.float32),
        "bias": rng.normal(size=5).astype(np.float32),
        "count": np.array(7, np.int64),
    }


def small_files() -> dict[str, bytes]:
    return {
        "config.json": json_bytes({"units": 5, "classes": ["negative", "positive"], "note": "naïve — σ"}),
        "model.safetensors": tensors_to_bytes(small_tensors(), {"recipe": "tutorial", "epoch": "2"}),
        "README.md": b"# A card\n",
        "empty.txt": b"",
    }
