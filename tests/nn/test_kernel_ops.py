"""The torch operators: autograd, saved activations that serve once, compilation, refused arguments."""

from typing import Any

import pytest
import torch
from torch import Tensor, library

from gatewise.kernels import LSTMCall, get
from gatewise.kernels.interface import Kernel
from gatewise.kernels.reference import Reference
from gatewise.nn import kernel_ops, lstm
from gatewise.nn.kernel_ops import project
from tests.kernels.cases import Case, case, want
from tests.kernels.close import BACKWARD, FORWARD, TOLERANCE, assert_close
from tests.refusals import assert_refused

LEAVES = ("pre", "weight_hh", "h0", "c0")


def tensors(one: Case, dtype: torch.dtype, grad: bool = True) -> dict[str, Any]:
    arrays = {name: None if array is None else torch.from_numpy(array.copy()) for name, array in one.arrays().items()}
    for name in LEAVES:
        arrays[name] = arrays[name].to(dtype).requires_grad_(grad)
    return arrays


def loss(one: Case, arrays: dict[str, Any], used: str = "dh dc dh_T dc_T") -> Tensor:
    states = lstm(**arrays, reverse=one.reverse, gate=one.gate)
    parts = [getattr(states, name[1:]) * torch.from_numpy(getattr(one, name)) for name in used.split()]
    return torch.stack([part.sum().double() for part in parts]).sum()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    "one", [case(3, 7, False, "sigmoid", True), case(17, 16, True), case(3, 16, True, "binary", True)], ids=str
)
def test_results_and_gradients(one: Case, dtype: torch.dtype) -> None:
    arrays = tensors(one, dtype)
    wanted, wanted_back = want(one)
    name = str(dtype).removeprefix("torch.")
    states = lstm(**arrays, reverse=one.reverse, gate=one.gate)
    for result in FORWARD:
        assert_close(getattr(states, result).detach().numpy(), getattr(wanted, result), TOLERANCE[name], result)
    loss(one, arrays).backward()
    for result in BACKWARD:
        assert_close(arrays[result[1:]].grad.numpy(), getattr(wanted_back, result), TOLERANCE[name], result)


class RecordingKernel(Reference):
    """A reference kernel that overwrites its saved activations and records its calls."""

    consumes_saved = True

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.kept: list[bool] = []

    def forward(self, call: LSTMCall[Any], *, keep: bool = True) -> Any:
        self.kept.append(keep)
        return super().forward(call, keep=keep)

    def backward(self, saved: Any, *given: Any) -> Any:
        self.calls.append(given)
        gradients = super().backward(saved, *given)
        saved.packed_gates.fill(float("nan"))
        return gradients


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> RecordingKernel:
    kernel = RecordingKernel()

    def get_recording(name: str | None = None) -> Kernel:
        return kernel

    monkeypatch.setattr(kernel_ops, "get", get_recording)
    return kernel


def test_a_head_on_the_last_state_costs_no_zeros(recording: RecordingKernel) -> None:
    one = case(3, 7)
    loss(one, tensors(one, torch.float32), "dh_T").backward()
    [(dh, _, dc_T, dc)] = recording.calls
    assert dh is None
    assert dc is None
    assert not dc_T.any()


def test_without_gradients_nothing_is_saved(recording: RecordingKernel) -> None:
    one = case(3, 7)
    with torch.no_grad():
        lstm(**tensors(one, torch.float32), return_c=False)
    lstm(**tensors(one, torch.float32, grad=False), return_c=False)
    assert recording.kept == [False, False]
    assert lstm(**tensors(one, torch.float32, grad=False)).c.shape == (len(one.x), 7)


def test_backward_twice(recording: RecordingKernel) -> None:
    one = case(3, 7, True)
    arrays = tensors(one, torch.float32)
    total = loss(one, arrays)
    first = torch.autograd.grad(total, arrays["pre"], retain_graph=True)[0]
    second = torch.autograd.grad(total, arrays["pre"], retain_graph=True)[0]
    third = torch.autograd.grad(total, arrays["pre"])[0]
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(total, arrays["pre"])


def test_backward_twice_where_torch_cannot_say(recording: RecordingKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch._C._autograd, "_get_current_graph_task_keep_graph")
    test_backward_twice(recording)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("indexed", [False, True])
