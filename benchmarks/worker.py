"""The worker process: runs one contender and answers the parent's requests over stdin and stdout.

    python -m benchmarks.worker MODULE

MODULE is a module of benchmarks/contenders/. Actions: load (kind, settings and arrays), check, run. Output of libraries
goes to stderr, so that stdout carries only messages.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import Any

from benchmarks.contenders.base import Task, Unavailable
from benchmarks.messages import Arrays, ConnectionClosed, receive, send


def main(module: str) -> None:
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    contender, reason = _import(module)
    loaded: Task | None = None
    while True:
        try:
            head, arrays = receive(requests)
        except ConnectionClosed:
            return
        answer: dict[str, object] = {}
        output: Arrays = {}
        try:
            if head["action"] == "load":
                loaded = None  # free the memory of the previous task first
                gc.collect()
                if contender is None:
                    raise Unavailable(reason)
                loaded = contender.load(head["kind"], head["settings"], arrays)
                answer = {"info": loaded.info()}
            elif loaded is None:
                raise RuntimeError("nothing is loaded")
            elif head["action"] == "check":
                output = loaded.check()
            elif head["action"] == "run":
                answer = {"seconds": loaded.run()}
        except Unavailable as error:
            answer = {"unavailable": str(error)}
        except Exception as error:  # the parent reports it and stops
            answer = {"error": f"{type(error).__name__}: {error}"}
            sys.excepthook(*sys.exc_info())
        send(answers, answer, output)


def _import(module: str) -> tuple[Any, str]:
    """The contender's module, or None and why it cannot be imported."""
    try:
        return import_module(f"benchmarks.contenders.{module}"), ""
    except ModuleNotFoundError as error:
        return None, f"{error.name} is not installed; `make bench` installs it"


if __name__ == "__main__":
    main(sys.argv[1])
