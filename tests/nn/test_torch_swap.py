"""One template over torch.nn.LSTM and gatewise's `LSTM`: the behaviours they share, and those of docs/torch.md that
differ.
"""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.jit.frontend import NotSupportedError
from torch.nn.utils.rnn import pack_sequence

from gatewise.errors import InputError
from gatewise.nn import LSTM

PAGE = Path(__file__).parents[2] / "docs" / "torch.md"
Class = Any  # torch.nn.LSTM or LSTM
both = pytest.mark.parametrize("kind", [torch.nn.LSTM, LSTM], ids=["torch", "gatewise"])

X = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(1))
ZERO = torch.zeros(1, 2, 5)


# Behaviours that are equal.


@both
def test_takes_torchs_state_dict(kind: Class) -> None:
    """Alone and in a model, strict or not, on "meta" with assign: the predictions are those of the module it is of."""
    source = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LSTM(3, 5, 2, bidirectional=True))
    wanted = source(X)[0]
    for strict in (True, False):
        model = torch.nn.Sequential(torch.nn.Linear(3, 3), kind(3, 5, 2, bidirectional=True))
        result = model.load_state_dict(source.state_dict(), strict=strict)
        assert not result.missing_keys
        assert not result.unexpected_keys
        assert torch.allclose(model(X)[0], wanted, atol=1e-6)
    alone = kind(3, 5, 2, bidirectional=True, device="meta")
    alone.load_state_dict(source[1].state_dict(), assign=True)
    assert torch.allclose(alone(source[0](X))[0], wanted, atol=1e-6)


@both
def test_a_state_dict_that_does_not_fit(kind: Class) -> None:
    state = torch.nn.LSTM(3, 5).state_dict()
    del state["bias_hh_l0"]
    with pytest.raises(RuntimeError, match=r"bias_hh_l0|bias_ih_l0"):
        kind(3, 5).load_state_dict(state)
    with pytest.raises(RuntimeError, match="size mismatch"):
        kind(3, 5).load_state_dict(torch.nn.LSTM(3, 4).state_dict(), strict=False)
    assert kind(3, 5, bias=False).load_state_dict(torch.nn.LSTM(3, 5).state_dict(), strict=False).unexpected_keys


