"""NumPy's matrix product (OpenBLAS), for the machine's sgemm rate."""

from __future__ import annotations

import numpy as np

from benchmarks.contenders.base import Arrays, Settings, Task, Unavailable, seconds_of


def load(kind: str, settings: Settings, arrays: Arrays) -> Task:
    if kind != "sgemm":
        raise Unavailable(f"NumPy does not support {kind}")
    return Sgemm(settings)


class Sgemm:
    """Seconds for 10⁹ floating-point operations of a square product of `size`."""

    def __init__(self, settings: Settings) -> None:
        self.size = int(settings["size"])
        self.a, self.b = np.random.default_rng(0).standard_normal((2, self.size, self.size), dtype=np.float32)
        self.out = np.empty_like(self.a)

    def check(self) -> Arrays:
        return {}

    def run(self) -> float:
        work = lambda: np.matmul(self.a, self.b, out=self.out)  # noqa: E731
        return seconds_of(work, warmup=1, repeats=3) / (2e-9 * self.size**3)

    def info(self) -> dict[str, str]:
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return {"numpy": np.__version__, "settings": f"numpy.matmul ({blas['name']}), {self.size}"}
