"""Several worker processes on one listening socket, and their supervisor.

Each worker loads its own models. A worker that dies loses only its own requests and is replaced. Where one ends before
it is ready while no other one serves, the server ends: the next one would do the same. SIGTERM goes to all workers, and
each finishes its requests in flight.
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
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import FrameType

from gatewise.errors import GatewiseError
from gatewise.serve.settings import Settings

_POLL_INTERVAL = 0.2  # seconds
_MIN_LIFETIME = 1.0  # seconds; a worker that lives shorter is replaced only after this time
_SAME_SIGNAL = 0.5  # seconds in which a repeated signal counts as one
_Serve = Callable[[Settings, socket.socket, Callable[[], None]], int]  # the last argument: called when it is ready


class _Worker:
    """A worker process, which has started. error: why it could not serve, if it says so."""

    def __init__(self, settings: Settings, sock: socket.socket, serve: _Serve) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._messages, sender = spawn.Pipe(duplex=False)
        self.process = spawn.Process(target=_work, args=(settings, sock, serve, sender))
        self.process.start()
        sender.close()
        self.started = time.monotonic()
        self.error: str | None = None
        self._ready = False

    def is_ready(self) -> bool:
        """Whether it has become ready, perhaps before it ended."""
        if not self._ready and self.error is None and self._messages.poll():
            try:
                self.error = self._messages.recv()
                self._ready = self.error is None
            except EOFError:  # it ended without a message
                self.error = ""
        return self._ready

    def failure(self) -> str:
        """How it ended."""
        return f"a worker ended ({self.process.exitcode}){f': {self.error}' if self.error else ''}"


def supervise(settings: Settings, sock: socket.socket, serve: _Serve, is_ready: Callable[[], None]) -> int:
    """Run `settings.workers` processes of `serve` until a signal; returns the exit code.

    is_ready: called when the first worker serves. Where a worker ends before it is ready and no other one serves, this
    raises its GatewiseError or returns its exit code.
    """
    signals: list[int] = []

    def record(sig: int, frame: FrameType | None) -> None:
        signals.append(sig)

    before = {sig: signal.signal(sig, record) for sig in (signal.SIGINT, signal.SIGTERM)}
    try:
        with tempfile.TemporaryDirectory(prefix="gatewise-") as folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # set before a worker imports the Prometheus client
            workers = [_Worker(settings, sock, serve) for _ in range(settings.workers)]
            failed = _keep_running(workers, lambda: _Worker(settings, sock, serve), is_ready, signals)
            sock.close()
            code = _stop([worker.process for worker in workers], signals, settings.shutdown_timeout)
    finally:
        for sig, handler in before.items():
            signal.signal(sig, handler)
    if failed is None:
        return code
    if failed.error:
        raise GatewiseError(failed.error)
    print(f"gatewise: {failed.failure()} before it was ready", file=sys.stderr)
    code = failed.process.exitcode or 1
    return code if code > 0 else 128 - code  # negative: the signal that ended it


def _keep_running(
    workers: list[_Worker], start: Callable[[], _Worker], is_ready: Callable[[], None], signals: list[int]
) -> _Worker | None:
    """Replace the workers that end, until a signal; or until one ends before it was ready while no other one serves,
    which is returned.
    """
    announced = False
    while not signals:
        time.sleep(_POLL_INTERVAL)
        if not announced and any(worker.is_ready() for worker in workers):
            announced = True
            is_ready()
        for n, worker in enumerate(workers):
            if worker.process.is_alive() or signals:  # Ctrl-C in a terminal ends the workers, too
                continue
            if not (worker.is_ready() or any(other.is_ready() and other.process.is_alive() for other in workers)):
                return worker
            print(f"gatewise: {worker.failure()}; starting another", file=sys.stderr)
            time.sleep(max(0.0, _MIN_LIFETIME - (time.monotonic() - worker.started)))
            if not signals:
                workers[n] = start()
    return None


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


def _work(settings: Settings, sock: socket.socket, serve: _Serve, messages: Connection) -> None:
    """A worker process: sends None when it is ready, or the error that keeps it from serving."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        code = serve(settings, sock, lambda: messages.send(None))
    except GatewiseError as error:
        messages.send(str(error))
        code = error.exit_code
    except KeyboardInterrupt:  # while it loads its models
        code = 130
    sys.exit(code)


def _end_with_parent() -> None:
    """A worker whose parent was killed would hold the port forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
