"""Ray for one command: connected or started, quiet, and its errors as one line."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

from gatewise.errors import DataError, GatewiseError, InputError, MissingExtra, quote

_SECONDS = 5.0  # to connect to an address


def import_ray(*modules: str) -> None:
    """Import `ray` and further modules. Raises MissingExtra."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports its use to its authors otherwise
    try:
        for name in ("ray", *modules):
            import_module(name)
    except ImportError as error:
        raise MissingExtra(error.name or "ray", "ray", "--ray") from None


@contextmanager
def ray_session(address: str, cpus: int | None, environment: Mapping[str, str]) -> Iterator[int]:
    """Ray at an address, as `ray.init` takes it, "local" here with `cpus`: the number of CPUs. environment: of the
    workers. Errors of the block become errors of one line.
    """
    import ray

    for name in ("ray.data", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
    local = address == "local"
    options = {"include_dashboard": False} if local else {}
    _check_address(address)
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": dict(environment)},
            num_cpus=cpus if local else None,
            **options,
        )
    except (Exception, SystemExit) as error:
        raise InputError(f"--ray {quote(address)}: {quote(error, 300)[1:-1]}") from None
    try:
        yield int(ray.cluster_resources().get("CPU", 2))
    except GatewiseError:
        raise
    except Exception as error:
        raise _one_line(error) from None
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise InputError where nothing listens at host:port: Ray itself tries for minutes, and ends the process."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), _SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"--ray {quote(address)}: cannot be reached: {error}") from None


def _one_line(error: BaseException) -> GatewiseError:
    """The error of gatewise that a worker raised, or the last line of Ray's."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or one in seen:
            continue
        if isinstance(one, GatewiseError):
            return type(one)(str(getattr(one, "cause", one)))
        seen.append(one)
        todo += [one.__cause__, getattr(one, "cause", None)]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return DataError(f"--ray: {quote(lines[-1] if lines else type(error).__name__, 300)[1:-1]}")
