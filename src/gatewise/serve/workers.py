"""Several worker processes on one listening socket, and their supervisor.

Each worker loads its own models. A worker that dies loses only its own requests and is replaced. SIGTERM goes to all
workers, and each finishes its requests in flight.
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

_POLL_INTERVAL = 0.2  # seconds
_MIN_LIFETIME = 1.0  # seconds; a worker that lives shorter is replaced only after this time
_SAME_SIGNAL = 0.5  # seconds in which a repeated signal counts as one


def supervise(settings: Settings, sock: socket.socket, serve: Callable[[Settings, socket.socket], int]) -> int:
    """Run `settings.workers` processes of `serve` until a signal; returns the exit code."""
    signals: list[int] = []

    def record(sig: int, frame: FrameType | None) -> None:
        signals.append(sig)

    before = {sig: signal.signal(sig, record) for sig in (signal.SIGINT, signal.SIGTERM)}
    with tempfile.TemporaryDirectory(prefix="gatewise-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # set before a worker imports the Prometheus client
        spawn = multiprocessing.get_context("spawn")

        def start() -> tuple[BaseProcess, float]:
            process = spawn.Process(target=_worker, args=(settings, sock, serve))
            process.start()
            return process, time.monotonic()

        workers = [start() for _ in range(settings.workers)]
        while not signals:
            time.sleep(_POLL_INTERVAL)
            for n, (process, started) in enumerate(workers):
                if process.is_alive():
                    continue
                print(f"gatewise: a worker ended ({process.exitcode}); starting another", file=sys.stderr)
                time.sleep(max(0.0, _MIN_LIFETIME - (time.monotonic() - started)))
                workers[n] = start()
        sock.close()
        code = _stop([process for process, _ in workers], signals, settings.shutdown_timeout)
    for sig, handler in before.items():
        signal.signal(sig, handler)
    return code


def _stop(processes: list[BaseProcess], signals: list[int], timeout: float) -> int:
    """Terminate the workers and wait for them; kill them after the timeout or on a second signal."""
    started = time.monotonic()
    for process in processes:
        process.terminate()
    seen = len(signals)
    while any(process.is_alive() for process in processes):
        elapsed = time.monotonic() - started
        again = len(signals) > seen and elapsed > _SAME_SIGNAL
        if again or elapsed > timeout + 5:
            for process in processes:
                process.kill()
            return 128 + signals[-1] if again else 1
        if elapsed < _SAME_SIGNAL:
            seen = len(signals)
        time.sleep(0.05)
    return 0


def _worker(settings: Settings, sock: socket.socket, serve: Callable[[Settings, socket.socket], int]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(serve(settings, sock))


def _end_with_parent() -> None:
    """A worker whose parent was killed would hold the port forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
