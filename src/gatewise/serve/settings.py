"""The settings of the server, each of which is an option of `gatewise serve`."""

import re
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from ipaddress import ip_address
from math import inf
from typing import Any

from gatewise.errors import InputError, quote
from gatewise.system.processes import workers_unavailable

LIMITS = "Limits"  # the group of these options
_MOST_THREADS = 1024  # that of gatewise.kernels, which imports NumPy: not for --help
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_ALL_ADDRESSES = ("0.0.0.0", "::")  # hosts of a server that listens at every address of the machine
# A scheme, a host and perhaps a port. A semicolon or a space would add a directive to the content security policy.
_ORIGIN = re.compile(r"https?://([\w.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
_NO_TOKEN = "none"  # the metrics token with which /metrics needs no token


def _setting(default: Any, help: str, low: float = -inf, high: float = inf, **option: Any) -> Any:
    """A setting with a value from low to high. option: further arguments of the option of the command line; its `name`
    replaces that of the field.
    """
    return field(default=default, metadata={"low": low, "high": high, "option": {"help": help, **option}})


def _limit(default: float, help: str, low: float = 1, high: float = inf) -> Any:
    return _setting(default, help, low, high, group=LIMITS)


@dataclass(frozen=True)
class Settings:
    """The settings of a server.

    models: paths of folders; the first one is the default model. load: opens a folder, as `gatewise.load` does; without
    it only folders of models are opened, and none of forecasters. token: mandatory unless only this machine can reach
    the server. Raises InputError, which names the option, for a value out of range.
    """

    models: tuple[str, ...]
    load: Callable[..., Any] | None = None
    host: str = _setting("127.0.0.1", "Address to listen at; others than loopback require --token.")
    port: int = _setting(8000, "Port to listen at; 0 takes a free one.", 0, 65_535)
    uds: str | None = _setting(None, "Unix domain socket to listen at, instead of a port.", metavar="PATH")
    workers: int = _setting(1, "Worker processes.", 1)
    threads: int = _setting(1, "Kernel threads per worker; GATEWISE_THREADS overrides it.", 1, _MOST_THREADS)
    token: str | None = _setting(None, "Token required in every request.", envvar="GATEWISE_TOKEN", show_envvar=True)
    metrics_token: str | None = _setting(
        None,
        "Token of /metrics, in place of --token. With 'none', /metrics needs no token.",
        envvar="GATEWISE_METRICS_TOKEN",
        show_envvar=True,
    )
    allow_hosts: tuple[str, ...] = _setting(
        (), "A further accepted Host; may repeat.", name="--allow-host", metavar="NAME[:PORT]", multiple=True
    )
    cors: tuple[str, ...] = _setting(
        (), "A site whose pages may use the server; may repeat.", metavar="ORIGIN", multiple=True
    )
    allow_frames: tuple[str, ...] = _setting(
        (),
        "A site whose pages may show the page or the lesson in a frame; may repeat.",
        name="--allow-frame",
        metavar="ORIGIN",
        multiple=True,
    )
    access_log: bool = _setting(False, "Log a line of JSON for each request.", is_flag=True)
    precision: str = _setting(
        "float32", "Precision of matrix products; bf16 is faster and needs AVX-512 BF16 or AMX.", metavar="float32|bf16"
    )
    reload: bool = _setting(False, "Load the models again on SIGHUP, or by the repository API.", is_flag=True)
    lesson: bool = _setting(False, "Serve the tutorial's model, and print the address of the lesson.", is_flag=True)
    queue: int = _limit(1024, "Inputs that may wait, per model; beyond it 429.")
    queue_timeout: float = _limit(10.0, "Seconds that a request may wait in the queue; then 504.", 0.001, 3600)
    max_batch: int = _limit(64, "Inputs per batch.")
    max_batch_tokens: int = _limit(16_384, "Tokens per batch, about.")
    max_inputs: int = _limit(256, "Inputs per request.")
    max_streams: int = _limit(1024, "Streams of all WebSockets, per worker; beyond it they are closed with 4429.")
    max_body: int = _limit(1_000_000, "Bytes per request, and per message of a WebSocket.")
    read_timeout: float = _limit(10.0, "Seconds for a request to arrive, and for a client to read.", 0.001, 3600)
    keep_alive: int = _limit(75, "Seconds until an idle connection is closed.", 1, 3600)
    limit_concurrency: int = _limit(1000, "Open connections per worker.")
    drain_seconds: float = _limit(0.0, "Seconds after SIGTERM in which requests are still taken.", 0, 3600)
    shutdown_timeout: float = _limit(15.0, "Seconds for requests in flight after SIGTERM.", 0.001, 3600)

    def __post_init__(self) -> None:
        for setting in fields(self):
            _check_range(setting, getattr(self, setting.name))
        if self.workers > 1 and (reason := workers_unavailable()):
            raise InputError(f"--workers must be 1: {reason}")
        if self.token is not None:
            _check_token("--token", self.token)
        if self.metrics_token is not None and self.metrics_token != _NO_TOKEN:
            _check_token("--metrics-token", self.metrics_token)
        if self.token is None and not self.is_loopback:
            raise InputError(f"--host {quote(self.host)} is reachable from other machines: set a --token")
        for name in self.allow_hosts:
            if not _is_word(name) or "/" in name or "@" in name:
                raise InputError(f"--allow-host {quote(name)}: expected NAME or NAME:PORT")
        for option, origins in (("--cors", self.cors), ("--allow-frame", self.allow_frames)):
            for origin in origins:
                if not _ORIGIN.fullmatch(origin):
                    raise InputError(f"{option} {quote(origin)}: expected an origin, as in https://app.example.org")

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
        """The token that a request to the path needs, or None."""
        if path != "/metrics" or self.metrics_token is None:
            return self.token
        if self.metrics_token == _NO_TOKEN:
            return None
        return self.metrics_token

    def hosts(self, port: int) -> frozenset[bytes]:
        """The accepted Host headers of a server that listens at `port`. Other ones are refused, so that a page whose
        name resolves to this machine cannot use the server (DNS rebinding).
        """
        names = {*_LOOPBACK}
        if self.host not in _ALL_ADDRESSES:
            names.add(_in_url(self.host))
        hosts = {f"{name}:{port}" for name in names}
        if port == 80:  # clients leave it out
            hosts |= names
        hosts |= {name.lower() for name in self.allow_hosts}
        return frozenset(host.encode() for host in hosts)

    def url(self, port: int) -> str:
        """The URL of the server on this machine, or its socket."""
        if self.uds is not None:
            return f"unix:{self.uds}"
        if self.host in _ALL_ADDRESSES:
            return f"http://127.0.0.1:{port}"
        return f"http://{_in_url(self.host)}:{port}"


def _check_range(setting: Field[Any], value: Any) -> None:
    """Raise InputError for a number that is not in the range of its setting."""
    low = setting.metadata.get("low", -inf)
    high = setting.metadata.get("high", inf)
    has_range = low > -inf or high < inf
    if not has_range or low <= value <= high:
        return
    allowed = f"from {low} to {high}"
    if high == inf:
        allowed = f"at least {low}"
    option = setting.name.replace("_", "-")
    raise InputError(f"--{option} must be {allowed}, not {value}")


def _check_token(option: str, token: str) -> None:
    if not 8 <= len(token) <= 200 or not _is_word(token):
        raise InputError(f"{option} must be 8 to 200 printable ASCII characters without spaces")


def _in_url(host: str) -> str:
    """A host as it stands in a URL: an IPv6 address in brackets."""
    if ":" in host:
        return f"[{host}]"
    return host.lower()


def _is_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text and text != ""
