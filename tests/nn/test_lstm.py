"""`LSTM` against torch.nn.LSTM: every form of the call, outputs and all gradients."""

import copy
import io
import os
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

from gatewise import kernels
from gatewise.errors import InputError, KernelUnavailable
from gatewise.nn import LSTM, from_torch
from tests.children import status_of
from tests.refusals import assert_refused

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def pair(seed: int = 0, dtype: torch.dtype = torch.float64, **how: Any) -> tuple[LSTM, torch.nn.LSTM]:
    torch.manual_seed(seed)
    theirs = torch.nn.LSTM(**{"input_size": 3, "hidden_size": 5, **how}, dtype=dtype)
    return from_torch(theirs), theirs


def close(got: Tensor, wanted: Tensor, tolerance: float, what: str) -> None:
    assert got.shape == wanted.shape, f"{what}: {got.shape}, expected {wanted.shape}"
    got, wanted = got.detach(), wanted.detach()
    off = float((got - wanted).abs().max()) if got.numel() else 0.0
    limit = tolerance * max(float(wanted.abs().max()) if wanted.numel() else 0.0, 1e-3)
    assert off <= limit, f"{what}: off by {off:.3g}, allowed {limit:.3g}"


def same(ours: LSTM, theirs: torch.nn.LSTM, x: Any, hx: Any, tolerance: float) -> None:
    """Outputs, states, and the gradients of input, initial states and weights from a random loss on all of them."""
    results, gradients = [], []
    for module in (ours, theirs):
        module.zero_grad()
        data = (x.data if isinstance(x, PackedSequence) else x).detach().clone().requires_grad_()
        given = x._replace(data=data) if isinstance(x, PackedSequence) else data
        states = None if hx is None else tuple(state.detach().clone().requires_grad_() for state in hx)
        output, (h_n, c_n) = module(given, states)
        if isinstance(x, PackedSequence):
            for field in ("batch_sizes", "sorted_indices", "unsorted_indices"):
                assert getattr(output, field) is getattr(x, field)
            output = output.data
        results.append((output, h_n, c_n))
        torch.manual_seed(1)
        weights = [torch.randn_like(part) for part in (torch.empty_like(output).contiguous(), h_n, c_n)]
        sum((part * weight).sum() for part, weight in zip((output, h_n, c_n), weights, strict=True)).backward()
        leaves = {"input": data}
        if states is not None:
            leaves |= {"h_0": states[0], "c_0": states[1]}
        named = {name.replace("bias_ih", "bias"): parameter for name, parameter in module.named_parameters()}
        leaves |= {name: leaf for name, leaf in named.items() if not name.startswith("bias_hh")}
        gradients.append({name: leaf.grad for name, leaf in leaves.items()})
    for name, got, wanted in zip(("output", "h_n", "c_n"), *results, strict=True):
        close(got, wanted, tolerance, name)
    assert gradients[0].keys() == gradients[1].keys()
    for name, got in gradients[0].items():
        close(got, gradients[1][name], tolerance, f"gradient of {name}")


shapes = {
    "seed": st.integers(0, 2**20),
    "batch": st.integers(1, 9),
    "units": st.integers(1, 33),
    "inputs": st.integers(1, 6),
    "layers": st.integers(1, 3),
    "both": st.booleans(),
    "bias": st.booleans(),
    "given_states": st.booleans(),
    "dtype": st.sampled_from([torch.float32, torch.float64]),
}


def states_of(module: Any, batch: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    shape = module.num_layers * (2 if module.bidirectional else 1), batch, module.hidden_size
    return torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype)


def drawn(one: dict[str, Any], batch_first: bool = False) -> tuple[LSTM, torch.nn.LSTM]:
    """Both modules of a drawn shape."""
    names = {"input_size": "inputs", "hidden_size": "units", "num_layers": "layers", "bidirectional": "both"}
    how = {name: one[key] for name, key in names.items()}
    return pair(one["seed"], one["dtype"], bias=one["bias"], batch_first=batch_first, **how)


