"""torch.nn.LSTM to LSTM and back."""

import numpy as np
import pytest
import torch

from gatewise.errors import InputError
from gatewise.nn import LSTM, from_torch, to_torch
from gatewise.nn.convert import from_arrays, to_arrays


@pytest.mark.parametrize("bias", [False, True])
def test_round_trip(bias: bool) -> None:
    torch.manual_seed(0)
    how = {"num_layers": 2, "bias": bias, "batch_first": True, "dropout": 0.25, "bidirectional": True}
    theirs = torch.nn.LSTM(3, 5, **how, dtype=torch.float64).eval()
    ours = from_torch(theirs)
    assert not ours.training
    again = to_torch(ours)
    for name in ("input_size", "hidden_size", *how):
        assert getattr(theirs, name) == getattr(ours, name) == getattr(again, name)
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    for got, wanted in ((ours(x)[0], theirs(x)[0]), (again(x)[0], theirs(x)[0])):
        assert torch.allclose(got, wanted, rtol=0, atol=1e-12)
    for name, parameter in from_torch(again).state_dict().items():
        assert torch.equal(parameter, ours.state_dict()[name])
    with torch.no_grad():
        ours.weight_hh_l0.zero_()
    assert bool(theirs.weight_hh_l0.all()), "the two share memory"


def test_a_conversion_draws_no_initial_values() -> None:
    """They take seconds for many units, and would move torch's random numbers."""
    theirs, arrays = torch.nn.LSTM(3, 5), to_arrays(LSTM(3, 5))
    before = torch.get_rng_state()
    from_torch(theirs)
    from_arrays(arrays)
    LSTM(3, 5, device="meta")
    assert torch.equal(torch.get_rng_state(), before)


def test_refused() -> None:
    arrays = to_arrays(LSTM(3, 5, num_layers=2))
    swapped = arrays[1]._replace(weight_ih=arrays[0].weight_ih)
    wrong = [
        ("proj_size=2", lambda: from_torch(torch.nn.LSTM(3, 5, proj_size=2))),
        ("sigmoid gates only", lambda: to_torch(LSTM(3, 5, gate="binary"))),
        ("not a whole number of layers", lambda: from_arrays(arrays[:1], bidirectional=True)),
        ("not a whole number of layers", lambda: from_arrays([])),
        ("weight_ih of layer 1", lambda: from_arrays([arrays[0], swapped])),
        ("bias of layer 1", lambda: from_arrays([arrays[0], arrays[1]._replace(bias=None)])),
    ]
    for message, call in wrong:
        with pytest.raises(InputError, match=message):
            call()
    assert np.isfinite(arrays[0].weight_ih).all()
