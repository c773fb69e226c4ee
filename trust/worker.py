"""The child process that runs the tries of one attack: reads their numbers from stdin, writes JSON lines to stdout.

python -m trust.worker MODULE NAME SEED
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import resource
import shutil
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

from trust.attack import Attack, generator

MAX_MESSAGE = 300


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an attack prints is not an answer
    faulthandler.enable()
    warnings.simplefilter("ignore")
    module, name, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    attack: Attack = importlib.import_module(module).ATTACKS[name]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    attack.prepare()
    if attack.memory:
        limit_memory(attack.memory)
    print(json.dumps({"ready": name}), file=out, flush=True)
    for line in sys.stdin:
        number = int(line)
        print(json.dumps({"try": number, "failure": attempt(attack, seed, number)}), file=out, flush=True)


def attempt(attack: Attack, seed: int, number: int) -> str | None:
    """One try: None, or what failed in one line."""
    folder = Path(tempfile.mkdtemp(prefix="trust-"))
    try:
        failure = attack.attempt(generator(seed, number), folder)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)[-4:]
        where = " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
        failure = f"{type(error).__name__} at {where}: {error}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if failure is None:
        return None
    return " ".join(failure.replace(str(folder), "FOLDER").split())[:MAX_MESSAGE]


def limit_memory(memory: int) -> None:
    """Let the address space grow by `memory` bytes from here. Linux tells how large it is; elsewhere no limit."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return
    most = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main()