@pytest.mark.parametrize("form", ["padded", "batch_first", "packed", "packed, sorted"])
@settings(max_examples=15, derandomize=True)
@given(one=st.fixed_dictionaries(shapes), data=st.data())
def test_it_computes_what_torch_computes(form: str, one: dict[str, Any], data: st.DataObject) -> None:
    ours, theirs = drawn(one, form == "batch_first")
    batch, dtype, x = one["batch"], one["dtype"], None
    if "packed" in form:
        lengths = data.draw(st.lists(st.integers(1, 12), min_size=batch, max_size=batch))
        lengths = sorted(lengths, reverse=True) if "sorted" in form else lengths
        sequences = [torch.randn(length, one["inputs"], dtype=dtype) for length in lengths]
        x = pack_sequence(sequences, enforce_sorted="sorted" in form)
    else:
        x = torch.randn(data.draw(st.integers(1, 20)), batch, one["inputs"], dtype=dtype)
        x = x.transpose(0, 1) if form == "batch_first" else x
    same(ours, theirs, x, states_of(ours, batch, dtype) if one["given_states"] else None, TOLERANCE[dtype])


def test_no_steps_and_no_sequences() -> None:
    ours, _ = pair(num_layers=2, bidirectional=True)
    states = states_of(ours, 4, torch.float64)
    output, (h_n, c_n) = ours(torch.randn(0, 4, 3, dtype=torch.float64), states)
    assert output.shape == (0, 4, 10)
    assert torch.equal(h_n, states[0])
    assert torch.equal(c_n, states[1])
    output, (h_n, _) = ours(torch.randn(6, 0, 3, dtype=torch.float64))
    assert output.shape == (6, 0, 10)
    assert h_n.shape == (4, 0, 5)


def test_dropout_between_layers() -> None:
    """At probability 1 the second layer sees zeros; in evaluation dropout does nothing."""
    torch.manual_seed(0)
    ours = LSTM(3, 5, num_layers=2, dropout=1.0, dtype=torch.float64)
    x, zeros = torch.randn(4, 2, 3, dtype=torch.float64), torch.zeros(4, 2, 5, dtype=torch.float64)
    top = LSTM(5, 5, dtype=torch.float64)
    top.load_state_dict({n.replace("_l1", "_l0"): p for n, p in ours.state_dict().items() if n.endswith("_l1")})
    assert torch.equal(ours(x)[0], top(zeros)[0])
    assert not torch.equal(ours.eval()(x)[0], top(zeros)[0])
    half = LSTM(3, 40, num_layers=2, dropout=0.5).train()
    assert not torch.equal(half(x.float())[0], half(x.float())[0])


def test_starts_as_in_keras() -> None:
    torch.manual_seed(0)
    assert sum(parameter.numel() for parameter in LSTM(32, 100).parameters()) == 53_200  # the tutorial's layer
    lstm = LSTM(32, 100, num_layers=2, bidirectional=True)
    for name, parameter in lstm.named_parameters():
        values = parameter.detach()
        if name.startswith("bias"):
            wanted = torch.zeros(400)
            wanted[100:200] = 1
            assert torch.equal(values, wanted)
        elif name.startswith("weight_hh"):
            assert torch.allclose(values.T @ values, torch.eye(100), atol=1e-5)
        else:
            limit = np.sqrt(6 / (values.shape[0] + values.shape[1]))
            assert 0.99 * limit < float(values.abs().max()) <= limit
            assert abs(float(values.std()) - limit / np.sqrt(3)) < 0.01 * limit


def test_a_forked_child_constructs_one() -> None:
    """torch's QR would wait there for threads that only the parent has."""
    LSTM(100, 256)
    child = os.fork()
    if child == 0:
        LSTM(100, 256)
        os._exit(0)
    assert status_of(child) == 0


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's own use of it
def test_forward_mode_derivatives_are_refused() -> None:
    """They would be 0."""
    ours, x, states = LSTM(3, 5), torch.randn(4, 2, 3), torch.zeros(1, 2, 5)
    for name, call, at in (
        ("x", lambda x: ours(x)[0], x),
        ("c0", lambda c: ours(x, (states, c))[0], states),
        ("weight_hh", lambda w: torch.func.functional_call(ours, {"weight_hh_l0": w}, (x,))[0], ours.weight_hh_l0),
    ):
        message = rf"{name} has a forward-mode derivative \(torch.func.jvp, jacfwd\).* reverse mode"
        assert_refused(message, torch.func.jvp, call, (at,), (at,))
        assert_refused(message, torch.func.jacfwd(call), at)
    with forward_ad.dual_level(), pytest.raises(InputError, match="x has a forward-mode derivative"):
        ours(forward_ad.make_dual(x, x))
    with forward_ad.dual_level():
        ours(x)  # nothing to differentiate


