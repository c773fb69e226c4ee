"""NumPy's matrix product (OpenBLAS), for the machine's sgemm rate."""

from __future__ import annotations

import numpy as np

from benchmarks.contenders.base import Arrays, Settings, Sgemm, Task, Unavailable, random_matrix


def load(kind: str, settings: Settings, arrays: Arrays) -> Task:
    if kind != "sgemm":
        raise Unavailable(f"NumPy does not support {kind}")
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    out = np.empty((int(settings["size"]),) * 2, np.float32)
    name, versions = f"numpy.matmul ({blas['name']})", {"numpy": np.__version__}
    return Sgemm(settings, random_matrix, lambda a, b: np.matmul(a, b, out=out), name, versions)
