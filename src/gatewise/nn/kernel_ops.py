"""The kernels as torch operators with gradients: `gatewise::lstm` and `gatewise::project`.

Tensors go to the kernel as NumPy views, without a copy. float32 runs `gatewise.kernels.get()`, float64 the reference.
`gatewise::lstm_backward` declares that it overwrites the saved gates, so torch raises an error if they are used twice;
where the graph is retained for another backward pass, it works on a copy. Where the gradient may itself be
differentiated, torch's operations compute it (`gatewise.nn.second_order`).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, library
from torch.autograd import forward_ad

from gatewise.errors import InputError
from gatewise.kernels import LSTMCall, get
from gatewise.kernels.saved_activations import SavedActivations
from gatewise.nn import second_order
from gatewise.types import Array, Gate


class LstmStates(NamedTuple):
    """Result of `lstm`: h and c of every step (N, H); h_T, c_T, the states after the last step (B, H)."""

    h: Tensor
    c: Tensor
    h_T: Tensor
    c_T: Tensor


def lstm(
    pre: Tensor,
    index: Tensor | None,
    lengths: Tensor,
    weight_hh: Tensor,
    h0: Tensor,
    c0: Tensor,
    *,
    reverse: bool = False,
    gate: Gate = "sigmoid",
    return_c: bool = True,
    mask: Tensor | None = None,
    kernel: str | None = None,
) -> LstmStates:
    """The LSTM recurrence over a ragged batch, with gradients for pre, weight_hh, h0 and c0 from all four results.

    The arguments up to `gate` and `mask` are those of `gatewise.kernels.LSTMCall`: pre (U, 4H), index (N,) int32 or
    None, lengths (B,) int64 with sum N, weight_hh (4H, H), h0, c0 (B, H), mask (B, H), which gets no gradient. All are
    on the CPU, float32 or float64. gate "binary" has a straight-through gradient. return_c=False: c may be
    empty (0, H), which saves memory where no gradient is recorded. kernel: one of `gatewise.kernels.NAMES`, for
    float32; None for the default one.

    Raises InputError for arguments that do not fit together, and for one with a forward-mode derivative
    (torch.func.jvp, jacfwd).

    >>> lengths = torch.tensor([2, 1])
    >>> h, c, h_T, c_T = lstm(torch.ones(3, 8), None, lengths, torch.ones(8, 2), torch.zeros(2, 2), torch.zeros(2, 2))
    >>> torch.equal(h[1], h_T[0]), torch.equal(h[2], h_T[1]), torch.equal(h[0], h[2])
    (True, True, True)
    """
    tensors = {"pre": pre, "weight_hh": weight_hh, "h0": h0, "c0": c0}
    if mask is not None:
        tensors["mask"] = mask
    kernel = kernel_for(kernel, tensors)
    check_on_cpu({"index": index, "lengths": lengths})
    # A trace is compared with one under no_grad, and may be differentiated.
    records = torch.is_grad_enabled() or torch._C._get_tracing_state() is not None
    keep = records and any(tensor.requires_grad for tensor in (pre, weight_hh, h0, c0))
    operator: Callable[..., Any] = _lstm
    if is_transformed():
        operator = _TransformedLstm.apply
        keep = True
    h, c, h_T, c_T, _ = operator(pre, index, lengths, weight_hh, h0, c0, mask, reverse, gate, keep, return_c, kernel)
    return LstmStates(h, c, h_T, c_T)


def is_transformed() -> bool:
    """Whether a transform of torch.func calls: grad, jacrev, vmap and others."""
    return bool(torch._C._are_functorch_transforms_active())


def kernel_for(requested: str | None, tensors: Mapping[str, Tensor]) -> str:
    """The name of the kernel for these tensors. Raises InputError where no kernel computes on them.

    torch.compile cannot trace `get`, so a compiled operator gets "" and looks the default kernel up when it runs.
    `torch.compiler.assume_constant_result` would make a constant of it, and import all of torch's compiler here.
    """
    _refuse_forward_mode(tensors)
    first = next(iter(tensors))
    dtype = tensors[first].dtype
    check_on_cpu(tensors)
    for name, tensor in tensors.items():
        if tensor.dtype not in (torch.float32, torch.float64):
            raise InputError(f"{name} is {tensor.dtype}: gatewise's kernels compute in float32 or float64")
        if tensor.dtype != dtype:
            raise InputError(f"{name} is {tensor.dtype}, {first} is {dtype}: their dtypes must be equal")
    if dtype == torch.float64:
        if requested not in (None, "reference"):
            raise InputError(f"kernel '{requested}' computes in float32, {first} is {dtype}")
        return "reference"
    if requested:
        return requested
    if torch.compiler.is_compiling():
        return ""
    return get().name


def check_on_cpu(tensors: Mapping[str, Tensor | None]) -> None:
    """Raise InputError, naming the tensor, unless all of them are on the CPU."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.device.type != "cpu":
            raise InputError(f"{name} is on '{tensor.device}': gatewise's kernels run on the CPU")


