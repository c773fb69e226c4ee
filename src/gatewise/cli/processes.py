"""`train` and `pretrain` in the processes that torchrun has started."""

import functools
from collections.abc import Callable
from typing import Any

from gatewise.errors import GatewiseError


def in_processes(command: Callable[[Any], None]) -> Callable[[Any], None]:
    """The command in each process that torchrun has started. It finds the others by `processes.current()`."""

    @functools.wraps(command)
    def run(args: Any) -> None:
        from gatewise.training.processes import PeerError, process_group
        from gatewise.training.run import Interrupted

        with process_group() as communicator:
            try:
                with communicator.together():
                    command(args)
            except GatewiseError as error:
                if not communicator.rank:
                    raise
                if isinstance(error, PeerError | Interrupted):  # another process prints it
                    raise SystemExit(error.exit_code) from None
                with_rank = GatewiseError(f"process {communicator.rank}: {error}")
                with_rank.exit_code = error.exit_code
                raise with_rank from None

    return run
