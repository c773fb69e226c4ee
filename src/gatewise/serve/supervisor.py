"""`Supervisor`: worker processes that share one listener. A worker that ends is replaced at once.

The supervisor keeps the models that it has checked, and passes them to each worker. So a worker can start even when a
folder was damaged after the last reload. The supervisor notices the end of a worker by the sentinel of the process,
which the operating system provides. The stages of a worker:

    starting    signals wait; the worker does not use the listener
    ready       the worker answers requests, and sends a heartbeat once per second
    leaving     the worker accepts no clients any more, and answers those that it has; another worker replaces it
"""

import os
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from gatewise.errors import GatewiseError
from gatewise.serve.listener import Listener
from gatewise.serve.metrics import share_metrics
from gatewise.serve.server import IDLE_GRACE, STOP_SIGNALS, Server, end_process, handle_stops
from gatewise.serve.settings import Settings
from gatewise.serve.state import State
from gatewise.system.processes import RELOAD_SIGNAL, blocked_signals, receive_signals, worker_context

_SIGNALS = tuple(number for number in (*STOP_SIGNALS, RELOAD_SIGNAL) if number is not None)
_READY = b"ready"
_ALIVE = b"alive"
_LEAVING = b"leaving"
_HEARTBEAT = 1.0  # seconds between two messages of a worker
_HEARTBEAT_TIMEOUT = 30.0  # seconds without a message after which a ready worker is killed
_START_TIMEOUT = 120.0  # seconds after which a worker that is not ready is killed: its models are in memory already
_MOST_FAILURES = 5  # workers in a row that end before they are ready; then the server gives up
_FIRST_PAUSE = 0.1  # seconds before a worker that could not start is replaced; doubled each time
_START_TIME = 10.0  # seconds that a worker has to start when the server stops


@dataclass(eq=False)
class Worker:
    """A worker process. messages: the pipe of its messages. stage: see the module's docstring. since_message: seconds
    since its last message.
    """

    process: Any
    messages: Connection
    stage: str = "starting"
    since_message: float = 0.0

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.exitcode is not None

    def read_messages(self) -> None:
        """Read all messages that have arrived."""
        try:
            while self.messages.poll():
                message = self.messages.recv_bytes()
                self.since_message = 0.0
                if message != _ALIVE:
                    self.stage = message.decode()
        except (EOFError, OSError):  # the worker has ended
            return

    def send(self, number: int) -> None:
        """Send a signal to the process, if it has not ended."""
        if not self.has_ended:
            os.kill(self.process.pid, number)

    def close(self) -> None:
        """Release the resources of a process that has ended."""
        self.process.join()
        self.process.close()
        self.messages.close()