def test_state_dict_and_copies() -> None:
    lstm, other = LSTM(3, 5, num_layers=2, bidirectional=True), LSTM(3, 5, num_layers=2, bidirectional=True)
    kinds = ("weight_ih", "weight_hh", "bias")
    assert list(lstm.state_dict()) == [f"{k}_l{n}{way}" for n in (0, 1) for way in ("", "_reverse") for k in kinds]
    x = torch.randn(4, 2, 3)
    wanted = lstm(x)[0]
    other.load_state_dict(lstm.state_dict())
    stream = io.BytesIO()
    torch.save(lstm, stream)
    stream.seek(0)
    loaded = torch.load(stream, weights_only=False)
    for twin in (other, copy.deepcopy(lstm), loaded):
        assert torch.equal(twin(x)[0], wanted)
    assert torch.allclose(lstm.double()(x.double())[0].float(), wanted, atol=1e-6)


def test_binary_gates() -> None:
    """Output is o tanh(c) with o in {0, 1}: a unit shows its memory or nothing."""
    lstm = LSTM(3, 5, batch_first=True, gate="binary")
    assert repr(lstm) == "LSTM(3, 5, batch_first=True, gate='binary')"
    output, (_, c_n) = lstm(torch.randn(2, 7, 3))
    assert (torch.isclose(output[:, -1], c_n[0].tanh()) | (output[:, -1] == 0)).all()


FORMS = ("padded", "batch_first", "packed", "one", "ragged")


def form(name: str, device: str | None = None) -> tuple[Any, dict[str, Any], int]:
    """An input of each form, further arguments, and its number of sequences (0 for a single one)."""
    x = torch.randn(4, 3, 3, dtype=torch.float64)
    if name == "packed":
        return pack_padded_sequence(x, torch.tensor([2, 4, 1]), enforce_sorted=False), {}, 3
    if name == "ragged":
        return torch.randn(9, 3, dtype=torch.float64), {"lengths": torch.tensor([3, 0, 5, 1, 0])}, 5
    return (x[:, 0], {}, 0) if name == "one" else (x, {}, 4 if name == "batch_first" else 3)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_the_fallback_equals_the_kernels(name: str, bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's LSTM, which runs on other devices, gives equal results and gradients of all weights on the CPU."""
    torch.manual_seed(0)
    lstm = LSTM(3, 5, 2, bias, bidirectional=True, batch_first=name == "batch_first", dtype=torch.float64)
    x, how, batch = form(name)
    states = states_of(lstm, batch or 1, torch.float64)
    if not batch:
        states = states[0][:, 0], states[1][:, 0]
    runs = [lstm(x, states, **how)]
    monkeypatch.setattr(sys.modules[LSTM.__module__], "_runs_kernels", lambda data: False)
    runs.append(lstm(x, states, **how))
    slopes = []
    for output, (h_n, c_n) in runs:
        rows = output.data if isinstance(output, PackedSequence) else output
        total = rows.sin().sum() + h_n.sin().sum() + (c_n * h_n).sum()
        slopes.append(torch.autograd.grad(total, list(lstm.parameters())))
        close(rows, runs[0][0].data, 1e-10, "output")
        close(h_n, runs[0][1][0], 1e-10, "h_n")
        close(c_n, runs[0][1][1], 1e-10, "c_n")
    for got, wanted in zip(*slopes, strict=True):
        close(got, wanted, 1e-10, "gradient")


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_the_fallback_has_the_dtype_of_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[LSTM.__module__], "_runs_kernels", lambda data: False)
    # Not by oneDNN, whose LSTM in bfloat16 needs AVX-512: torch.nn.LSTM fails there too.
    with torch.backends.mkldnn.flags(enabled=False), torch.autocast("cpu", dtype=torch.bfloat16):
        output, states = LSTM(3, 5)(torch.randn(4, 2, 3))
    assert {one.dtype for one in (output.data, *states)} == {torch.bfloat16}


