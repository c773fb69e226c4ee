"""Several processes on one listening socket, and who looks after them.

Each worker loads its own models. One that dies takes its own requests with it and nothing else: it is replaced. SIGTERM
goes on to all of them, and each ends what it has begun.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from types import FrameType

from gatewise.serve.settings import Settings

__all__ = ["supervise"]

_PAUSE = 0.2  # seconds between two looks
_LEAST = 1.0  # a worker that lives shorter is not replaced at once


def supervise(settings: Settings, sock: socket.socket, work: Callable[[Settings, socket.socket], int]) -> int:
    """Run `settings.workers` processes of `work` until a signal; the exit code."""
    signals: list[int] = []

    def note(sig: int, frame: FrameType | None) -> None:
        signals.append(sig)

    before = {sig: signal.signal(sig, note) for sig in (signal.SIGINT, signal.SIGTERM)}
    with tempfile.TemporaryDirectory(prefix="gatewise-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # before a worker imports the client that reads it
        spawn = multiprocessing.get_context("spawn")

        def start() -> tuple[BaseProcess, float]:
            process = spawn.Process(target=_worker, args=(settings, sock, work))
            process.start()
            return process, time.monotonic()

        running = [start() for _ in range(settings.workers)]
        while not signals:
            time.sleep(_PAUSE)
            for n, (process, since) in enumerate(running):
                if process.is_alive():
                    continue
                print(f"gatewise: a worker ended ({process.exitcode}); another takes its place", file=sys.stderr)
                time.sleep(max(0.0, _LEAST - (time.monotonic() - since)))
                running[n] = start()
        sock.close()
        code = _stop([process for process, _ in running], signals, settings.grace)
    for sig, handler in before.items():
        signal.signal(sig, handler)
    return code


def _stop(processes: list[BaseProcess], signals: list[int], grace: float) -> int:
    """Tell them, and wait as long as they may take; a second signal, half a second later or more, ends it now."""
    told = time.monotonic()
    for process in processes:
        process.terminate()
    heard = len(signals)
    while any(process.is_alive() for process in processes):
        again = len(signals) > heard and time.monotonic() - told > 0.5
        if again or time.monotonic() - told > grace + 5:
            for process in processes:
                process.kill()
            return 128 + signals[-1] if again else 1
        if time.monotonic() - told < 0.5:
            heard = len(signals)
        time.sleep(0.05)
    return 0


def _worker(settings: Settings, sock: socket.socket, work: Callable[[Settings, socket.socket], int]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(work(settings, sock))


def _end_with_parent() -> None:
    """A worker whose parent was killed would hold the port for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