@dataclass(eq=False)
class Supervisor:
    """Runs `state.settings.workers` processes until a signal. line: printed when the first worker is ready."""

    state: State
    listener: Listener
    line: str
    _workers: list[Worker] = field(default_factory=list)
    _failures: int = 0
    _pause: float = 0.0  # seconds until the next worker may start
    _stops: bool = False
    _reloads: bool = False
    _has_started: bool = False
    _last_watch: float = field(default_factory=time.monotonic)  # the time of the last call of `_watch`

    def run(self) -> int:
        """The exit code: 0 after a signal to stop, 2 where no worker can start."""
        self._context: Any = worker_context()
        self._is_stopping = self._context.RawValue("b", 0)
        # A signal writes a byte into the pipe, which ends the wait for events.
        self._woken, wake = os.pipe()
        os.set_blocking(wake, False)
        with tempfile.TemporaryDirectory(prefix="gatewise-") as folder, share_metrics(folder):
            signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
            self._handle_signals()
            try:
                while not self._stops and self._failures < _MOST_FAILURES:
                    self._start_missing()
                    if self._reloads:
                        self._reload()
                    self._watch()
                self._stop()
            finally:
                signal.set_wakeup_fd(-1)
        if self._failures >= _MOST_FAILURES:
            print("gatewise: the worker processes end before they are ready", file=sys.stderr, flush=True)
            return GatewiseError.exit_code
        return 0

    def _handle_signals(self) -> None:
        handle_stops(self._stop_on_signal, self._end_now)
        if RELOAD_SIGNAL is not None:
            is_ignored = signal.getsignal(RELOAD_SIGNAL) is signal.SIG_IGN  # as nohup does
            if self.state.settings.reload or not is_ignored:
                signal.signal(RELOAD_SIGNAL, self._reload_on_signal)
        receive_signals(_SIGNALS)

    def _stop_on_signal(self, number: int) -> None:
        # At once: a terminal sends Ctrl-C to all processes, and a worker that stops reads this value.
        self._is_stopping.value = 1
        self._stops = True
        self.state.ready = False

    def _reload_on_signal(self, number: int, frame: object) -> None:
        if self.state.settings.reload:
            self._reloads = True
        else:
            self._stop_on_signal(number)  # without --reload, SIGHUP says that the terminal was closed

    def _end_now(self, number: int) -> None:
        for worker in self._workers:
            worker.process.kill()
        sys.exit(128 + number)

    def _start_missing(self) -> None:
        """Start a worker for each one that has ended or leaves."""
        serving = sum(worker.stage != "leaving" for worker in self._workers)
        for _ in range(serving, self.state.settings.workers):
            if self._pause <= 0:
                self._start()

    def _start(self) -> None:
        messages, sender = self._context.Pipe(duplex=False)
        arguments = (self.state.settings, self.state.models, self.listener, self._is_stopping, sender, os.getpid())
        process = self._context.Process(target=work, args=arguments)
        with blocked_signals(_SIGNALS):  # they wait until the worker can handle them
            process.start()
        sender.close()
        self._workers.append(Worker(process, messages))

    def _watch(self) -> float:
        """Wait at most a second for a signal, a message or the end of a worker, and handle what has happened. Returns
        the seconds since the last call, at most one: the time in which this process was suspended does not count.
        """
        sources = [source for worker in self._workers for source in (worker.process.sentinel, worker.messages)]
        timeout = _HEARTBEAT
        if self._pause > 0:
            timeout = min(_HEARTBEAT, self._pause)
        if self._woken in wait([self._woken, *sources], timeout):
            os.read(self._woken, 4096)
        now = time.monotonic()
        passed = min(_HEARTBEAT, max(0.0, now - self._last_watch))
        self._last_watch = now
        self._pause = max(0.0, self._pause - passed)
        for worker in list(self._workers):
            worker.since_message += passed
            worker.read_messages()
            if worker.stage == "ready":
                self._note_ready(worker)
            elif worker.stage == "starting" and worker.since_message > _START_TIMEOUT:
                self._log(worker, f"is not ready after {_START_TIMEOUT:g} s and is ended")
                worker.process.kill()
            if worker.has_ended:
                self._note_end(worker)
        return passed

    def _note_ready(self, worker: Worker) -> None:
        self._failures = 0
        if not self._has_started:
            self._has_started = True
            print(self.line, file=sys.stderr, flush=True)
        if worker.since_message > _HEARTBEAT_TIMEOUT:
            self._log(worker, f"has not answered for {_HEARTBEAT_TIMEOUT:g} s and is ended")
            worker.process.kill()

    def _note_end(self, worker: Worker) -> None:
        if not self._stops:
            self._log(worker, f"has ended ({_reason_of(worker.process.exitcode)}) and is replaced")
        if worker.stage == "starting":
            self._pause = _FIRST_PAUSE * 2**self._failures
            # While another worker is ready, the server goes on to try: it can still answer.
            if not any(other.stage == "ready" for other in self._workers):
                self._failures += 1
        self._workers.remove(worker)
        worker.close()

    @staticmethod
    def _log(worker: Worker, event: str) -> None:
        print(f"gatewise: worker process {worker.process.pid} {event}", file=sys.stderr, flush=True)

    def _reload(self) -> None:
        """Load the models for the workers that start later, and make the running workers reload."""
        self._reloads = False
        if RELOAD_SIGNAL is None or not self.state.try_reload():
            return
        for worker in self._workers:
            worker.send(RELOAD_SIGNAL)

    def _stop(self) -> None:
        """Stop the workers and wait for their end. If clients still wait to be accepted when all workers have stopped
        accepting, one more worker starts and answers them.
        """
        settings = self.state.settings
        self._stops = True
        self._is_stopping.value = 1
        for worker in self._workers:
            worker.send(signal.SIGTERM)
        seconds_left = settings.drain_seconds + settings.shutdown_timeout + IDLE_GRACE + _START_TIME
        is_open = True
        while self._workers or is_open:
            if is_open and all(worker.stage == "leaving" for worker in self._workers):
                self.listener.refuse_new_clients()
                may_start = seconds_left > 0 and self._failures < _MOST_FAILURES
                is_open = may_start and self.listener.has_waiting_client()
                if is_open:
                    self._start()
                    self._workers[-1].send(signal.SIGTERM)
                else:
                    self.listener.close()
            if seconds_left <= 0:
                for worker in self._workers:
                    worker.process.kill()
            seconds_left -= self._watch()


def _reason_of(code: int) -> str:
    """The exit code of a process in words."""
    if code >= 0:
        return f"exit code {code}"
    names = {number.value: number.name for number in signal.Signals}
    return names.get(-code, f"signal {-code}")


def work(
    settings: Settings, models: dict[str, Any], listener: Listener, is_stopping: Any, sender: Connection, parent: int
) -> None:
    """Run a worker process. parent: the id of the supervisor's process; the worker stops when that process ends."""
    signal.set_wakeup_fd(-1)  # the inherited one is the supervisor's
    os.set_blocking(sender.fileno(), False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor passes it on as SIGTERM

    def send(message: bytes) -> None:
        try:
            sender.send_bytes(message)
        except OSError:  # the supervisor has ended, or does not read
            return

    def heartbeats() -> None:
        while os.getppid() == parent:
            time.sleep(_HEARTBEAT)
            send(_ALIVE)
        is_stopping.value = 1
        os.kill(os.getpid(), signal.SIGTERM)

    try:
        state = State(models, settings)
    except GatewiseError as error:
        print(f"gatewise: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    server = Server(
        state,
        listener,
        on_start=lambda: send(_READY),
        on_close=lambda: send(_LEAVING),
        is_last=lambda: bool(is_stopping.value),
        stop_again=lambda number: None,  # a second signal goes to the supervisor
    )
    threading.Thread(target=heartbeats, daemon=True).start()
    server.run()
    end_process(state)
