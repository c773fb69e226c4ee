"""Start the server, in this process or in several under uvicorn's supervisor, and stop it on SIGTERM."""

import asyncio
import errno
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from uvicorn import Server
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from gatewise.errors import GatewiseError, InputError, printable
from gatewise.kernels.threads import threads
from gatewise.serve.app import create_app
from gatewise.serve.protocol import Config, Connection
from gatewise.serve.settings import Settings
from gatewise.serve.state import State, load_models
from gatewise.system.processes import RELOAD_SIGNAL, event_loop, one_listener

_SAME_SIGNAL = 0.5  # seconds: a terminal sends Ctrl-C to a program and to its parent, which may pass it on
_MOST_FAILURES = 5  # workers that end before they are ready, in a row: the next one would, too


def run(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code. Raises a GatewiseError if the server cannot start."""
    threads()  # an invalid GATEWISE_THREADS is an error before anything starts
    os.environ["GATEWISE_THREADS"] = os.environ.get("GATEWISE_THREADS") or str(settings.threads)
    models = load_models(settings)
    with _listening(settings) as sock:
        port = 0 if settings.uds is not None else sock.getsockname()[1]
        line = f"gatewise: serving {', '.join(models)} at {settings.url(port)} (Ctrl-C ends it)"
        if settings.lesson and settings.uds is None:
            line += f"\ngatewise: the lesson is at {settings.url(port)}/lesson.html"
        state = State(models, settings)
        if settings.workers > 1:
            return _supervise(settings, sock, port, line)
        app = create_app(state, port, partial(_running, state, line))
        before = {sig: signal.signal(sig, signal.SIG_IGN) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:  # uvicorn raises the signal again when it has ended
            Server(_config(settings, app)).run([sock])
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)
    return 0


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """The listening socket. Raises InputError with the system's reason."""
    unix = settings.uds is not None
    family = socket.AF_UNIX if unix else socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    where = settings.uds or f"{settings.host} port {settings.port}"
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        try:
            if settings.uds is not None:
                _remove_stale(settings.uds)
            else:
                one_listener(sock)
            sock.bind(settings.uds or (settings.host, settings.port))
            sock.listen(2048)
        except OSError as error:
            raise InputError(f"cannot listen at {printable(where)}: {error.strerror or error}") from None
        sock.setblocking(False)
        try:
            yield sock
        finally:
            if settings.uds is not None:
                Path(settings.uds).unlink(missing_ok=True)


def _remove_stale(path: str) -> None:
    """Remove the socket of a server that was killed; one that answers, or another file, is left."""
    if Path(path).is_socket():
        with socket.socket(socket.AF_UNIX) as other:
            if other.connect_ex(path) == errno.ECONNREFUSED:
                Path(path).unlink()


def _config(settings: Settings, app: Callable[..., Any], factory: bool = False) -> Config:
    logging.basicConfig(stream=sys.stderr, format="gatewise: %(message)s", level=logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = Config(
        app,
        factory=factory,
        http=Connection,
        ws="none",
        loop=event_loop(),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        workers=settings.workers,
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_timeout)),
        timeout_worker_healthcheck=30,  # a busy machine takes its time to start a worker
    )
    config.settings = settings
    return config


@contextmanager
def _running(state: State, line: str) -> Iterator[None]:
    """In the event loop, while requests are answered: the line that says so, and the signals."""
    if line:
        print(line, file=sys.stderr, flush=True)
    loop, settings = asyncio.get_running_loop(), state.settings
    uvicorns: Any = signal.getsignal(signal.SIGTERM)

    def drain(sig: int) -> None:
        state.ready = False
        loop.call_soon_threadsafe(loop.call_later, settings.drain_seconds, uvicorns, sig, None)

    in_worker = multiprocessing.parent_process() is not None and settings.workers > 1
    _on_stop(drain, lambda sig: os._exit(128 + sig))
    if in_worker:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent passes it on as SIGTERM
        threading.Thread(target=_end_with_parent, daemon=True).start()
    if settings.reload and RELOAD_SIGNAL is not None:
        signal.signal(RELOAD_SIGNAL, lambda sig, frame: state.reload_in_thread())
    yield
    state.close()
    end = threading.Timer(1.0, os._exit, (0,))  # Python would wait for a thread that computes what nobody waits for
    end.daemon = True
    end.start()