@both
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_weights(kind: Class, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    wide = kind(3, 5, 2)
    half = kind(3, 5, 2, dtype=dtype)
    half.load_state_dict(wide.state_dict())
    output, states = half(X.to(dtype), (torch.zeros(2, 2, 5, dtype=dtype), torch.zeros(2, 2, 5, dtype=dtype)))
    assert {part.dtype for part in (output, *states)} == {dtype}
    assert torch.allclose(output.float(), wide(X)[0], atol=0.02)
    output.sum().backward()
    assert half.weight_ih_l0.grad.dtype == dtype


@both
@pytest.mark.parametrize("form", ["batch", "states", "packed", "double"])
def test_autocast(kind: Class, form: str) -> None:
    """After a Linear, whose result is bfloat16; with initial states of either dtype; float64 stays."""
    torch.manual_seed(0)
    dtype = torch.float64 if form == "double" else torch.float32
    linear, lstm = torch.nn.Linear(3, 3, dtype=dtype), kind(3, 5, dtype=dtype)
    x = X.to(dtype)
    wanted = lstm(linear(x))[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        if form == "packed":
            output = lstm(pack_sequence([linear(x[:, 0]), linear(x[:, 1])]))[0].data.view(4, 2, 5)
        elif form == "double":
            output = lstm(x)[0]
            wanted = lstm(x)[0]
        else:
            states = (ZERO, ZERO.bfloat16()) if form == "states" else None
            output = lstm(linear(x), states)[0]
    assert output.dtype == (torch.float64 if form == "double" else torch.bfloat16)
    assert torch.allclose(output.to(dtype), wanted, atol=0.03)
    output.sum().backward()
    assert lstm.weight_hh_l0.grad.dtype == dtype


@both
def test_gradients_of_functions(kind: Class) -> None:
    """torch.func.grad and jacrev, also twice and of the parameters, equal autograd."""
    torch.manual_seed(0)
    lstm, x = kind(3, 5, 2, bidirectional=True, dtype=torch.float64), X.double()
    func = torch.func

    def total(parameters: dict[str, Tensor]) -> Tensor:
        value: Tensor = func.functional_call(lstm, parameters, (x,))[0].square().sum()
        return value

    named = dict(lstm.named_parameters())
    wanted = torch.autograd.grad(total(named), list(named.values()))
    for got, want in zip(func.grad(total)(named).values(), wanted, strict=True):
        assert torch.allclose(got, want, atol=1e-12)
    found = func.jacrev(lambda y: lstm(y)[0].square().sum((0, 1)))(x)
    assert torch.allclose(found, torch.autograd.functional.jacobian(lambda y: lstm(y)[0].square().sum((0, 1)), x))
    short = x[:2, :1]
    twice = func.jacrev(func.jacrev(lambda y: lstm(y)[0].square().sum()))(short)
    assert torch.allclose(twice, torch.autograd.functional.hessian(lambda y: lstm(y)[0].square().sum(), short))


@both
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_torchs_own_module_inputs(kind: Class, bias: bool, batch_first: bool, bidirectional: bool) -> None:
    """The inputs of torch's tests of LSTM (torch.testing._internal.common_modules) without projections: first and
    second derivatives of one sequence, with and without states, and equality with a batch of one.
    """
    torch.manual_seed(0)
    lstm = kind(2, 3, 2, bias, batch_first, bidirectional=bidirectional, dtype=torch.float64)
    runs = 4 if bidirectional else 2
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    states = [torch.randn(runs, 3, dtype=torch.float64, requires_grad=True) for _ in "hc"]

    def run(x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        output, last = lstm(x, states or None)
        return output, *last

    for given in ((x[:2].detach().requires_grad_(),), (x, *states)):
        assert torch.autograd.gradcheck(run, given, fast_mode=True)
        assert torch.autograd.gradgradcheck(run, given, fast_mode=True)
    axis = 0 if batch_first else 1
    batched = lstm(x.unsqueeze(axis), (states[0].unsqueeze(1), states[1].unsqueeze(1)))[0].squeeze(axis)
    assert torch.allclose(run(x, *states)[0], batched)


@both
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # of torch itself, where a graph breaks
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_packed_sequence_compiles(kind: Class) -> None:
    torch.compiler.reset()
    lstm = kind(3, 5)
    packed = pack_sequence([X[:2, 0], X[:, 1]], enforce_sorted=False)
    compiled = torch.compile(lstm, backend="aot_eager")
    wanted, got = lstm(packed), compiled(packed)
    assert torch.equal(got[0].data, wanted[0].data)
    assert torch.equal(got[1][1], wanted[1][1])


def _of_inference() -> Tensor:
    with torch.inference_mode():
        return X + 1


WRONG_CALLS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "features": ("input: expected", lambda lstm: lstm(torch.zeros(4, 2, 4))),
    "one axis": ("input: expected", lambda lstm: lstm(torch.zeros(3))),
    "four axes": ("input: expected", lambda lstm: lstm(torch.zeros(1, 1, 1, 3))),
    "float64": ("input is torch.float64, the weights are torch.float32", lambda lstm: lstm(X.double())),
    "integers": ("input is torch.int64", lambda lstm: lstm(X.long())),
    "batch of h_0": ("h_0: expected", lambda lstm: lstm(X, (torch.zeros(1, 3, 5), ZERO))),
    "axes of c_0": ("c_0: expected", lambda lstm: lstm(X, (ZERO, ZERO[0]))),
    "dtype of h_0": ("h_0 is torch.float64", lambda lstm: lstm(X, (ZERO.double(), ZERO))),
    "states of a batch for one sequence": ("h_0: expected 2 axes", lambda lstm: lstm(X[:, 0], (ZERO, ZERO))),
    "an inference tensor in training": ("input is an inference tensor", lambda lstm: lstm(_of_inference())),
    "three states": ("hx: expected the tuple", lambda lstm: lstm(X, (ZERO, ZERO, ZERO))),
}
WRONG_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "hidden_size": (0, 2.5),
    "input_size": (-1, "a"),
    "num_layers": (0,),
    "dropout": (2, True),
    "bias": (1,),
    "batch_first": (1,),
    "proj_size": (5, -1),
}


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_raises_as_torch_does(name: str) -> None:
    """Code that catches what torch.nn.LSTM raises catches ours."""
    message, call = WRONG_CALLS[name]
    with pytest.raises((RuntimeError, ValueError)) as wanted:
        call(torch.nn.LSTM(3, 5))
    with pytest.raises(wanted.type, match=message) as got:
        call(LSTM(3, 5))
    assert isinstance(got.value, InputError)


@pytest.mark.parametrize("name", WRONG_ARGUMENTS)
def test_arguments_are_refused_as_in_torch(name: str) -> None:
    for value in WRONG_ARGUMENTS[name]:
        arguments = {"input_size": 3, "hidden_size": 5, "num_layers": 2} | {name: value}
        with pytest.raises((TypeError, ValueError)) as wanted:
            torch.nn.LSTM(**arguments)
        with pytest.raises(wanted.type, match=name) as got:
            LSTM(**arguments)
        assert isinstance(got.value, InputError)


@both
def test_constructor(kind: Class) -> None:
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last recurrent layer"):
        kind(3, 5, dropout=0.5)
    lstm = kind(3, 5, 2, True, False, 0.0, True, 0, None, torch.float64)
    assert lstm.weight_ih_l0.dtype == torch.float64
    assert lstm.proj_size == 0
    assert [parameter for one in lstm.all_weights for parameter in one] == list(lstm.parameters())
    lstm.flatten_parameters()
    assert lstm.mode == "LSTM"


@both
def test_a_trace_passes_its_own_check(kind: Class) -> None:
    for lstm in (kind(3, 5, 2, bidirectional=True), kind(3, 5, batch_first=True).eval()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated
            traced = torch.jit.trace(lstm, X)
        assert torch.allclose(traced(X)[0], lstm(X)[0], atol=1e-6)
        x = X.clone().requires_grad_()
        grads = [torch.autograd.grad(one(x)[0].square().sum(), x)[0] for one in (traced, lstm)]
        assert torch.allclose(*grads, atol=1e-5)


# Behaviours that differ: what happens with torch.nn.LSTM, and what with gatewise's. Each is a row of docs/torch.md.


def exported(kind: Class) -> Any:
    lstm = kind(3, 5)
    program = torch.export.export(lstm, (X,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    for steps in (1, 4, 9):
        x = torch.randn(steps, 2, 3)
        assert torch.allclose(program.module()(x)[0], lstm(x)[0], atol=1e-6)
    return "works"


def compiled_with_dynamic_time(kind: Class) -> Any:
    torch.compiler.reset()
    lstm = kind(3, 5)
    compiled = torch.compile(lstm, backend="aot_eager", fullgraph=True, dynamic=True)
    for steps in (4, 7, 9):
        x = torch.randn(steps, 2, 3, requires_grad=True)
        got, want = (torch.autograd.grad(call(x)[0].square().sum(), x)[0] for call in (compiled, lstm))
        assert torch.allclose(got, want, atol=1e-6)
    return "works"


def optimiser_state(kind: Class) -> Any:
    source, target = torch.nn.LSTM(3, 5), kind(3, 5)
    torch.optim.Adam(target.parameters()).load_state_dict(torch.optim.Adam(source.parameters()).state_dict())
    return "loads"


def half_of_a_bias(kind: Class) -> Any:
    state = torch.nn.LSTM(3, 5).state_dict()
    del state["bias_hh_l0"]
    return kind(3, 5).load_state_dict(state, strict=False).missing_keys


def forget_bias(kind: Class) -> Any:
    biases = [parameter for name, parameter in kind(3, 50).named_parameters() if name.startswith("bias")]
    return float(sum(biases).detach()[50:100].mean()) == 1  # type: ignore[union-attr]


def float16_autocast(kind: Class) -> Any:
    with torch.autocast("cpu", dtype=torch.float16):
        return kind(3, 5)(X)[0].dtype


DIFFERENCES: dict[str, tuple[Callable[[Class], Any], Any, Any]] = {
    "projections": (lambda kind: type(kind(3, 5, proj_size=2)).__name__, "LSTM", InputError),
    "one bias": (
        lambda kind: [name for name, _ in kind(3, 5).named_parameters() if "bias" in name],
        ["bias_ih_l0", "bias_hh_l0"],
        ["bias_l0"],
    ),
    "all_weights": (lambda kind: [len(one) for one in kind(3, 5, 2).all_weights], [4, 4], [3, 3]),
    "half of a bias": (half_of_a_bias, ["bias_hh_l0"], RuntimeError),
    "one tensor as hx": (lambda kind: kind(3, 5)(X, ZERO), IndexError, InputError),
    "batch_first output": (lambda kind: kind(3, 5, batch_first=True)(X)[0].is_contiguous(), False, True),
    "optimiser state": (optimiser_state, "loads", ValueError),
    "initial values": (forget_bias, False, True),
    "isinstance": (lambda kind: isinstance(kind(3, 5), torch.nn.LSTM), True, False),
    "no steps": (lambda kind: tuple(kind(3, 5)(X[:0])[0].shape), RuntimeError, (0, 2, 5)),
    "float16 autocast": (float16_autocast, RuntimeError, torch.float16),
    "TorchScript": (
        lambda kind: type(torch.jit.script(kind(3, 5))).__name__,
        "RecursiveScriptModule",
        NotSupportedError,
    ),
    "vmap": (lambda kind: tuple(torch.func.vmap(kind(3, 5))(X[None])[0].shape), RuntimeError, (1, 4, 2, 5)),
    "export with dynamic time": (exported, Exception, "works"),
    "compile as one graph": (compiled_with_dynamic_time, Exception, "works"),
}


@both
@pytest.mark.parametrize("name", DIFFERENCES)
def test_differs(kind: Class, name: str) -> None:
    run, of_torch, of_ours = DIFFERENCES[name]
    wanted = of_ours if kind is LSTM else of_torch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch: TorchScript is deprecated, no batching rule
        if isinstance(wanted, type) and issubclass(wanted, Exception):
            with pytest.raises(wanted):
                run(kind)
        else:
            assert run(kind) == wanted


def test_the_page_lists_these_differences() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| [^|]+ \| [^|]+ \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows[1:] == list(DIFFERENCES)  # after the heading
