"""Recurrent dropout and precision of `gatewise.nn.LSTM`."""

from __future__ import annotations

import pytest
import torch

from gatewise import kernels
from gatewise.errors import InputError, KernelUnavailable
from gatewise.nn import LSTM

HERE = kernels.unavailable_reason("bf16") is None


def _masks_by_hand(lstm: LSTM, x: torch.Tensor, masks: list[torch.Tensor]) -> torch.Tensor:
    """The h of every step (B, T, H) of one layer, in torch operations, with a mask a run."""
    h = c = x.new_zeros((len(x), lstm.hidden_size))
    out = []
    for t in range(x.shape[1]):
        pre = x[:, t] @ lstm.weight_ih_l0.T + lstm.bias_l0 + (h * masks[0]) @ lstm.weight_hh_l0.T
        i, f, g, o = pre.chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        out.append(h)
    return torch.stack(out, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_units_are_dropped_at_every_step(dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    lstm = LSTM(4, 11, batch_first=True, recurrent_dropout=0.4, dtype=dtype)
    x = torch.randn(5, 7, 4, dtype=dtype)
    torch.manual_seed(8)
    mask = torch.nn.functional.dropout(torch.ones(5, 11, dtype=dtype), 0.4)
    torch.manual_seed(8)
    output, _ = lstm(x)
    wanted = _masks_by_hand(lstm, x, [mask])
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    assert torch.allclose(output, wanted, atol=tolerance, rtol=0)
    weights = torch.randn_like(output)
    ours = torch.autograd.grad((output * weights).sum(), list(lstm.parameters()), retain_graph=False)
    theirs = torch.autograd.grad((wanted * weights).sum(), list(lstm.parameters()))
    for got, want in zip(ours, theirs, strict=True):
        assert torch.allclose(got, want, atol=10 * tolerance * float(want.abs().max()), rtol=0)


def test_nothing_is_dropped_when_it_predicts() -> None:
    lstm = LSTM(4, 11, batch_first=True, recurrent_dropout=0.4)
    x = torch.randn(5, 7, 4)
    plain = LSTM(4, 11, batch_first=True)
    plain.load_state_dict(lstm.state_dict())
    assert torch.equal(lstm.eval()(x)[0], plain(x)[0])
    assert not torch.equal(lstm.train()(x)[0], plain(x)[0])
    assert "recurrent_dropout=0.4" in repr(lstm)


def test_probabilities_and_precisions_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match=r"recurrent_dropout must be a probability, not '1\.5'"):
        LSTM(3, 4, recurrent_dropout=1.5)
    with pytest.raises(InputError, match="precision must be 'float32' or 'bf16', not 'fp8'"):
        LSTM(3, 4, precision="fp8")  # type: ignore[arg-type]
    for changes in ({"recurrent_dropout": 0.5}, {"precision": "bf16"}):
        elsewhere = LSTM(3, 4, device="meta", **changes)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="runs on the CPU only"):
            elsewhere(torch.zeros(2, 5, 3, device="meta"))


@pytest.mark.skipif(not HERE, reason=f"bf16: {kernels.unavailable_reason('bf16')}")
def test_bf16_is_near_float32_and_not_the_same() -> None:
    torch.manual_seed(0)
    lstm, plain = LSTM(6, 64, batch_first=True, precision="bf16"), LSTM(6, 64, batch_first=True)
    plain.load_state_dict(lstm.state_dict())
    x = torch.randn(8, 20, 6)
    weights = torch.randn(8, 20, 64)
    grads = []
    for module in (lstm, plain):
        output, _ = module(x)
        grads.append(torch.autograd.grad((output * weights).sum(), list(module.parameters())))
    for rough, exact in zip(*grads, strict=True):
        error = float((rough - exact).abs().max() / exact.abs().max())
        assert 1e-5 < error < 2e-2
    with pytest.raises(InputError, match="computes in float32"):
        LSTM(6, 4, precision="bf16", dtype=torch.float64)(torch.zeros(2, 3, 6, dtype=torch.float64))


@pytest.mark.skipif(HERE, reason="bf16 runs here")
def test_bf16_says_why_it_cannot_run() -> None:
    with pytest.raises(KernelUnavailable, match="kernel 'bf16' cannot run here"):
        LSTM(3, 4, precision="bf16")(torch.zeros(2, 5, 3))