def _refuse_forward_mode(tensors: Mapping[str, Tensor]) -> None:
    """Raise InputError for an argument with a tangent: torch would drop it and return a derivative of 0."""
    if forward_ad._current_level < 0:
        return
    for name, tensor in tensors.items():
        if forward_ad.unpack_dual(tensor).tangent is not None:  # type: ignore[no-untyped-call]
            raise InputError(
                f"{name} has a forward-mode derivative (torch.func.jvp, jacfwd), which gatewise's kernels do not "
                "compute: use reverse mode, torch.autograd.grad or torch.autograd.functional.jacobian"
            )


def as_array(tensor: Tensor) -> Array:
    """The tensor as an array, without a copy where it is contiguous."""
    array: Array = tensor.detach().contiguous().numpy()
    return array


def arrays_of(**tensors: Tensor | None) -> dict[str, Any]:
    """The tensors as arrays by name; None stays None."""
    arrays: dict[str, Any] = dict(tensors)
    for name, tensor in tensors.items():
        if tensor is not None:
            arrays[name] = as_array(tensor)
    return arrays


@library.custom_op("gatewise::lstm", mutates_args=(), device_types="cpu")
def _lstm(
    pre: Tensor,
    index: Tensor | None,
    lengths: Tensor,
    weight_hh: Tensor,
    h0: Tensor,
    c0: Tensor,
    mask: Tensor | None,
    reverse: bool,
    gate: str,
    keep: bool,
    return_c: bool,
    kernel: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """h, c (N, H), h_T, c_T (B, H), packed gates. The gates are empty without `keep`, c is empty without `keep` and
    `return_c`. kernel: "" for the default one.
    """
    arrays = arrays_of(pre=pre, index=index, lengths=lengths, weight_hh=weight_hh, h0=h0, c0=c0, mask=mask)
    call: LSTMCall[Array] = LSTMCall(**arrays, reverse=reverse, gate=cast(Gate, gate))
    result = get(kernel).forward(call, keep=keep or return_c)
    gates = pre.new_empty(0)
    c = pre.new_empty((0, weight_hh.shape[1]))
    if result.saved is not None:
        c = torch.from_numpy(result.saved.c)
        if keep:
            gates = torch.from_numpy(result.saved.packed_gates)
    return torch.from_numpy(result.h), c, torch.from_numpy(result.h_T), torch.from_numpy(result.c_T), gates


@library.custom_op("gatewise::lstm_backward", mutates_args=("packed_gates",), device_types="cpu")
def _lstm_backward(
    packed_gates: Tensor,
    index: Tensor | None,
    lengths: Tensor,
    weight_hh: Tensor,
    h0: Tensor,
    c0: Tensor,
    mask: Tensor | None,
    h: Tensor,
    c: Tensor,
    dh: Tensor | None,
    dc: Tensor | None,
    dh_T: Tensor | None,
    dc_T: Tensor | None,
    pre_rows: int,
    reverse: bool,
    gate: str,
    kernel: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """dpre (U, 4H), dweight_hh (4H, H), dh0, dc0 (B, H). None stands for zeros. Overwrites packed_gates."""
    arguments = arrays_of(index=index, lengths=lengths, weight_hh=weight_hh, h0=h0, c0=c0, mask=mask)
    # The kernel made packed_gates, so it is contiguous, and its array is a view that the kernel overwrites.
    results = arrays_of(h=h, c=c, packed_gates=packed_gates)
    saved = SavedActivations(**arguments, **results, pre_rows=pre_rows, reverse=reverse, gate=cast(Gate, gate))
    if dh_T is None:
        dh_T = torch.zeros_like(h0)
    if dc_T is None:
        dc_T = torch.zeros_like(h0)
    gradients = arrays_of(dh=dh, dh_T=dh_T, dc_T=dc_T, dc=dc)
    dpre, dweight_hh, dh0, dc0 = get(kernel).backward(
        saved, gradients["dh"], gradients["dh_T"], gradients["dc_T"], gradients["dc"]
    )
    assert dweight_hh is not None
    return torch.from_numpy(dpre), torch.from_numpy(dweight_hh), torch.from_numpy(dh0), torch.from_numpy(dc0)


@_lstm.register_fake
def _(
    pre: Tensor, index: Tensor | None, lengths: Tensor, weight_hh: Tensor, h0: Tensor, c0: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    _, _, _, keep, return_c, kernel = rest
    steps = pre.shape[0]
    if index is not None:
        steps = index.shape[0]
    units = int(weight_hh.shape[1])
    h = pre.new_empty((steps, units))
    c = pre.new_empty((0, units))
    if keep or return_c:
        c = pre.new_empty((steps, units))
    gates = pre.new_empty(0)
    if keep:
        lanes = get(kernel).lanes(units)
        blocks = -(-units // lanes)
        gates = pre.new_empty((steps, blocks, 4, lanes))
    return h, c, pre.new_empty(h0.shape), pre.new_empty(c0.shape), gates


@_lstm_backward.register_fake
def _(
    packed_gates: Tensor, index: Tensor | None, lengths: Tensor, weight_hh: Tensor, h0: Tensor, c0: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    pre_rows = rest[-4]
    dpre = weight_hh.new_empty((pre_rows, weight_hh.shape[0]))
    return dpre, weight_hh.new_empty(weight_hh.shape), h0.new_empty(h0.shape), c0.new_empty(c0.shape)


def _setup_lstm(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    pre, index, lengths, weight_hh, h0, c0, mask, reverse, gate, keep, _, kernel = inputs
    h, c, _, _, packed_gates = output
    ctx.set_materialize_grads(False)  # a head that reads only h_T must not cost a dh (N, H) of zeros
    ctx.settings = (pre.shape[0], reverse, gate, kernel)
    ctx.keep = keep
    if keep:
        ctx.save_for_backward(packed_gates, index, lengths, weight_hh, h0, c0, mask, h, c)


def _differentiate_lstm(
    ctx: Any,
    dh: Tensor | None,
    dc: Tensor | None,
    dh_T: Tensor | None,
    dc_T: Tensor | None,
    dgates: Tensor | None,  # only of a second derivative: `lstm` does not return the gates
) -> tuple[Tensor | None, ...]:
    if not ctx.keep:
        raise InputError("gatewise::lstm ran with keep=False: no activations were saved to differentiate")
    packed_gates, *saved = ctx.saved_tensors
    pre_rows, reverse, gate, kernel = ctx.settings
    if torch.is_grad_enabled() or is_transformed() or dgates is not None:
        gradients = (dh, dc, dh_T, dc_T, dgates)
        results = second_order.lstm_backward(ctx.saved_tensors, gradients, pre_rows, reverse, gate)
    else:
        if graph_is_kept() or type(packed_gates) is not Tensor:  # a tracer cannot see a result change in backward
            packed_gates = packed_gates.clone()
        results = _lstm_backward(packed_gates, *saved, dh, dc, dh_T, dc_T, pre_rows, reverse, gate, kernel)
    dpre, dweight_hh, dh0, dc0 = results
    without_gradient = (None,) * 6  # mask, reverse, gate, keep, return_c, kernel
    return dpre, None, None, dweight_hh, dh0, dc0, *without_gradient


def graph_is_kept() -> bool:
    """Whether this backward pass runs with retain_graph=True. True where torch cannot tell: a copy is safe."""
    keeps_graph = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", None)
    if keeps_graph is None:
        return True
    return bool(keeps_graph())


_lstm.register_autograd(_differentiate_lstm, setup_context=_setup_lstm)


def _transformed(
    op: Callable[..., Any], setup: Callable[..., None], differentiate: Callable[..., Any]
) -> type[torch.autograd.Function]:
    """The operator for the transforms of torch.func, which do not see what `register_autograd` registers."""
    methods = {"forward": op, "setup_context": setup, "backward": differentiate}
    members = {name: staticmethod(method) for name, method in methods.items()}
    return type("Transformed", (torch.autograd.Function,), {**members, "generate_vmap_rule": True})


_TransformedLstm = _transformed(_lstm, _setup_lstm, _differentiate_lstm)


def project(x: Tensor, weight_ih: Tensor, bias: Tensor, *, kernel: str | None = None) -> Tensor:
    """The input product pre (U, 4H) = x (U, D) weight_ihᵀ + bias, with gradients for all three arguments.

    On the CPU, float32 or float64; kernel: as for `lstm`. Raises InputError for arguments that do not fit together.

    >>> project(torch.ones(2, 3), torch.ones(4, 3), torch.ones(4))
    tensor([[4., 4., 4., 4.],
            [4., 4., 4., 4.]])
    """
    operator: Callable[..., Any] = _project
    if is_transformed():
        operator = _TransformedProject.apply
    pre: Tensor = operator(x, weight_ih, bias, kernel_for(kernel, {"x": x, "weight_ih": weight_ih, "bias": bias}))
    return pre


@library.custom_op("gatewise::project", mutates_args=(), device_types="cpu")
def _project(x: Tensor, weight_ih: Tensor, bias: Tensor, kernel: str) -> Tensor:
    return torch.from_numpy(get(kernel).project(as_array(x), as_array(weight_ih), as_array(bias)))


@library.custom_op("gatewise::project_backward", mutates_args=(), device_types="cpu")
def _project_backward(
    x: Tensor, weight_ih: Tensor, dpre: Tensor, with_dx: bool, kernel: str
) -> tuple[Tensor, Tensor, Tensor]:
    """dx (U, D), empty without `with_dx`; dweight_ih (4H, D); dbias (4H,)."""
    dx, dweight_ih, dbias = get(kernel).project_backward(
        as_array(x), as_array(weight_ih), as_array(dpre), with_dx=with_dx
    )
    dx_tensor = x.new_empty((0, x.shape[1]))
    if dx is not None:
        dx_tensor = torch.from_numpy(dx)
    return dx_tensor, torch.from_numpy(dweight_ih), torch.from_numpy(dbias)


@_project.register_fake
def _(x: Tensor, weight_ih: Tensor, bias: Tensor, kernel: str) -> Tensor:
    return x.new_empty((x.shape[0], weight_ih.shape[0]))


@_project_backward.register_fake
def _(x: Tensor, weight_ih: Tensor, dpre: Tensor, with_dx: bool, kernel: str) -> tuple[Tensor, Tensor, Tensor]:
    dx = x.new_empty((0, x.shape[1]))
    if with_dx:
        dx = x.new_empty(x.shape)
    return dx, weight_ih.new_empty(weight_ih.shape), weight_ih.new_empty(weight_ih.shape[0])


def _setup_project(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight_ih, _, kernel = inputs
    ctx.kernel = kernel
    ctx.save_for_backward(x, weight_ih)


def _differentiate_project(ctx: Any, dpre: Tensor) -> tuple[Tensor | None, ...]:
    x, weight_ih = ctx.saved_tensors
    with_dx = bool(ctx.needs_input_grad[0])
    dx = None
    if torch.is_grad_enabled() or is_transformed():  # torch's operations can be differentiated again
        if with_dx:
            dx = dpre @ weight_ih
        return dx, dpre.T @ x, dpre.sum(0), None
    kernel_dx, dweight_ih, dbias = _project_backward(x, weight_ih, dpre, with_dx, ctx.kernel)
    if with_dx:
        dx = kernel_dx
    return dx, dweight_ih, dbias, None


_project.register_autograd(_differentiate_project, setup_context=_setup_project)
_TransformedProject = _transformed(_project, _setup_project, _differentiate_project)
