"""The settings of the server."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from gatewise.errors import InputError, quote
from gatewise.kernels.threads import MOST_THREADS
from gatewise.system.processes import workers_unavailable

__all__ = ["Settings"]

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Settings:
    """Settings of the server; each one is an option of `gatewise serve`.

    models: model folders; the first one is the default model. host, port: the address to listen at; port 0 takes a free
    port. workers: processes. threads: kernel threads per worker; above 1 they compete with the thread that answers.
    token: required in every request; mandatory unless `host` is a loopback address. allow_hosts: further accepted
    values of the Host header, NAME or NAME:PORT. precision: number format of predictions, see `gatewise.load`.

    queue: inputs that may wait, per model; a request holds at most as many. queue_timeout: seconds that a request may
    wait. max_batch, max_batch_tokens: inputs and tokens per batch. max_inputs, max_body: inputs and bytes per request.
    read_timeout: seconds for a request to arrive, and for a client to read a part of its answer. keep_alive: seconds
    until an idle connection is closed. limit_concurrency: open connections per worker. shutdown_timeout: seconds that
    requests in flight have after SIGTERM.

    Raises InputError, which names the option, for a value out of range.
    """

    models: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    threads: int = 1
    token: str | None = None
    allow_hosts: tuple[str, ...] = ()
    precision: str = "float32"
    queue: int = 1024
    queue_timeout: float = 10.0
    max_batch: int = 64
    max_batch_tokens: int = 16_384
    max_inputs: int = 256
    max_body: int = 1_000_000
    read_timeout: float = 10.0
    keep_alive: int = 75
    limit_concurrency: int = 1000
    shutdown_timeout: float = 15.0
    access_log: bool = False

    def __post_init__(self) -> None:
        counts = ("workers", "threads", "queue", "max_batch", "max_batch_tokens", "max_inputs", "max_body")
        for name, minimum in [*((name, 1) for name in counts), ("limit_concurrency", 1), ("port", 0)]:
            if getattr(self, name) < minimum:
                raise InputError(f"{_option(name)} must be at least {minimum}, not {getattr(self, name)}")
        if self.threads > MOST_THREADS:
            raise InputError(f"--threads must be at most {MOST_THREADS}, not {self.threads}")
        if self.workers > 1 and (reason := workers_unavailable()):
            raise InputError(f"--workers must be 1: {reason}")
        if self.port > 65_535:
            raise InputError(f"--port must be at most 65535, not {self.port}")
        for name in ("queue_timeout", "read_timeout", "keep_alive", "shutdown_timeout"):
            if not 0 < getattr(self, name) <= 3600:
                raise InputError(f"{_option(name)} must be above 0 and at most 3600 s, not {getattr(self, name)}")
        if self.token is not None and not (
            8 <= len(self.token) <= 200 and self.token.isascii() and _is_printable(self.token)
        ):
            raise InputError("--token must be 8 to 200 printable ASCII characters without spaces")
        if self.token is None and not self.is_loopback:
            raise InputError(f"--host {quote(self.host)} is reachable from other machines: set a --token")
        for name in self.allow_hosts:
            if not name.isascii() or not _is_printable(name) or "/" in name or "@" in name:
                raise InputError(f"--allow-host {quote(name)}: expected NAME or NAME:PORT")

    @property
    def most_inputs(self) -> int:
        """The inputs of one request: at most as many as may wait."""
        return min(self.max_inputs, self.queue)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach `host`."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def hosts(self, port: int) -> frozenset[bytes]:
        """The accepted Host headers of a server that listens at `port`."""
        names = _LOOPBACK if self.host in ("0.0.0.0", "::") else (*_LOOPBACK, _in_url(self.host))
        found = {f"{name}:{port}" for name in names} | {name.lower() for name in self.allow_hosts}
        if port == 80:
            found |= set(names)
        return frozenset(name.encode() for name in found)

    def url(self, port: int) -> str:
        """The URL of the server on this machine."""
        return f"http://{'127.0.0.1' if self.host in ('0.0.0.0', '::') else _in_url(self.host)}:{port}"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host.lower()


def _is_printable(text: str) -> bool:
    return text.isprintable() and " " not in text and text != ""
