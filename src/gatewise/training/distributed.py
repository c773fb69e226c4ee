"""Processes of one run on torch.distributed, with its gloo backend: those that torchrun or Ray Train has started.

gloo neither encrypts nor authenticates: whoever reaches its ports can take part in a run. No process sends pickles.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import numpy as np

from gatewise.errors import InputError, MissingExtra, quote
from gatewise.kernels.threads import threads
from gatewise.training.communicator import Communicator, LostPeer
from gatewise.training.run import RESTARTS
from gatewise.types import Array

_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # that torchrun sets
_START = timedelta(minutes=5)  # for all processes to come
_LONGEST = timedelta(hours=12)  # the other processes wait while the first one fits the ensemble
_current: ContextVar[Communicator] = ContextVar("communicator", default=Communicator())  # noqa: B039


class GlooCommunicator(Communicator):
    """The processes of a group of torch.distributed with the gloo backend."""

    def __init__(self, group: Any) -> None:
        import torch.distributed as dist

        self._group, self._dist = group, dist
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)

    def all_reduce(self, array: Array) -> None:
        if not array.size:
            return
        with _lost():
            self._dist.all_reduce(_tensor(array), group=self._group)

    def all_gather(self, array: Array) -> Array:
        every = np.empty((self.size, *array.shape), array.dtype)
        if not array.size:
            return every
        with _lost():
            own = _tensor(np.array(array, order="C"))
            self._dist.all_gather(list(_tensor(every).unbind(0)), own, group=self._group)
        return every

    def broadcast(self, array: Array) -> None:
        if not array.size:
            return
        with _lost():
            self._dist.broadcast(_tensor(array), group=self._group, group_src=0)


def current() -> Communicator:
    """That of the innermost `process_group`; outside of one, a Communicator of one process."""
    return _current.get()


@contextmanager
def process_group() -> Iterator[Communicator]:
    """The processes that torchrun or Ray Train has started, for `train` and `pretrain`; one process elsewhere.

    torchrun names them in the environment; a script may have joined them already, by torch.distributed's own
    init_process_group. Each process of a machine gets its share of the threads, unless GATEWISE_THREADS is set. Raises
    InputError where the processes do not find each other, MissingExtra without torch.
    """
    if not all(os.environ.get(name) for name in _VARIABLES) or os.environ["WORLD_SIZE"] == "1":
        yield current()
        return
    try:
        import torch.distributed as dist
        from torch.distributed.distributed_c10d import PrefixStore
        from torch.distributed.rendezvous import rendezvous
    except ImportError:
        raise MissingExtra("torch", "distributed", "training in several processes") from None
    joined = dist.is_initialized()
    try:
        if not joined:
            store, rank, size = next(rendezvous("env://", timeout=_START))
            # torchrun keeps the store when it starts the processes again; without a prefix they find dead ones there.
            store = PrefixStore(f"start-{os.environ.get(RESTARTS, '0')}", store)
            dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=_START)
        communicator = GlooCommunicator(dist.new_group(backend="gloo", timeout=_LONGEST))
    except (RuntimeError, ValueError) as error:
        where = quote(f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}")
        raise InputError(f"the processes of the run do not find each other at {where}: {_reason(error)}") from None
    token = _current.set(communicator)
    try:
        with _share_of_threads():
            yield communicator
    finally:
        _current.reset(token)
        if not joined:
            dist.destroy_process_group()


@contextmanager
def _share_of_threads() -> Iterator[None]:
    """GATEWISE_THREADS for one of the processes of this machine, unless it is set."""
    here = os.environ.get("LOCAL_WORLD_SIZE", "1")
    if os.environ.get("GATEWISE_THREADS") or not here.isdigit():
        yield
        return
    os.environ["GATEWISE_THREADS"] = str(max(1, threads() // max(1, int(here))))
    try:
        yield
    finally:
        del os.environ["GATEWISE_THREADS"]


@contextmanager
def _lost() -> Iterator[None]:
    """gloo's errors as LostPeer: they all mean that a process is gone, or does not answer."""
    try:
        yield
    except RuntimeError as error:
        raise LostPeer(f"another process of the run is gone: {_reason(error)}; --resume continues") from None


def _reason(error: BaseException) -> str:
    """The first sentence of an error of gloo, without the place in its source."""
    return re.sub(r"\[/\S*\] ", "", str(error).strip()).split("\n")[0].split(". ")[0]


def _tensor(array: Array) -> Any:
    import torch

    return torch.from_numpy(array)
