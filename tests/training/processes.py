"""Several processes of one run, as torchrun starts them."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence


def run_processes(words: Sequence[str], count: int = 2) -> list[subprocess.CompletedProcess[str]]:
    """Run `python WORDS...` so many times at once, each with its rank in the environment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    common = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1"}
    environment = {**os.environ, **common, "MASTER_PORT": str(port)}
    running = [
        subprocess.Popen(
            [sys.executable, *words],
            env={**environment, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    done = []
    for process in running:
        out, err = process.communicate(timeout=300)
        done.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return done


def run_function(name: str, *arguments: str) -> None:
    """Run a function "module.function" with texts as arguments in two processes. Fails where one of them does."""
    module, _, function = name.rpartition(".")
    code = f"import sys, {module}; {module}.{function}(*sys.argv[1:])"
    for rank, result in enumerate(run_processes(["-c", code, *arguments])):
        assert result.returncode == 0, f"process {rank}: {result.stderr}"
