"""`train` and `pretrain` in several processes: those that torchrun has started, or workers of Ray Train."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any

import typer

from gatewise.cli.arguments import option
from gatewise.cli.ray_workers import run_on_ray, with_code
from gatewise.errors import GatewiseError

RayWorkersOption = Annotated[
    int | None,
    option("--ray", "N", "Train in N workers of Ray Train, on this machine or the cluster of RAY_ADDRESS.", min=1),
]


def in_processes(command: Callable[..., None]) -> Callable[..., None]:
    """The command in each process that torchrun has started; with --ray N, in N workers instead of here. It finds the
    others by `processes.current()`. The command has the parameter `ray`.
    """

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        if options.get("ray") is not None:
            run_on_ray(run, options | {"ray": None}, options["ray"])
            return
        from gatewise.training.processes import PeerError, process_group
        from gatewise.training.run import Interrupted

        with process_group() as communicator:
            try:
                with communicator.together():
                    command(*args, **options)
            except GatewiseError as error:
                if not communicator.rank:
                    raise
                if isinstance(error, PeerError | Interrupted):  # another process prints it
                    raise typer.Exit(error.exit_code) from None
                raise with_code(f"process {communicator.rank}: {error}", error.exit_code) from None

    return run
