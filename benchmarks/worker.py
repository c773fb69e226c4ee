"""The child process: one contender, alone in it, doing what the parent asks for over stdin and stdout.

    python -m benchmarks.worker MODULE

MODULE is a file of benchmarks/contenders/. Requests: load (kind, settings and arrays), check, run. Whatever a library
prints goes to stderr, so that it cannot get between the messages.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import Any

from benchmarks.contenders.base import Loaded, Unavailable
from benchmarks.wire import Arrays, Closed, receive, send


def main(module: str) -> None:
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    contender, missing = _imported(module)
    loaded: Loaded | None = None
    while True:
        try:
            head, arrays = receive(requests)
        except Closed:
            return
        answer: dict[str, object] = {}
        found: Arrays = {}
        try:
            if head["do"] == "load":
                loaded = None  # so that the next task does not share the memory with this one
                gc.collect()
                if contender is None:
                    raise Unavailable(missing)
                loaded = contender.load(head["kind"], head["settings"], arrays)
                answer = {"about": loaded.about()}
            elif loaded is None:
                raise RuntimeError("nothing is loaded")
            elif head["do"] == "check":
                found = loaded.check()
            elif head["do"] == "run":
                answer = {"seconds": loaded.run()}
        except Unavailable as reason:
            answer = {"unavailable": str(reason)}
        except Exception as error:  # the parent says which contender it was, and stops
            answer = {"error": f"{type(error).__name__}: {error}"}
            sys.excepthook(*sys.exc_info())
        send(answers, answer, found)


def _imported(module: str) -> tuple[Any, str]:
    """The contender's module, or None and the library that is missing."""
    try:
        return import_module(f"benchmarks.contenders.{module}"), ""
    except ModuleNotFoundError as error:
        return None, f"{error.name} is not installed; `make bench` installs it"


if __name__ == "__main__":
    main(sys.argv[1])
