"""The settings of the server."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from gatewise.errors import InputError, quote
from gatewise.kernels.threads import MOST_THREADS
from gatewise.system.processes import workers_unavailable

__all__ = ["Settings"]

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_RANGES = {
    "port": (0, 65_535),
    "threads": (1, MOST_THREADS),
    **dict.fromkeys(("workers", "queue", "max_batch", "max_batch_tokens", "max_inputs", "max_body"), (1, None)),
    "limit_concurrency": (1, None),
}


@dataclass(frozen=True)
class Settings:
    """Settings of the server; each one is an option of `gatewise serve`.

    models: model folders; the first one is the default model. host, port: the address to listen at; port 0 takes a free
    port. uds: the path of a Unix domain socket to listen at instead. workers: processes. threads: kernel threads per
    worker; above 1 they compete with the thread that answers. token: required in every request; mandatory unless `host`
    is a loopback address. metrics_token: that of /metrics in its place; "none" if it needs none. allow_hosts: further
    accepted values of the Host header, NAME or NAME:PORT. cors: origins of pages that may use the server. precision:
    number format of predictions, see `gatewise.load`. reload: whether SIGHUP and the repository API load the models
    again. lesson: whether the line that says what is served gives the address of the lesson.

    queue: inputs that may wait, per model; a request holds at most as many. queue_timeout: seconds that a request may
    wait. max_batch, max_batch_tokens: inputs and tokens per batch. max_inputs, max_body: inputs and bytes per request.
    read_timeout: seconds for a request to arrive, and for a client to read a part of its answer. keep_alive: seconds
    until an idle connection is closed. limit_concurrency: open connections per worker. drain_seconds: seconds after
    SIGTERM in which requests are still taken. shutdown_timeout: seconds that requests in flight have after that.
    access_log: whether the log has a line of JSON for each request.

    Raises InputError, which names the option, for a value out of range.
    """

    models: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 8000
    uds: str | None = None
    workers: int = 1
    threads: int = 1
    token: str | None = None
    metrics_token: str | None = None
    allow_hosts: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()
    precision: str = "float32"
    reload: bool = False
    lesson: bool = False
    queue: int = 1024
    queue_timeout: float = 10.0
    max_batch: int = 64
    max_batch_tokens: int = 16_384
    max_inputs: int = 256
    max_body: int = 1_000_000
    read_timeout: float = 10.0
    keep_alive: int = 75
    limit_concurrency: int = 1000
    drain_seconds: float = 0.0
    shutdown_timeout: float = 15.0
    access_log: bool = False

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value < low:
                raise InputError(f"{_option(name)} must be at least {low}, not {value}")
            if high is not None and value > high:
                raise InputError(f"{_option(name)} must be at most {high}, not {value}")
        if self.workers > 1 and (reason := workers_unavailable()):
            raise InputError(f"--workers must be 1: {reason}")
        for name in ("queue_timeout", "read_timeout", "keep_alive", "shutdown_timeout"):
            if not 0 < getattr(self, name) <= 3600:
                raise InputError(f"{_option(name)} must be above 0 and at most 3600 s, not {getattr(self, name)}")
        if not 0 <= self.drain_seconds <= 3600:
            raise InputError(f"--drain-seconds must be from 0 to 3600 s, not {self.drain_seconds}")
        for name, value in (("token", self.token), ("metrics_token", self.metrics_token)):
            is_none = value is None or (name, value) == ("metrics_token", "none")
            if not is_none and not (8 <= len(value or "") <= 200 and _is_word(value or "")):
                raise InputError(f"{_option(name)} must be 8 to 200 printable ASCII characters without spaces")
        if self.token is None and not self.is_loopback:
            raise InputError(f"--host {quote(self.host)} is reachable from other machines: set a --token")
        for name in self.allow_hosts:
            if not _is_word(name) or "/" in name or "@" in name:
                raise InputError(f"--allow-host {quote(name)}: expected NAME or NAME:PORT")
        for origin in self.cors:
            if not _is_word(origin) or origin.count("/") != 2 or not origin.startswith(("http://", "https://")):
                raise InputError(f"--cors {quote(origin)}: expected an origin, as in https://app.example.org")

    @property
    def most_inputs(self) -> int:
        """The inputs of one request: at most as many as may wait."""
        return min(self.max_inputs, self.queue)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.uds is not None or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def token_of(self, path: str) -> str | None:
        """The token that a request to the path needs."""
        if path == "/metrics" and self.metrics_token is not None:
            return None if self.metrics_token == "none" else self.metrics_token
        return self.token

    def hosts(self, port: int) -> frozenset[bytes]:
        """The accepted Host headers of a server that listens at `port`."""
        names = _LOOPBACK if self.host in ("0.0.0.0", "::") else (*_LOOPBACK, _in_url(self.host))
        found = {f"{name}:{port}" for name in names} | {name.lower() for name in self.allow_hosts}
        if port == 80:
            found |= set(names)
        return frozenset(name.encode() for name in found)

    def url(self, port: int) -> str:
        """The URL of the server on this machine, or its socket."""
        if self.uds is not None:
            return f"unix:{self.uds}"
        return f"http://{'127.0.0.1' if self.host in ('0.0.0.0', '::') else _in_url(self.host)}:{port}"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host.lower()


def _is_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text and text != ""
