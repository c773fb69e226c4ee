"""What the processes of one training run tell each other: sums of arrays, the bytes of one process, errors.

A run in one process uses `Communicator` itself, whose operations do nothing. That of several processes stands in
`gatewise.training.distributed`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import numpy as np

from gatewise.errors import GatewiseError, TrainingError
from gatewise.types import Array

NUMBERS = 8  # at most, that the processes tell each other when they meet


class PeerError(TrainingError):
    """Another process of the run has failed."""


class LostPeer(PeerError):
    """Another process of the run is gone."""


class Communicator:
    """The processes of a run. rank: the number of this process, from 0; size: how many there are.

    All processes call the same methods in the same order; a call returns when all have made it. A subclass has
    `all_reduce`, `all_gather` and `broadcast`, the rest follows from them.
    """

    rank = 0
    size = 1

    def all_reduce(self, array: Array) -> None:
        """Replace a contiguous array by its sum over all processes, which has the same bits in each of them."""

    def all_gather(self, array: Array) -> Array:
        """The arrays of all processes, of one shape and dtype, in the order of their ranks: (size, *shape)."""
        return array[None]

    def broadcast(self, array: Array) -> None:
        """Replace a contiguous array by that of rank 0."""

    def meet(self, *numbers: float) -> Array:
        """The numbers of all processes: (size, len(numbers)). Raises PeerError with the error of another process."""
        every, errors = self._meet(numbers, "")
        for rank, error in enumerate(errors):
            if error:
                raise PeerError(f"process {rank}: {error}")
        return every

    @contextmanager
    def together(self) -> Iterator[None]:
        """A GatewiseError of the block in one process becomes a PeerError in the others, where they meet next. If all
        have one, that of rank 0 remains.
        """
        try:
            yield
        except PeerError:
            raise
        except GatewiseError as error:
            with suppress(PeerError):
                _, errors = self._meet((), str(error))
                if self.rank and errors[0]:
                    error = PeerError(f"process 0: {errors[0]}")
            raise error from None

    def _meet(self, numbers: Sequence[float], error: str) -> tuple[Array, list[str]]:
        """The numbers (size, n) and the errors of all processes, "" for none."""
        text = error.encode()
        own = np.zeros(1 + NUMBERS)
        own[: 1 + len(numbers)] = len(text), *numbers
        every = self.all_gather(own)
        lengths = every[:, 0]
        errors = [""] * len(every)
        if lengths.any():
            rows = self.all_gather(_padded(text, int(lengths.max())))
            errors = [_text(row, n).decode(errors="replace") for row, n in zip(rows, lengths, strict=True)]
        return every[:, 1 : 1 + len(numbers)], errors

    def gather(self, raw: bytes) -> list[bytes]:
        """The bytes of all processes."""
        sizes = self.meet(len(raw))[:, 0]
        rows = self.all_gather(_padded(raw, int(sizes.max())))
        return [_text(row, size) for row, size in zip(rows, sizes, strict=True)]

    def share(self, raw: bytes) -> bytes:
        """The bytes of rank 0."""
        if self.size == 1:
            return raw
        size = int(self.meet(len(raw))[0, 0])
        buffer = _padded(raw[:size], size)
        self.broadcast(buffer)
        return buffer.tobytes()

    def part(self, rows: Array) -> Array:
        """The rows (n, ...) of this process: every `size`-th, from `rank`."""
        return rows[self.rank :: self.size]

    def whole(self, part: Array) -> Array:
        """The rows (n, ...) of which each process has its `part`, in their order."""
        if self.size == 1:
            return part
        counts = self.meet(len(part))[:, 0].astype(int)
        every = zip(self.gather(part.tobytes()), counts, strict=True)
        return interleaved([np.frombuffer(raw, part.dtype).reshape(n, *part.shape[1:]) for raw, n in every])

    def check_equal(self, values: dict[str, str], where: str) -> None:
        """Raise TrainingError where a process has another text of a name than rank 0."""
        if self.size == 1:
            return
        for name, value in values.items():
            every = self.gather(value.encode())
            other = [rank for rank, one in enumerate(every) if one != every[0]]
            if other:
                raise TrainingError(f"{where}: process {other[0]} has another {name} than process 0")

    def check_same(self, arrays: Mapping[str, Array], where: str) -> None:
        """Raise TrainingError where the arrays of a process are not those of rank 0, bit for bit."""
        if self.size > 1:
            digest = hashlib.sha256()
            for array in arrays.values():
                digest.update(array.tobytes())
            self.check_equal({"model": digest.hexdigest()}, where)


def interleaved(parts: Sequence[Array]) -> Array:
    """The rows of which part r has every len(parts)-th, from r."""
    first = parts[0]
    rows = np.empty((sum(len(part) for part in parts), *first.shape[1:]), first.dtype)
    for rank, part in enumerate(parts):
        rows[rank :: len(parts)] = part
    return rows


def _padded(raw: bytes, size: int) -> Array:
    out = np.zeros(size, dtype=np.uint8)
    out[: len(raw)] = np.frombuffer(raw, dtype=np.uint8)
    return out


def _text(row: Array, size: float) -> bytes:
    return row[: int(size)].tobytes()