@pytest.mark.parametrize("name", FORMS)
def test_another_device(name: str) -> None:
    """On 'meta' there is nothing to compare but shapes; that it arrives there shows which way it went."""
    lstm = LSTM(3, 5, 2, bidirectional=True, batch_first=name == "batch_first", device="meta", dtype=torch.float64)
    on_cpu = LSTM(3, 5, 2, bidirectional=True, batch_first=name == "batch_first", dtype=torch.float64)
    x, how, _ = form(name)
    there = x._replace(data=x.data.to("meta"), sorted_indices=None, unsorted_indices=None) if name == "packed" else None
    output, (h_n, c_n) = lstm(x.to("meta") if there is None else there, **how)
    wanted, (h_w, c_w) = on_cpu(x, **how)
    assert output.data.device.type == "meta"
    assert output.data.shape == wanted.data.shape
    assert h_n.shape == h_w.shape
    assert c_n.shape == c_w.shape


def test_refused() -> None:
    ours, x = LSTM(3, 5), torch.zeros(4, 2, 3)
    wrong = [
        ("input is torch.complex64", lambda: LSTM(3, 5, dtype=torch.complex64)(x.to(torch.complex64))),
        ("lengths sum to 3", lambda: ours(x[:, 0], lengths=torch.tensor([3]))),
        ("lengths: sequence 0 has", lambda: ours(x[:0, 0], lengths=torch.tensor([2**62] * 4))),
        ("lengths: sequence 1 has a negative length", lambda: ours(x[:, 0], lengths=torch.tensor([5, -1]))),
        ("lengths: expected", lambda: ours(x[:, 0], lengths=torch.tensor([[4]]))),
        ("a PackedSequence has its own", lambda: ours(pack_sequence([x[:, 0]]), lengths=torch.tensor([4]))),
        ("input: expected", lambda: ours(x, lengths=torch.tensor([4]))),
        ("gate", lambda: LSTM(3, 5, gate="soft")),  # type: ignore[arg-type]
        (r"recurrent_dropout must be a probability, not '1\.5'", lambda: LSTM(3, 4, recurrent_dropout=1.5)),
        ("precision must be 'float32' or 'bf16', not 'fp8'", lambda: LSTM(3, 4, precision="fp8")),
        ("on the CPU only", lambda: LSTM(3, 5, gate="binary", device="meta")(x.to("meta"))),
        ("on the CPU only", lambda: LSTM(3, 5, recurrent_dropout=0.5, device="meta")(x.to("meta"))),
        ("on the CPU only", lambda: LSTM(3, 5, precision="bf16", device="meta")(x.to("meta"))),
        ("lengths sum to 3", lambda: LSTM(3, 5, device="meta")(x[:, 0].to("meta"), lengths=torch.tensor([3]))),
    ]
    for message, call in wrong:
        assert_refused(message, call)


HERE = kernels.unavailable_reason("bf16") is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_units_are_dropped_at_every_step(dtype: torch.dtype) -> None:
    """Each sequence has a mask of its own, which drops columns of the recurrent weights."""
    torch.manual_seed(3)
    lstm = LSTM(4, 11, batch_first=True, recurrent_dropout=0.4, dtype=dtype)
    plain, named = LSTM(4, 11, batch_first=True, dtype=dtype), dict(lstm.named_parameters())
    x = torch.randn(5, 7, 4, dtype=dtype)
    torch.manual_seed(8)
    masks = torch.nn.functional.dropout(torch.ones(5, 11, dtype=dtype), 0.4)
    torch.manual_seed(8)
    output, _ = lstm(x)
    dropped = [named | {"weight_hh_l0": lstm.weight_hh_l0 * mask} for mask in masks]
    alone = [torch.func.functional_call(plain, dropped[n], (x[n : n + 1],))[0] for n in range(5)]
    wanted = torch.cat(alone)
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