def _on_stop(first: Callable[[int], None], again: Callable[[int], None]) -> None:
    """Call `first` on SIGINT or SIGTERM, and `again` on the next one."""
    since: list[float] = []

    def stop(sig: int, frame: object) -> None:
        if not since:
            since.append(time.monotonic())
            first(sig)
        elif time.monotonic() - since[0] > _SAME_SIGNAL:
            again(sig)

    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, stop)


def _supervise(settings: Settings, sock: socket.socket, port: int, line: str) -> int:
    """Run worker processes on one listening socket; each loads its own models. Returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="gatewise-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # set before a worker imports the Prometheus client
        context = multiprocessing.get_context("spawn")
        first, ready = context.Semaphore(1), context.Semaphore(0)
        config = _config(settings, partial(_worker, settings, port, line, first, ready), factory=True)
        log = logging.getLogger("uvicorn.error")
        log.setLevel(logging.INFO)
        log.addFilter(lambda record: record.levelno > logging.INFO or str(record.msg).startswith("Child process"))
        return _Workers(config, sock, ready).serve()


class _Workers(Multiprocess):
    """uvicorn's supervisor, which replaces a worker that ends. It stops where one cannot start, and here also where
    none answers and workers are killed again and again before they are `ready`: a semaphore that each of them releases.
    """

    def __init__(self, config: Config, sock: socket.socket, ready: Any) -> None:
        super().__init__(config, [sock])
        self._ready = ready
        self._reloads = config.settings.reload
        self._failures = 0
        self._gave_up = False
        _on_stop(self.signal_queue.append, self._kill)

    def serve(self) -> int:
        """Run until a signal or a failure: the exit code."""
        self.run()
        unable = any(one.exitcode == STARTUP_FAILURE for one in self.processes)
        return GatewiseError.exit_code if unable or self._gave_up else 0

    def keep_subprocess_alive(self) -> None:
        before = list(self.processes)
        super().keep_subprocess_alive()
        while self._ready.acquire(False):
            self._failures = 0
        self._failures += sum(one is not other for one, other in zip(before, self.processes, strict=True))
        if self._failures >= _MOST_FAILURES and not any(one.is_ready(timeout=1.0) for one in self.processes):
            print("gatewise: the worker processes end before they are ready", file=sys.stderr, flush=True)
            self._gave_up = True
            self.should_exit.set()

    def handle_int(self) -> None:
        self.sockets[0].close()  # or clients could still connect when all workers have closed theirs
        self.should_exit.set()

    handle_term = handle_int

    def handle_hup(self) -> None:
        """uvicorn's own would start other processes, and close the connections of these."""
        if not self._reloads:
            self.handle_int()
        for one in self.processes if self._reloads else ():
            if RELOAD_SIGNAL is not None and one.pid is not None:
                os.kill(one.pid, RELOAD_SIGNAL)

    def _kill(self, sig: int) -> None:
        for one in self.processes:
            one.process.kill()
        sys.exit(128 + sig)


def _worker(settings: Settings, port: int, line: str, first: Any, ready: Any) -> Any:
    """The application of a worker process. The first worker that is ready says that the server is."""
    try:
        state = State(load_models(settings), settings)
    except GatewiseError as error:
        print(f"gatewise: {error}", file=sys.stderr, flush=True)
        sys.exit(STARTUP_FAILURE)
    except KeyboardInterrupt:
        sys.exit(130)

    def running() -> AbstractContextManager[None]:
        ready.release()
        return _running(state, line if first.acquire(False) else "")

    return create_app(state, port, running)


def _end_with_parent() -> None:
    """A worker whose parent was killed would hold the port forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
