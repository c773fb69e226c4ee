"""Run tries of an attack in a child process, which is replaced after a crash or a hang."""

from __future__ import annotations

import faulthandler
import importlib
import os
import resource
import shutil
import signal
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing import get_context, set_start_method
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trust.attack import ROOT, Attack

START = 300.0  # seconds to import and prepare
MAX_MESSAGE = 700


class Outcome(NamedTuple):
    """Of a try. failure: what failed. note: what became of it otherwise, for a count."""

    failure: str | None
    note: str | None = None


class Worker:
    """A child process that gets the numbers of tries, and sends what failed in each."""

    def __init__(self, module: str, name: str, seed: int) -> None:
        self._errors = tempfile.NamedTemporaryFile()  # noqa: SIM115 - closed in stop
        context = get_context("spawn")  # a try may fork: its process has no threads of this one
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._errors.name, module, name, seed))
        self._process.start()
        theirs.close()
        outcome, ready = self._answer(START)
        if not ready:
            report = self._report(5000)
            self.stop()
            raise RuntimeError(f"{name} cannot be prepared: {outcome.failure}\n{report}")

    def attempt(self, number: int, seconds: float) -> tuple[Outcome, bool]:
        """What became of the try, and whether the process can go on."""
        with suppress(BrokenPipeError):  # it has ended since the last try
            self._pipe.send(number)
        return self._answer(seconds)

    def stop(self) -> None:
        """End the process and its children."""
        assert self._process.pid is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._pipe.close()
        self._errors.close()

    def _answer(self, seconds: float) -> tuple[Outcome, bool]:
        if not self._pipe.poll(seconds):
            return Outcome(f"no answer within {seconds:g} s"), False
        try:
            return self._pipe.recv(), True
        except (EOFError, ConnectionError):
            self._process.join()
        code = self._process.exitcode or 0
        died = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return Outcome(f"the process died with {died}: {self._report(200)}"), False

    def _report(self, characters: int) -> str:
        return Path(self._errors.name).read_text(encoding="utf-8", errors="replace").strip()[-characters:]


def run(
    attack: Attack, seed: int, numbers: Iterable[int], notes: Counter[str] | None = None
) -> Iterator[tuple[int, str | None]]:
    """Each try's number with None or what failed. notes: counts what became of the tries that did not fail."""
    worker = None
    try:
        for number in numbers:
            worker = worker or Worker(attack.module, attack.name, seed)
            outcome, alive = worker.attempt(number, attack.seconds)
            if not alive:
                worker.stop()
                worker = None
            if notes is not None and outcome.note is not None:
                notes[outcome.note] += 1
            yield number, outcome.failure
    finally:
        if worker is not None:
            worker.stop()


def _serve(pipe: Connection[Any, Any], errors: str, module: str, name: str, seed: int) -> None:
    """The child process. What it prints goes to `errors`."""
    os.setsid()  # so that its children can be stopped with it
    set_start_method(None, force=True)  # that of this system for the processes of a try, as in the process of a user
    os.chdir(ROOT)
    log = os.open(errors, os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.enable()
    warnings.simplefilter("ignore")
    attack: Attack = importlib.import_module(module).ATTACKS[name]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    attack.prepare()
    if attack.memory:
        limit_memory(attack.memory)
    pipe.send(Outcome(None))
    while True:
        pipe.send(attempt(attack, seed, pipe.recv()))


def attempt(attack: Attack, seed: int, number: int) -> Outcome:
    """One try: what failed in one line, or what became of it."""
    folder = Path(tempfile.mkdtemp(prefix="trust-"))
    failure = ""
    note = None
    try:
        note = attack.attempt(np.random.default_rng([seed, number]), folder)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)[-4:]
        where = " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
        failure = f"{type(error).__name__} at {where}: {error}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    failure = " ".join(failure.replace(str(folder), "FOLDER").split())[:MAX_MESSAGE]
    return Outcome(failure or None, note)


def limit_memory(memory: int) -> None:
    """Let the address space grow by `memory` bytes from here. Linux tells how large it is; elsewhere no limit."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return
    most = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
