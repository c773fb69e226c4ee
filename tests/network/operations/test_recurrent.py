"""`Recurrent` beside torch, beside the node tests of ONNX, and its two ways beside each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatewise.network.operation import Execution
from gatewise.network.operations import operation_of
from gatewise.network.operations.recurrent import Recurrent
from tests.network.operations.cases.recurrent import MASK, floats, layer


@pytest.mark.parametrize("masked", ["previous", "zero"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_kernel_computes_what_the_steps_do(masked: Any, reverse: bool, dtype: Any) -> None:
    """Peepholes of 0 change nothing, but an LSTM with them does not run on the kernel."""
    inputs = [one if one is None or one.dtype == bool else one.astype(dtype) for one in layer("LSTM")]
    in_steps = [*inputs[:8], np.zeros(9, dtype), None]
    operation = Recurrent(masked=masked, reverse=reverse)
    execution = Execution(dtype=dtype)
    outputs, backward = operation.forward(execution, *inputs)
    expected, expected_backward = operation.forward(execution, *in_steps)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    grads = [floats(*one.shape).astype(dtype) for one in outputs]
    for ours, steps in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, steps, rtol=tolerance, atol=tolerance)
    for ours, steps in zip(backward(*grads)[:8], expected_backward(*grads)[:8], strict=True):
        if steps is not None:
            np.testing.assert_allclose(ours, steps, rtol=10 * tolerance, atol=10 * tolerance)


def test_a_step_that_is_not_read_changes_nothing() -> None:
    """Whatever stands there; and its output is that of the step before, or zero."""
    inputs = layer("LSTM")
    (h, h_T, c_T), _ = Recurrent().forward(Execution(dtype=np.float64), *inputs)
    other = [np.where(MASK[:, :, None], inputs[0], 1e6), *inputs[1:]]
    (same, same_h, same_c), _ = Recurrent().forward(Execution(dtype=np.float64), *other)
    np.testing.assert_array_equal(h, same)
    np.testing.assert_array_equal(h_T, same_h)
    np.testing.assert_array_equal(c_T, same_c)
    np.testing.assert_array_equal(h[0, 1], h[0, 0])
    np.testing.assert_array_equal(h[1, :2], 0)  # no step before
    np.testing.assert_array_equal(h[2], 0)
    np.testing.assert_array_equal(h_T[2], inputs[6][2])  # nothing was read
    (zero, *_), _ = Recurrent(masked="zero").forward(Execution(dtype=np.float64), *inputs)
    np.testing.assert_array_equal(zero[~MASK], 0)
    np.testing.assert_array_equal(zero[MASK], h[MASK])


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN", "RNN relu", "LSTM projected"])
def test_torch_computes_the_same(kind: str) -> None:
    torch = pytest.importorskip("torch")
    cell, _, setting = kind.partition(" ")
    settings: dict[str, Any] = {"relu": {"nonlinearity": "relu"}, "projected": {"proj_size": 2}}.get(setting, {})
    module = getattr(torch.nn, cell)(3, 4, batch_first=True, bidirectional=True, dtype=torch.float64, **settings)
    x = torch.from_numpy(floats(2, 6, 3)).requires_grad_()
    start = [torch.from_numpy(floats(2, 2, 2 if "proj_size" in settings and n == 0 else 4)) for n in range(2)]
    states = tuple(one.requires_grad_() for one in start)
    out, last = module(x, states if cell == "LSTM" else states[0])
    grad = torch.from_numpy(floats(*out.shape))
    out.backward(grad)
    dx = np.zeros(x.shape)
    for number, suffix in enumerate(("", "_reverse")):
        weights = {name: getattr(module, f"{name}_l0{suffix}") for name in _names(module, settings)}
        arrays = {name: one.detach().numpy() for name, one in weights.items()}
        operation = operation_of(
            "Recurrent",
            {
                "cell": cell,
                "reverse": number == 1,
                "activations": (operation_of("Relu", {}),) if setting == "relu" else (),
            },
        )
        h0, c0 = (one[number].detach().numpy() for one in states)
        inputs = [
            x.detach().numpy(),
            arrays["weight_ih"],
            arrays["weight_hh"],
            arrays["bias_ih"],
            arrays["bias_hh"],
            None,
            h0,
            c0 if cell == "LSTM" else None,
            None,
            arrays.get("weight_hr"),
        ]
        (h, h_T, *_), backward = operation.forward(Execution(dtype=np.float64), *inputs)
        width = h.shape[2]
        np.testing.assert_allclose(h, out[..., number * width : (number + 1) * width].detach(), atol=1e-12)
        of_torch = last[0][number] if cell == "LSTM" else last[number]
        np.testing.assert_allclose(h_T, of_torch.detach(), atol=1e-12)
        grads = backward(grad[..., number * width : (number + 1) * width].numpy(), *(None,) * (2 if _ else 1))
        dx += grads[0]
        for place, name in ((1, "weight_ih"), (2, "weight_hh"), (3, "bias_ih"), (4, "bias_hh"), (9, "weight_hr")):
            if name in weights:
                np.testing.assert_allclose(grads[place], weights[name].grad.numpy(), atol=1e-10, err_msg=name)
        np.testing.assert_allclose(grads[6], states[0].grad[number].numpy(), atol=1e-10)
    np.testing.assert_allclose(dx, x.grad.numpy(), atol=1e-10)


def _names(module: Any, settings: dict[str, Any]) -> list[str]:
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    return [*names, "weight_hr"] if "proj_size" in settings else names
