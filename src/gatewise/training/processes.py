"""Processes of one training run: torchrun starts them, gloo of torch.distributed connects them.

Each process computes the gradients of its rows of a batch, and all of them take their sum (data parallelism). A run in
one process uses `Communicator` itself, whose operations do nothing.

gloo neither encrypts nor authenticates: whoever reaches its ports can take part in a run. No process sends pickles.
"""

import hashlib
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import GatewiseError, InputError, MissingExtra, TrainingError, quote
from gatewise.network.autograd import RowGradient, sum_rows
from gatewise.network.trainable import Gradients
from gatewise.system.processes import available_processors
from gatewise.types import Array

RESTARTS = "TORCHELASTIC_RESTART_COUNT"  # how often torchrun has started this process again, after one that died
_NUMBERS = 8  # at most, that a process sends in `GlooCommunicator.exchange`
_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # that torchrun sets
_START = timedelta(minutes=5)  # for all processes to come
_LONGEST = timedelta(hours=12)  # the other processes wait while the first one fits the ensemble


class PeerError(TrainingError):
    """Another process of the run has failed, or is gone."""


class Communicator:
    """The processes of a run, here the only one. rank: the number of this process, from 0; size: how many there are.

    All processes call the same methods in the same order; a call returns when all have made it.
    """

    rank = 0
    size = 1

    def broadcast(self, raw: bytes) -> bytes:
        """The bytes of rank 0."""
        return raw

    def own_rows(self, rows: Array) -> Array:
        """The rows of this process among all rows (n, ...): every `size`-th, from `rank`."""
        return rows[self.rank :: self.size]

    def gather_rows(self, own_rows: Array) -> Array:
        """All rows (n, ...) in their order, from the `own_rows` of each process."""
        return own_rows

    def sum(
        self, gradients: Gradients, parameters: Mapping[str, Array], weight: float, numbers: Mapping[str, float]
    ) -> tuple[Gradients, dict[str, float]]:
        """Gradients, times the weight of each process, and numbers by name, summed over all processes; the bits are the
        same in each of them. The gradients are those of `parameters`.
        """
        return gradients, dict(numbers)

    def check_equal(self, values: Mapping[str, bytes | Array], where: str) -> None:
        """Raise TrainingError where the value of a name is not that of rank 0, bit for bit."""

    @contextmanager
    def together(self) -> Iterator[None]:
        """A GatewiseError of the block in one process becomes a PeerError in the others, at their next exchange. If all
        have one, that of rank 0 remains.
        """
        yield


