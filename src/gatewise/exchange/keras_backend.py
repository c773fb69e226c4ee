"""Keras with a backend that is installed."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gatewise.errors import InputError, quote

BACKENDS = ("tensorflow", "torch", "jax")  # in the order in which they are chosen; the first is the default of Keras
_VARIABLE = "KERAS_BACKEND"


class UnknownVersionError(InputError):
    """The installed version of Keras, or of its backend, does not have what the readers replace in it."""


def internal_module(path: str, *names: str) -> Any:
    """A module of Keras, or of its backend, that is no part of the documented interface. names: what is replaced in it.
    Raises UnknownVersionError where a version has them no longer, so that nothing is compared without them.
    """
    missing = path
    try:
        module = import_module(path)
        missing = next((f"{path}.{name}" for name in names if not hasattr(module, name)), "")
    except ImportError:
        pass
    if not missing:
        return module
    keras = sys.modules["keras"]
    backend = keras.config.backend()
    versions = f"Keras {keras.__version__} with {backend} {getattr(sys.modules[backend], '__version__', '')}".rstrip()
    raise UnknownVersionError(
        f"{versions} has no {missing}, which is replaced while a network is read; install the version of Keras that "
        "gatewise is tested with, or set another backend"
    )


def keras_module() -> Any:
    """The module keras. Where it is not imported yet and no backend is set, it gets the first of `BACKENDS` that is
    installed. Raises InputError without Keras or its backend.
    """
    if sys.modules.get("keras") is not None:
        return sys.modules["keras"]
    chosen = _set_backend() or next((name for name in BACKENDS if find_spec(name)), "")
    if not chosen:
        raise InputError("a Keras model needs Keras and a backend: pip install keras torch")
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = chosen
    try:
        return import_module("keras")
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "keras" or sys.modules.get("keras", "") is None:
            raise InputError("a Keras model needs Keras and a backend: pip install keras torch") from error
        raise InputError(
            f"Keras cannot be imported with its backend {quote(chosen)}: {quote(error)}; set {_VARIABLE} to an "
            f"installed one of {', '.join(BACKENDS)} before Keras is imported"
        ) from error
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before


@contextmanager
def torch_inference(keras: Any) -> Iterator[None]:
    """One thread and no gradients for the operations of torch, where it is the backend of Keras. Keras computes an LSTM
    step by step: the steps are small, so that more threads only wait for each other, and the graph of thousands of
    steps would take hundreds of MB. The number of threads before is set again.
    """
    if keras.config.backend() != "torch":
        yield
        return
    # Keras has imported its backend. An import here would make torch a requirement of this package.
    torch = sys.modules["torch"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)


def _set_backend() -> str:
    """The backend that the user has set, or "". Keras itself writes its default into keras.json when it is first
    imported, so that name there is no choice of the user's where it is not installed.
    """
    if os.environ.get(_VARIABLE):
        return os.environ[_VARIABLE]
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        settings = json.loads((home / "keras.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    backend = settings.get("backend") if isinstance(settings, dict) else None
    if not isinstance(backend, str) or (backend == BACKENDS[0] and find_spec(backend) is None):
        return ""
    return backend
