"""`train` and `pretrain` in several processes: those that torchrun has started, or workers of Ray Train.

With `--ray N`, the command runs in N workers, which find the others by gloo. Workers of other machines need gatewise,
and the same paths. What the workers print, the command prints.
"""

from __future__ import annotations

import functools
import io
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from gatewise.cli.options import option
from gatewise.cli.ray_session import import_ray, ray_session
from gatewise.errors import GatewiseError, TrainingError

_STARTS = 4  # of the workers: after the first, from the last checkpoint
_ENVIRONMENT = {"RAY_TRAIN_ENABLE_PRINT_PATCH": "0"}  # Ray Train's own print repeats every line
_SECONDS = 5.0  # for the last output

_RAY = "Train in N workers of Ray Train, on this machine or the cluster of RAY_ADDRESS."
ray_option = option("--ray", metavar="N", group="Run", type=click.IntRange(1), help=_RAY)


def in_processes(command: Callable[[Any], None]) -> Callable[[Any], None]:
    """The command in each process that torchrun has started; with --ray N, in N workers instead of here. It finds the
    others by `processes.current()`.
    """

    @functools.wraps(command)
    def run(given: Any) -> None:
        if given.ray is not None:
            run_on_ray(command.__name__, vars(given) | {"ray": None}, given.ray)
            return
        from gatewise.training.processes import PeerError, process_group
        from gatewise.training.run import Interrupted

        with process_group() as communicator:
            try:
                with communicator.together():
                    command(given)
            except GatewiseError as error:
                if not communicator.rank:
                    raise
                if isinstance(error, PeerError | Interrupted):  # another process prints it
                    raise SystemExit(error.exit_code) from None
                raise with_code(f"process {communicator.rank}: {error}", error.exit_code) from None

    return run


def run_on_ray(command: str, options: dict[str, Any], workers: int) -> None:
    """Run a command with its options in so many workers. Where one dies, all start again from the checkpoint."""
    import_ray("torch", "ray.train.torch")
    from ray.util.queue import Queue

    settings: dict[str, Any] = {"command": command, "options": options, "folder": str(Path.cwd())}
    with (
        ray_session(os.environ.get("RAY_ADDRESS", "local"), workers + 1, _ENVIRONMENT),
        tempfile.TemporaryDirectory() as scratch,
    ):
        end: dict[str, Any] = {}
        settings["output"] = output = Queue(actor_options={"num_cpus": 0})
        printer = threading.Thread(target=_print_all, args=(output, end), daemon=True)
        printer.start()
        try:
            _train(settings, workers, scratch)
        finally:
            output.put(None)
            printer.join(_SECONDS)
    if end:
        raise with_code(**end)


def _train(settings: dict[str, Any], workers: int, scratch: str) -> None:
    """Raises TrainingError where workers die again and again."""
    from ray.train import RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    for start in range(_STARTS):
        trainer = TorchTrainer(
            _worker,
            train_loop_config={**settings, "start": start},
            torch_config=TorchConfig(backend="gloo"),
            scaling_config=ScalingConfig(num_workers=workers),
            run_config=RunConfig(storage_path=scratch),
        )
        try:
            trainer.fit()
            return
        except SystemExit:  # how Ray Train ends after Ctrl-C
            raise with_code("stopped; --resume continues from the last checkpoint", 130) from None
        except TrainingFailedError as error:
            died = error
        if start + 1 < _STARTS:
            print(f"gatewise: a worker died; start {start + 2} of {_STARTS}, from the checkpoint", file=sys.stderr)
    raise TrainingError(f"the workers died {_STARTS} times: {died}")


def _print_all(output: Any, end: dict[str, Any]) -> None:
    """Print what the workers print, up to a None. end: gets the error of the first worker."""
    while (part := output.get()) is not None:
        name, value = part
        if name == "error":
            end.update(value)
        else:
            stream = getattr(sys, name)
            stream.write(value)
            stream.flush()


class _Sent(io.TextIOBase):
    """A stream of a worker, whose text the command prints."""

    def __init__(self, output: Any, name: str) -> None:
        self._output, self._name = output, name

    def write(self, text: str) -> int:
        self._output.put((self._name, text))
        return len(text)


def _worker(settings: dict[str, Any]) -> None:
    """The command in a worker. An error is sent to the command: as an exception it would count as a worker's death."""
    from gatewise.training.processes import RESTARTS, LostPeer

    os.chdir(settings["folder"])
    os.environ[RESTARTS] = str(settings["start"])
    stdout, stderr = (_Sent(settings["output"], name) for name in ("stdout", "stderr"))
    with redirect_stdout(stdout), redirect_stderr(stderr):
        try:
            name = settings["command"]
            getattr(import_module(f"gatewise.cli.{name}"), name).callback(SimpleNamespace(**settings["options"]))
        except LostPeer:
            raise  # all workers start again
        except GatewiseError as error:
            settings["output"].put(("error", {"message": str(error), "exit_code": error.exit_code}))
        except SystemExit:  # of a process other than the first, whose error counts
            pass


def with_code(message: str, exit_code: int) -> GatewiseError:
    """An error that ends the command with this exit code."""
    error = GatewiseError(message)
    error.exit_code = exit_code
    return error
