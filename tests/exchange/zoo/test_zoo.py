"""Networks as people write them open as graphs that compute the same; hostile ones do, or are refused.

`python -m pytest tests/exchange/zoo -q` runs them; `python -m tests.exchange.zoo.test_zoo` prints which open, which are
refused and why, and which are wrong.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from tests.exchange.zoo import hostile_networks, torch_networks
from tests.exchange.zoo.case import Case
from tests.exchange.zoo.comparison import Run, check_graph, to_torch, torch_run

read_torch = pytest.importorskip("gatewise.exchange.torch_graph").read_torch

Read = Callable[[], Any]
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]  # of torch itself


def of_torch(case: Case) -> tuple[Read, Run]:
    """How the graph of a case is read, and how its network runs."""
    module = torch_networks.build(case, seed=3)
    run = torch_run(lambda: torch_networks.build(case, seed=3))
    rng = np.random.default_rng(5)
    example = to_torch(case.inputs(rng, *case.example))
    return lambda: read_torch(module, example if len(example) > 1 else example[0]).graph, run


def check(case: Case, read: Read, run: Run, *, hostile: bool = False) -> str:
    """Why the network is refused, "" where its graph is that of the network. A graph that refuses sizes of a hostile
    network is right.
    """
    try:
        graph = read()
    except InputError as error:
        reason = str(error)
        assert reason.isprintable(), f"a message that is not one line: {reason!a}"
        return reason
    check_graph(graph, run, case, may_refuse=hostile)
    return ""


@pytest.mark.parametrize("name", torch_networks.CASES)
def test_networks_of_torch(name: str) -> None:
    case = torch_networks.CASES[name]
    reason = check(case, *of_torch(case))
    if case.expected == "opens":
        assert not reason


@pytest.mark.parametrize("name", hostile_networks.CASES)
def test_hostile_networks_of_torch(name: str) -> None:
    case = hostile_networks.CASES[name]
    check(case, *of_torch(case), hostile=True)


def table() -> Iterator[tuple[str, str, str]]:
    """The name of each network, "opens", "refused" or "WRONG", and the reason."""
    for kind, cases, hostile in (
        ("torch", torch_networks.CASES, False),
        ("hostile torch", hostile_networks.CASES, True),
    ):
        for name, case in cases.items():
            try:
                reason = check(case, *of_torch(case), hostile=hostile)
            except Exception as error:
                frame = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{type(error).__name__} at {frame.filename.rpartition('/')[2]}:{frame.lineno}"
                yield f"{kind}: {name}", "WRONG", f"{where}: {' '.join(str(error).split())[:300]}"
            else:
                yield f"{kind}: {name}", "refused" if reason else "opens", reason


def main() -> int:
    warnings.simplefilter("ignore")
    counts: dict[str, int] = {}
    for name, result, reason in table():
        print(f"{name:50} {result:8} {reason}", flush=True)
        counts[result] = counts.get(result, 0) + 1
    print(", ".join(f"{count} {result}" for result, count in counts.items()))
    return int("WRONG" in counts)


if __name__ == "__main__":
    sys.exit(main())
