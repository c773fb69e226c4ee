"""Networks as people write them open as graphs that compute the same, and the proof accepts them; hostile ones do, or
are refused.

`python -m pytest tests/exchange/zoo -q` runs them; `python -m tests.exchange.zoo.test_zoo` prints which open, which are
refused and why, and which are wrong; with the words torch, keras, hostile-torch or hostile-keras those of a kind. There
the proof has all its sizes.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.exchange import proof_sizes
from gatewise.exchange.proof import prove
from gatewise.exchange.read_network import ReadNetwork
from tests.exchange.zoo import hostile_keras_networks, keras_networks
from tests.exchange.zoo.case import Case
from tests.exchange.zoo.comparison import Run, check_graph, keras_run, to_torch, torch_run

# Keras also runs on TensorFlow or JAX alone.
TORCH_CASES: dict[str, Case] = {}
HOSTILE_TORCH_CASES: dict[str, Case] = {}
if importlib.util.find_spec("torch"):
    from tests.exchange.zoo import hostile_networks, torch_networks

    TORCH_CASES = torch_networks.CASES
    HOSTILE_TORCH_CASES = hostile_networks.CASES

Read = Callable[[], ReadNetwork]
Prepared = tuple[Read, Run]
"""How the graph of a case is read, and how its network runs."""

SEED = 3
OF_MANY_STEPS = {
    "word_language_model", "packed_sentiment", "masked_attention", "gru_forecaster", "hand_written_lstm", "imdb_lstm",
    "masked_series", "simple_rnn",
}  # fmt: skip
"""Networks that the proof compares at all its sizes, up to 2,000 steps, in pytest too: recurrences of each kind, of
both libraries, with packed sequences or a mask. Keras takes milliseconds for each step.
"""
FEW_SIZES = (1, 2, 13, 64)
"""Those of the other networks in pytest, because all sizes of all networks take minutes. `check` compares each graph
for the sizes of its case besides, and the command above proves it at all sizes.
"""
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]  # of torch itself


def without(name: str) -> pytest.MarkDecorator:
    """Skips where a reader is not there yet."""
    return pytest.mark.skipif(not importlib.util.find_spec(f"gatewise.exchange.{name}"), reason=f"no {name}")


def of_torch(case: Case) -> Prepared:
    """Of a module."""
    from gatewise.exchange.torch_graph import read_torch

    build = partial(torch_networks.build, case, SEED)
    example = to_torch(case.inputs(np.random.default_rng(5), *case.example))
    return lambda: read_torch(build(), example if len(example) > 1 else example[0]), torch_run(build)


def of_keras(keras: ModuleType, case: Case) -> Prepared:
    """Of a network of Keras."""
    from gatewise.exchange.keras_graph import read_keras

    build = partial(keras_networks.build, keras, case, SEED)
    return lambda: read_keras(build()), keras_run(keras, build)


def check(case: Case, prepared: Prepared, *, hostile: bool = False) -> str:
    """Why the network is refused, "" where its graph is that of the network and the proof accepts it. The graph of a
    hostile network may refuse sizes, and what the reader cannot see, such as a counter in a function, the proof may
    refuse.
    """
    read, run = prepared
    try:
        network = read()
    except InputError as error:
        reason = str(error)
        assert reason.isprintable(), f"a message that is not one line: {reason!a}"
        return reason
    try:
        check_graph(network.graph, run, case, may_refuse=hostile)
    except AssertionError:
        if not hostile:
            raise
        try:
            prove(network)
        except InputError as error:
            return f"by the proof: {error}"
        raise
    if not hostile:
        assert prove(network).cases > 3
    return ""


@pytest.fixture(autouse=True)
def steps_of_the_proof(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """FEW_SIZES, unless the network is one of OF_MANY_STEPS."""
    if TORCH_CASES:
        assert {*TORCH_CASES, *keras_networks.CASES} > OF_MANY_STEPS
    if request.getfixturevalue("name") not in OF_MANY_STEPS:
        monkeypatch.setattr(proof_sizes, "SIZES", FEW_SIZES)


@without("torch_graph")
@pytest.mark.parametrize("name", TORCH_CASES)
def test_networks_of_torch(name: str) -> None:
    case = TORCH_CASES[name]
    reason = check(case, of_torch(case))
    if case.expected == "opens":
        assert not reason


@without("torch_graph")
@pytest.mark.parametrize("name", HOSTILE_TORCH_CASES)
def test_hostile_networks_of_torch(name: str) -> None:
    case = HOSTILE_TORCH_CASES[name]
    check(case, of_torch(case), hostile=True)


@without("keras_graph")
@pytest.mark.parametrize("name", keras_networks.CASES)
def test_networks_of_keras(keras: ModuleType, name: str) -> None:
    case = keras_networks.CASES[name]
    reason = check(case, of_keras(keras, case))
    if case.expected == "opens":
        assert not reason


@without("keras_graph")
@pytest.mark.parametrize("name", hostile_keras_networks.CASES)
def test_hostile_networks_of_keras(keras: ModuleType, name: str) -> None:
    case = hostile_keras_networks.CASES[name]
    check(case, of_keras(keras, case), hostile=True)


def table(kinds: list[str]) -> Iterator[tuple[str, str, str]]:
    """The name of each network of these kinds, "opens", "refused", "sizes" for one that opens for some sizes only, or
    "WRONG", and the reason.
    """
    os.environ.setdefault("KERAS_BACKEND", "torch")

    def of_keras_network(case: Case) -> Prepared:
        import keras  # here, as PyTorch alone may be installed

        return of_keras(keras, case)

    tables: dict[str, tuple[dict[str, Case], Callable[[Case], Prepared], bool]] = {
        "torch": (TORCH_CASES, of_torch, False),
        "keras": (keras_networks.CASES, of_keras_network, False),
        "hostile-torch": (HOSTILE_TORCH_CASES, of_torch, True),
        "hostile-keras": (hostile_keras_networks.CASES, of_keras_network, True),
    }
    for kind in kinds or tables:
        cases, prepare, hostile = tables[kind]
        for name, case in cases.items():
            try:
                reason = check(case, prepare(case), hostile=hostile)
            except InputError as error:
                yield f"{kind}: {name}", "sizes", f"refuses inputs: {error}"
            except Exception as error:
                frame = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{type(error).__name__} at {frame.filename.rpartition('/')[2]}:{frame.lineno}"
                yield f"{kind}: {name}", "WRONG", f"{where}: {' '.join(str(error).split())[:300]}"
            else:
                yield f"{kind}: {name}", "refused" if reason else "opens", reason


def main() -> int:
    warnings.simplefilter("ignore")
    counts: dict[str, int] = {}
    for name, result, reason in table(sys.argv[1:]):
        print(f"{name:50} {result:8} {reason}", flush=True)
        counts[result] = counts.get(result, 0) + 1
    print(", ".join(f"{count} {result}" for result, count in counts.items()))
    return int("WRONG" in counts)


if __name__ == "__main__":
    sys.exit(main())