def test_second_derivatives(indexed: bool, reverse: bool, masked: bool) -> None:
    generator = torch.Generator().manual_seed(2)
    shapes = (4 if indexed else 5, 8), (8, 2), (3, 2), (3, 2)
    leaves = [torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in shapes]
    index = torch.tensor([0, 3, 1, 1, 2], dtype=torch.int32) if indexed else None
    mask = torch.rand(3, 2, generator=generator, dtype=torch.float64) if masked else None

    def run(pre: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        return lstm(pre, index, torch.tensor([3, 0, 2]), *rest, reverse=reverse, mask=mask)

    assert torch.autograd.gradgradcheck(run, leaves, fast_mode=True)


@pytest.mark.parametrize("one", [case(17, 16, True), case(3, 7, False, "binary", True)], ids=str)
def test_gradients_that_can_be_differentiated_are_equal(one: Case) -> None:
    """create_graph=True takes torch's operations, with the layout of the native kernel; binary gates as well."""
    gradients = []
    for create_graph in (False, True):
        arrays = tensors(one, torch.float32)
        gradients.append(torch.autograd.grad(loss(one, arrays), [arrays[n] for n in LEAVES], create_graph=create_graph))
    for name, plain, again in zip(LEAVES, *gradients, strict=True):
        assert torch.allclose(plain, again, rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_opcheck(dtype: torch.dtype) -> None:
    one = case(3, 7, False, "sigmoid", True)
    kernel = "reference" if dtype == torch.float64 else get().name
    order = ("pre", "index", "lengths", "weight_hh", "h0", "c0")
    arrays = [tensors(one, dtype)[name] for name in order]
    plain = [tensors(one, dtype, grad=False)[name] for name in order]
    # Without test_aot_dispatch_dynamic, which differentiates the gates too: `lstm` does not return them, and only the
    # second derivative, which no compiled graph has, differentiates it. test_torch_swap.py compiles the other results.
    utilities = ["test_schema", "test_autograd_registration", "test_faketensor"]
    library.opcheck(kernel_ops._lstm, (*arrays, None, False, "sigmoid", True, True, kernel), test_utils=utilities)
    library.opcheck(kernel_ops._lstm, (*plain, None, False, "sigmoid", False, False, kernel))
    h, c, h_T, _, gates = kernel_ops._lstm(*plain, torch.rand_like(plain[4]), False, "sigmoid", True, True, kernel)
    given = (torch.randn_like(h), None, None, h_T, len(plain[0]), False, "sigmoid", kernel)
    library.opcheck(kernel_ops._lstm_backward, (gates, *plain[1:], torch.rand_like(plain[4]), h, c, *given))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_project(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(4)
    shapes = ((7, 5), (12, 5), (12,), (7, 12))
    x, weight, bias, given = (torch.randn(s, generator=generator, dtype=dtype, requires_grad=True) for s in shapes)
    name = "reference" if dtype == torch.float64 else get().name
    library.opcheck(kernel_ops._project, (x, weight, bias, name))
    library.opcheck(kernel_ops._project_backward, (*(t.detach() for t in (x, weight, given)), True, name))
    wanted = torch.autograd.grad(torch.nn.functional.linear(x, weight, bias), (x, weight, bias), given)
    for got, there in zip(torch.autograd.grad(project(x, weight, bias), (x, weight, bias), given), wanted, strict=True):
        assert torch.allclose(got, there, rtol=1e-5, atol=1e-5)
    only = torch.autograd.grad(project(x.detach(), weight, bias), (weight, bias), given)
    assert torch.allclose(only[0], wanted[1], rtol=1e-5, atol=1e-5)


def test_refused() -> None:
    one = case(3, 7, False, "sigmoid", True)
    good = tensors(one, torch.float32)
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("pre is torch.float16", {"pre": good["pre"].half()}),
        ("h0 is torch.float64, pre is torch.float32", {"h0": good["h0"].double()}),
        ("weight_hh is on 'meta'", {"weight_hh": good["weight_hh"].to("meta")}),
        ("lengths is on 'meta'", {"lengths": good["lengths"].to("meta")}),
        ("c0: expected", {"c0": good["c0"][:-1]}),  # the kernel's own checks: tests/kernels/limits.py
    ]
    for message, changed in wrong:
        assert_refused(message, lstm, **{**good, **changed})


def test_the_operator_of_the_gradient_refuses_what_does_not_fit() -> None:
    """Programs can call it with any tensors. The checks are the kernel's: tests/kernels/test_memory.py."""
    lengths, weight, zeros = torch.tensor([5, 5, 5]), torch.randn(16, 4), torch.zeros(3, 4)
    forward = torch.ops.gatewise.lstm.default
    h, c, _, _, gates = forward(
        torch.randn(15, 16), None, lengths, weight, zeros, zeros, None, False, "sigmoid", True, True, get().name
    )
    arguments = {"packed_gates": gates, "index": None, "lengths": lengths, "weight_hh": weight, "h0": zeros}
    arguments |= {"c0": zeros, "mask": None, "h": h, "c": c, "dh": None, "dc": None, "dh_T": zeros, "dc_T": zeros}
    arguments |= {"pre_rows": 15, "reverse": False, "gate": "sigmoid", "kernel": get().name}
    torch.ops.gatewise.lstm_backward.default(**{**arguments, "packed_gates": gates.clone()})
    for change, message in (
        ({"h0": torch.zeros(1, 4)}, "h0: expected"),
        ({"pre_rows": 16}, "saved: 15 steps, 16 rows of pre"),
    ):
        assert_refused(message, torch.ops.gatewise.lstm_backward.default, **{**arguments, **change})
