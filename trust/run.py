"""Run tries of an attack in a child process, which is replaced after a crash or a hang."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import IO, Any

from trust.attack import ROOT, Attack

START = 300.0  # seconds to import and prepare


class Worker:
    """A child process of `trust.worker`."""

    def __init__(self, module: str, name: str, seed: int) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop
        command = [sys.executable, "-m", "trust.worker", module, name, str(seed)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=ROOT,
            start_new_session=True,  # so that its children can be stopped with it
        )
        answer = self._answer(START)
        if "ready" not in answer:
            report = self._report(5000)
            self.stop()
            raise RuntimeError(f"{name} cannot be prepared: {answer['failure']}\n{report}")

    def attempt(self, number: int, seconds: float) -> tuple[str | None, bool]:
        """What failed in the try, and whether the process can go on."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended since the last try
            self._process.stdin.write(b"%d\n" % number)
            self._process.stdin.flush()
        answer = self._answer(seconds)
        return answer["failure"], "try" in answer

    def stop(self) -> None:
        """End the process and its children."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._errors.close()

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                return {"failure": f"no answer within {seconds:g} s"}
        line = self._process.stdout.readline()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self._process.wait()
        died = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return {"failure": f"the process died with {died}: {self._report(200)}"}

    def _report(self, characters: int) -> str:
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace").strip()[-characters:]


def run(
    attack: Attack, seed: int, numbers: Iterable[int], module: str = "trust.registry"
) -> Iterator[tuple[int, str | None]]:
    """Each try's number with None or what failed. module: whose ATTACKS has the attack, for the child process."""
    worker = None
    try:
        for number in numbers:
            worker = worker or Worker(module, attack.name, seed)
            failure, alive = worker.attempt(number, attack.seconds)
            if not alive:
                worker.stop()
                worker = None
            yield number, failure
    finally:
        if worker is not None:
            worker.stop()
