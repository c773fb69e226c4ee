"""The layer as one autograd function: the bits of the operators, its derivatives, and when the operators run."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gatewise.nn import LSTM, eager_layer
from gatewise.nn.eager_layer import run_layer
from gatewise.nn.kernel_ops import lstm, project
from tests.refusals import assert_refused

LEAVES = ("x", "weight_ih", "bias", "weight_hh", "h0", "c0")


def arguments(dtype: torch.dtype, indexed: bool, masked: bool) -> dict[str, Any]:
    """Three sequences, the second without steps; 3 inputs, 5 units."""
    generator = torch.Generator().manual_seed(7)
    shapes = ((6, 3), (20, 3), (20,), (20, 5), (3, 5), (3, 5))
    tensors: dict[str, Any] = {}
    for name, shape in zip(LEAVES, shapes, strict=True):
        tensors[name] = torch.randn(shape, generator=generator, dtype=dtype, requires_grad=True)
    tensors["lengths"] = torch.tensor([4, 0, 2])
    tensors["index"] = None
    if indexed:
        tensors["index"] = torch.tensor([5, 0, 3, 3, 1, 2], dtype=torch.int32)
    tensors["mask"] = None
    if masked:
        tensors["mask"] = torch.tensor([[0.0, 2, 2, 0, 2]] * 3, dtype=dtype)
    return tensors


def by_operators(x: Tensor, weight_ih: Tensor, bias: Tensor, **rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    h, _, h_T, c_T = lstm(project(x, weight_ih, bias), **rest, return_c=False)
    return h, h_T, c_T


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("indexed", "masked"), [(False, False), (True, False), (False, True)])
def test_it_has_the_bits_of_the_operators(dtype: torch.dtype, reverse: bool, indexed: bool, masked: bool) -> None:
    tensors = arguments(dtype, indexed, masked)
    leaves = [tensors[name] for name in LEAVES]
    results = []
    for run in (run_layer, by_operators):
        states = run(**tensors, reverse=reverse)
        output_gradients = [torch.linspace(-1, 2, state.numel(), dtype=dtype).view_as(state) for state in states]
        results.append([*states, *torch.autograd.grad(states, leaves, output_gradients)])
    # The gradients of the input product are summed in another order where the kernel computes them with the recurrence.
    # The kernel of float64 does not, and none does with an index.
    reordered = set()
    if dtype == torch.float32 and not indexed:
        reordered = {"x", "weight_ih", "bias"}
    for name, eager, wanted in zip(("h", "h_T", "c_T", *LEAVES), *results, strict=True):
        if name in reordered:
            assert torch.allclose(eager, wanted, rtol=1e-5, atol=1e-5), name
        else:
            assert torch.equal(eager, wanted), name
    with torch.no_grad():
        for eager, wanted in zip(run_layer(**tensors, reverse=reverse), results[1], strict=False):
            assert torch.equal(eager, wanted)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_first_and_second_derivatives(reverse: bool, masked: bool) -> None:
    tensors = arguments(torch.float64, False, masked)
    leaves = [tensors[name] for name in LEAVES]

    def run(*leaves: Tensor) -> tuple[Tensor, ...]:
        return tuple(run_layer(**{**tensors, **dict(zip(LEAVES, leaves, strict=True))}, reverse=reverse))

    assert torch.autograd.gradcheck(run, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, leaves, fast_mode=True)


@pytest.mark.parametrize("name", [*LEAVES, "lengths", "index"])
@pytest.mark.parametrize("run", [run_layer, by_operators])
def test_a_tensor_on_another_device_is_refused(run: Any, name: str) -> None:
    tensors = arguments(torch.float32, True, False)
    tensors[name] = tensors[name].to("meta")
    assert_refused(f"{name} is on 'meta': gatewise's kernels run on the CPU", run, **tensors)


@pytest.mark.parametrize("trained", LEAVES)
def test_one_gradient_alone(trained: str) -> None:
    tensors = arguments(torch.float32, False, False)
    loss = sum(state.square().sum() for state in run_layer(**tensors))
    wanted = torch.autograd.grad(loss, tensors[trained])[0]  # type: ignore[arg-type]
    for name in LEAVES:
        tensors[name] = tensors[name].detach().requires_grad_(name == trained)
    sum(state.square().sum() for state in run_layer(**tensors)).backward()  # type: ignore[union-attr]
    assert torch.equal(tensors[trained].grad, wanted)
    assert [name for name in LEAVES if tensors[name].grad is not None] == [trained]


def test_backward_twice() -> None:
    tensors = arguments(torch.float32, False, False)
    leaves = [tensors[name] for name in LEAVES]
    loss = run_layer(**tensors).h.square().sum()
    first = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True)
    second = torch.autograd.grad(loss, leaves, allow_unused=True)
    for gradient, same_gradient in zip(first, second, strict=True):
        assert torch.equal(gradient, same_gradient)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, leaves, allow_unused=True)


class Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_dispatch_mode_sees_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    """FakeTensorMode, make_fx and the counters of torch are such modes."""
    layer = LSTM(3, 5)
    with Operators() as seen:
        layer(torch.zeros(4, 2, 3))[0].sum().backward()
    wanted = {"project", "lstm", "lstm_backward", "project_backward"}
    assert wanted == {name.split(".")[1] for name in seen.names if name.startswith("gatewise.")}

    def must_not_run(*arguments: Any, **named: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(eager_layer, "project", must_not_run)
    layer(torch.zeros(4, 2, 3))
