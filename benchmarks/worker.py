"""The worker process: runs one contender and answers the parent's requests over a pipe.

    python -m benchmarks.worker MODULE FILE-DESCRIPTOR

MODULE is a module of benchmarks/contenders/. A request is the name of an action and its arguments: load (kind, settings
and arrays), check, run. An answer is "done", "unavailable" or "error", with the result or the reason.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.contenders.base import Task, Unavailable


def main(module: str, descriptor: int) -> None:
    parent: Connection[Any, Any] = Connection(descriptor)
    contender, reason = _import(module)
    loaded: Task | None = None
    while True:
        try:
            action, *arguments = parent.recv()
        except EOFError:
            return
        result: Any = None
        try:
            if action == "load":
                loaded = None  # free the memory of the previous task first
                gc.collect()
                if contender is None:
                    raise Unavailable(reason)
                loaded = contender.load(*arguments)
                result = loaded.info()
            else:
                result = getattr(loaded, action)()
            answer = "done", result
        except Unavailable as error:
            answer = "unavailable", str(error)
        except Exception as error:  # the parent reports it and stops
            answer = "error", f"{type(error).__name__}: {error}"
            sys.excepthook(*sys.exc_info())
        parent.send(answer)


def _import(module: str) -> tuple[Any, str]:
    """The contender's module, or None and why it cannot be imported."""
    try:
        return import_module(f"benchmarks.contenders.{module}"), ""
    except ModuleNotFoundError as error:
        return None, f"{error.name} is not installed; `make bench` installs it"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
