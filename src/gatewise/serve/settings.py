"""What a server is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from gatewise.errors import InputError, quote

__all__ = ["Settings"]

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Settings:
    """models: folders, the first one is what a request means that names none. host, port: where to listen; port 0 for
    a free one. workers: processes. threads: of the kernel, a worker; more than one take turns with the thread that
    answers. token: what every request must bring; needed where others can reach the server.
    allow_hosts: further values of the Host header, NAME or NAME:PORT. precision: what predictions multiply in.

    queue: texts (or series) that may wait, a model. deadline: seconds from a request's arrival until it is refused.
    max_batch, max_steps: what runs at once, texts and words. max_items, max_body: of a request, texts and bytes.
    patience: seconds for a request to arrive, and for a client to take a part of its answer. connections: open at once,
    a worker. grace: seconds that requests in flight have after SIGTERM.
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
    deadline: float = 10.0
    max_batch: int = 64
    max_steps: int = 16_384
    max_items: int = 256
    max_body: int = 1_000_000
    patience: float = 10.0
    connections: int = 1000
    grace: float = 15.0
    access_log: bool = False

    def __post_init__(self) -> None:
        least = {"workers": 1, "threads": 1, "queue": 1, "max_batch": 1, "max_steps": 1, "max_items": 1, "max_body": 1}
        least |= {"connections": 1, "port": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise InputError(f"--{name.replace('_', '-')} must be at least {low}, not {getattr(self, name)}")
        if self.port > 65_535:
            raise InputError(f"--port must be at most 65535, not {self.port}")
        for name in ("deadline", "patience", "grace"):
            if not 0 < getattr(self, name) <= 3600:
                raise InputError(f"--{name} must be above 0 and at most 3600 seconds, not {getattr(self, name)}")
        if self.token is not None and not (8 <= len(self.token) <= 200 and self.token.isascii() and _plain(self.token)):
            raise InputError("--token must be 8 to 200 printable ASCII characters without spaces")
        if self.token is None and not self.is_loopback:
            raise InputError(f"--host {quote(self.host)} can be reached by others: give a --token that they must know")
        for name in self.allow_hosts:
            if not name.isascii() or not _plain(name) or "/" in name or "@" in name:
                raise InputError(f"--allow-host {quote(name)}: want NAME or NAME:PORT")

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def hosts(self, port: int) -> frozenset[bytes]:
        """The Host headers that are answered by a server which listens on `port`."""
        named = _LOOPBACK if self.host in ("0.0.0.0", "::") else (*_LOOPBACK, _in_url(self.host))
        found = {f"{name}:{port}" for name in named} | {name.lower() for name in self.allow_hosts}
        if port == 80:
            found |= set(named)
        return frozenset(name.encode() for name in found)

    def url(self, port: int) -> str:
        """Where a person on this machine finds it."""
        return f"http://{'127.0.0.1' if self.host in ('0.0.0.0', '::') else _in_url(self.host)}:{port}"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host.lower()


def _plain(text: str) -> bool:
    return text.isprintable() and " " not in text and text != ""