class GlooCommunicator(Communicator):
    """The processes of a group of torch.distributed with the gloo backend."""

    def __init__(self, group: Any) -> None:
        import torch.distributed as dist

        self._group = group
        self._dist = dist
        self.rank = dist.get_rank(group)
        self.size = dist.get_world_size(group)

    def _call(self, operation: str, *arguments: Any, **options: Any) -> None:
        """An operation of gloo. All of its errors mean that a process is gone, or does not answer."""
        try:
            getattr(self._dist, operation)(*arguments, group=self._group, **options)
        except RuntimeError as error:
            raise PeerError(f"another process of the run is gone: {_reason(error)}; --resume continues") from None

    def all_reduce(self, array: Array) -> None:
        """Replace a contiguous array by its sum over all processes, which has the same bits in each of them."""
        if array.size:
            self._call("all_reduce", _tensor(array))

    def all_gather(self, array: Array) -> Array:
        """The arrays of all processes, of one shape and dtype, in the order of their ranks: (size, *shape)."""
        gathered = np.empty((self.size, *array.shape), array.dtype)
        if array.size:
            self._call("all_gather", list(_tensor(gathered).unbind(0)), _tensor(np.array(array, order="C")))
        return gathered

    def _gather_padded(self, rows: Array, counts: NDArray[np.int64]) -> list[Array]:
        """The rows of each process, of which that of rank r has counts[r]. gloo gathers arrays of one shape only."""
        padded = np.zeros((counts.max(), *rows.shape[1:]), rows.dtype)
        padded[: len(rows)] = rows
        return [of_rank[:count] for of_rank, count in zip(self.all_gather(padded), counts, strict=True)]

    def _gather_by_rank(self, rows: Array) -> list[Array]:
        """The rows of each process."""
        counts = self.exchange(len(rows))[:, 0].astype(int)
        return self._gather_padded(rows, counts)

    def broadcast(self, raw: bytes) -> bytes:
        length = int(self.exchange(len(raw))[0, 0])
        buffer = np.zeros(length, dtype=np.uint8)
        if self.rank == 0:
            buffer[:] = np.frombuffer(raw, dtype=np.uint8)
        if buffer.size:
            self._call("broadcast", _tensor(buffer), group_src=0)
        return buffer.tobytes()

    def exchange(self, *numbers: float) -> Array:
        """The numbers of all processes: (size, len(numbers)). Raises PeerError with the error of another process."""
        of_all, errors = self._exchange(numbers, "")
        for rank, error in enumerate(errors):
            if error:
                raise PeerError(f"process {rank}: {error}")
        return of_all

    def _exchange(self, numbers: Sequence[float], error: str) -> tuple[Array, list[str]]:
        """The numbers (size, n) and the errors of all processes, "" for none."""
        text = np.frombuffer(error.encode(), dtype=np.uint8)
        message = np.zeros(1 + _NUMBERS)  # of one size in all processes: the length of the error, then the numbers
        message[0] = len(text)
        message[1 : 1 + len(numbers)] = numbers
        messages = self.all_gather(message)
        texts = self._gather_padded(text, messages[:, 0].astype(int))
        errors = [of_rank.tobytes().decode(errors="replace") for of_rank in texts]
        return messages[:, 1 : 1 + len(numbers)], errors

    def gather_rows(self, own_rows: Array) -> Array:
        by_rank = self._gather_by_rank(own_rows)
        rows = np.empty((sum(map(len, by_rank)), *own_rows.shape[1:]), own_rows.dtype)
        for rank, of_rank in enumerate(by_rank):
            rows[rank :: self.size] = of_rank
        return rows

    def sum(
        self, gradients: Gradients, parameters: Mapping[str, Array], weight: float, numbers: Mapping[str, float]
    ) -> tuple[Gradients, dict[str, float]]:
        """The dense gradients are summed as one array. Of an embedding table, the rows that a process has read are
        exchanged, unless all of them together are more than the table: then its sum is exchanged as a whole.
        """
        tables: dict[str, RowGradient] = {}
        dense: dict[str, Array] = {}
        for name, gradient in gradients.items():
            if isinstance(gradient, RowGradient):
                tables[name] = gradient
            else:
                dense[name] = gradient
        # One message: the numbers of each process, then how many rows of each table it has read.
        row_counts = [len(table.rows) for table in tables.values()]
        received = self.exchange(*numbers.values(), *row_counts)
        totals = received[:, : len(numbers)].sum(axis=0).tolist()
        counts_by_table = received[:, len(numbers) :].T.astype(int)

        total: Gradients = {}
        total |= self._sum_dense(dense, weight)
        for (name, table), counts in zip(tables.items(), counts_by_table, strict=True):
            total[name] = self._sum_table(table, len(parameters[name]), weight, counts)
        # The norm of the gradient adds up in this order, which is that of one process.
        in_order = {name: total[name] for name in gradients}
        return in_order, dict(zip(numbers, totals, strict=True))

    def _sum_dense(self, gradients: Mapping[str, Array], weight: float) -> dict[str, Array]:
        """The sums by name, which are exchanged as one array."""
        flat = np.concatenate([np.ravel(gradient) for gradient in gradients.values()])
        flat *= flat.dtype.type(weight)
        self.all_reduce(flat)
        ends = np.cumsum([gradient.size for gradient in gradients.values()])
        sums = np.split(flat, ends[:-1])
        return {
            name: summed.reshape(gradient.shape)
            for (name, gradient), summed in zip(gradients.items(), sums, strict=True)
        }

    def _sum_table(self, gradient: RowGradient, length: int, weight: float, counts: NDArray[np.int64]) -> RowGradient:
        """The sum of the gradients by row, of which process r has counts[r] rows."""
        values = gradient.values * gradient.values.dtype.type(weight)
        rows = np.concatenate(self._gather_padded(gradient.rows, counts))
        # The sum of a whole table is sent twice, in pieces and as the sum; the rows of each process are sent once.
        if len(counts) * counts.max() < 2 * length:
            return sum_rows(rows, np.concatenate(self._gather_padded(values, counts)))
        table = np.zeros((length, values.shape[1]), values.dtype)
        table[gradient.rows] = values
        self.all_reduce(table)
        read = np.unique(rows)
        return RowGradient(read, table[read])

    def check_equal(self, values: Mapping[str, bytes | Array], where: str) -> None:
        digests = b"".join(hashlib.sha256(bytes(value)).digest() for value in values.values())
        own = np.frombuffer(digests, dtype=np.uint8).reshape(len(values), -1)
        gathered = np.stack(self._gather_by_rank(own))  # (size, values, 32)
        differences = np.argwhere((gathered != gathered[0]).any(axis=2)).tolist()
        if differences:
            rank, place = differences[0]
            raise TrainingError(f"{where}: process {rank} has another {list(values)[place]} than process 0")

    @contextmanager
    def together(self) -> Iterator[None]:
        try:
            yield
        except PeerError:
            raise
        except GatewiseError as error:
            with suppress(PeerError):
                _, errors = self._exchange((), str(error))
                if self.rank and errors[0]:
                    error = PeerError(f"process 0: {errors[0]}")
            raise error from None


