"""The proof accepts the graphs of networks as people write them."""

from __future__ import annotations

from types import ModuleType

import pytest

from gatewise.exchange.proof import prove
from tests.exchange.zoo import keras_networks, torch_networks
from tests.exchange.zoo.test_zoo import of_keras, of_torch

pytestmark = [pytest.mark.peers, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of torch itself


@pytest.mark.parametrize("name", [name for name, case in torch_networks.CASES.items() if case.expected == "opens"])
def test_networks_of_torch(name: str) -> None:
    read, _ = of_torch(torch_networks.CASES[name])
    assert prove(read()).cases > 3


@pytest.mark.parametrize("name", [name for name, case in keras_networks.CASES.items() if case.expected == "opens"])
def test_networks_of_keras(keras: ModuleType, name: str) -> None:
    read, _ = of_keras(keras, keras_networks.CASES[name])
    assert prove(read()).cases > 3