_current: ContextVar[Communicator] = ContextVar("communicator", default=Communicator())  # noqa: B039


def current() -> Communicator:
    """That of the innermost `process_group`; outside of one, a Communicator of one process."""
    return _current.get()


@contextmanager
def process_group() -> Iterator[Communicator]:
    """The processes that torchrun has started, for all calls of `train` and `pretrain` in the block; one
    process elsewhere.

    torchrun names them in the environment; a script may have joined them already, by torch.distributed's own
    init_process_group. Each process of a machine gets its share of the threads, unless GATEWISE_THREADS is set. Only
    the first process shows warnings. Raises InputError where the processes do not find each other, MissingExtra without
    torch.
    """
    if not all(os.environ.get(name) for name in _VARIABLES) or os.environ["WORLD_SIZE"] == "1":
        yield current()
        return
    with _gloo_group() as communicator, _share_of_threads(), warnings.catch_warnings():
        if communicator.rank:
            warnings.simplefilter("ignore")
        token = _current.set(communicator)
        try:
            yield communicator
        finally:
            _current.reset(token)


@contextmanager
def _gloo_group() -> Iterator[GlooCommunicator]:
    """A group of all processes. Their connection is closed at the end, unless the script made it."""
    try:
        import torch.distributed as dist
        from torch.distributed.distributed_c10d import PrefixStore
        from torch.distributed.rendezvous import rendezvous
    except ImportError:
        raise MissingExtra("torch", "distributed", "training in several processes") from None
    joined_before = dist.is_initialized()
    try:
        if not joined_before:
            store, rank, size = next(rendezvous("env://", timeout=_START))
            # torchrun keeps the store when it starts the processes again; without a prefix they find dead ones there.
            store = PrefixStore(f"start-{os.environ.get(RESTARTS, '0')}", store)
            dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=_START)
        communicator = GlooCommunicator(dist.new_group(backend="gloo", timeout=_LONGEST))
    except (RuntimeError, ValueError) as error:
        where = quote(f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}")
        raise InputError(f"the processes of the run do not find each other at {where}: {_reason(error)}") from None
    try:
        yield communicator
    finally:
        if not joined_before:
            dist.destroy_process_group()


@contextmanager
def _share_of_threads() -> Iterator[None]:
    """GATEWISE_THREADS for a process of several on this machine, unless it is set."""
    processes_here = os.environ.get("LOCAL_WORLD_SIZE", "1")
    if os.environ.get("GATEWISE_THREADS") or not processes_here.isdigit():
        yield
        return
    # OMP_NUM_THREADS does not count: torchrun sets it to 1 where it starts several processes.
    threads = available_processors() // max(1, int(processes_here))
    os.environ["GATEWISE_THREADS"] = str(max(1, threads))
    try:
        yield
    finally:
        del os.environ["GATEWISE_THREADS"]


def _reason(error: BaseException) -> str:
    """The first sentence of an error of gloo, without the place in its source."""
    first_line = re.sub(r"\[/\S*\] ", "", str(error).strip()).split("\n")[0]
    return first_line.split(". ")[0]


def _tensor(array: Array) -> Any:
    import torch

    return torch.from_numpy(array)
