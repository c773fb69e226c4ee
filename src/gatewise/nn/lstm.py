"""`LSTM`: the interface of torch.nn.LSTM on gatewise's kernels, with one bias, ragged batches and binary gates."""

import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_sequence, unpack_sequence

from gatewise.errors import InputError, counted, quote, warn
from gatewise.nn.eager_layer import run_layer
from gatewise.nn.kernel_ops import as_array
from gatewise.ragged import total_steps
from gatewise.types import Gate, Precision

States = tuple[Tensor, Tensor]


class CallError(InputError, RuntimeError):
    """An argument of a call that does not fit; also the RuntimeError that torch.nn.LSTM raises for most of them."""


class ArgumentTypeError(InputError, TypeError):
    """An argument of the constructor of another type; also the TypeError that torch.nn.LSTM raises."""


class LSTM(torch.nn.Module):
    """One or more LSTM layers over a batch of sequences; a replacement for torch.nn.LSTM.

    It computes the cell of `gatewise.cell`; gates in the order i, f, g, o. On the CPU it runs gatewise's kernels in
    float32, or in float64 for float64 weights (by the slow reference). Weights in bfloat16 or float16 are converted to
    float32 for the computation, and the result back. On any other device it runs torch's own LSTM with these weights.

    docs/torch.md lists all differences from torch.nn.LSTM. The main ones: no projections; new arguments `gate`,
    `recurrent_dropout` and `precision`; one bias (`bias_l0` (4H,) instead of `bias_ih_l0` and `bias_hh_l0`, of which
    only the sum matters); initial values as in Keras: input weights Glorot uniform (Glorot & Bengio 2010), recurrent
    weights orthogonal (Saxe et al. 2014), bias 0, but 1 for the forget gate (Jozefowicz et al. 2015). Sequences without
    steps are allowed. `load_state_dict` takes the names of both; `gatewise.nn.torch_state_dict` writes torch's.

    Derivatives are reverse-mode: torch.func.jvp and jacfwd raise InputError.

    Parameters of layer n: `weight_ih_ln` (4H, D), above the first layer (4H, H x directions); `weight_hh_ln` (4H, H);
    `bias_ln` (4H,); those of the second direction end in `_reverse`.

    dropout: probability of dropping a value of the output of every layer but the last, in training.
    recurrent_dropout: probability of dropping a unit of h_{t-1} in the product with weight_hh, in training: the same
    units at every step of a sequence (Gal & Ghahramani 2016; Keras's argument of that name); on the CPU only.
    precision: "float32", or "bf16", see `gatewise.kernels.native.Native`; on the CPU only.
    gate: "sigmoid", or "binary": i, f, o are 0 or 1, trained straight-through; on the CPU only.

    >>> lstm = LSTM(3, 5, batch_first=True, bidirectional=True)
    >>> output, (h_n, c_n) = lstm(torch.zeros(2, 4, 3))
    >>> tuple(output.shape), tuple(h_n.shape)
    ((2, 4, 10), (2, 2, 5))
    """

    mode = "LSTM"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        gate: Gate = "sigmoid",
        recurrent_dropout: float = 0.0,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        for name, number in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if not isinstance(number, int):
                raise ArgumentTypeError(f"{name} must be an integer, not {quote(number)}")
            if number < 1:
                raise InputError(f"{name} must be at least 1, not {number}")
        for name, flag in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(flag, bool):
                raise ArgumentTypeError(f"{name} must be True or False, not {quote(flag)}")
        for name, probability in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
            is_number = isinstance(probability, numbers.Real) and not isinstance(probability, bool)
            if not is_number or not 0 <= probability <= 1:
                raise InputError(f"{name} must be a probability, not {quote(probability)}")
        if dropout > 0 and num_layers == 1:
            warn(  # the words of torch.nn.LSTM, so that a filter for its warning takes this one too
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={dropout} and num_layers=1",
                UserWarning,
            )
        if proj_size:
            raise InputError(f"proj_size={quote(proj_size)}: gatewise's LSTM has no projections; use torch.nn.LSTM")
        if precision not in ("float32", "bf16"):
            raise InputError(f"precision must be 'float32' or 'bf16', not {quote(precision)}")
        if gate not in ("sigmoid", "binary"):
            raise InputError(f"gate must be 'sigmoid' or 'binary', not {quote(gate)}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = 0
        self.gate: Gate = gate
        self.recurrent_dropout = float(recurrent_dropout)
        self.precision = precision
        for layer, suffix in self.runs():
            layer_inputs = input_size
            if layer > 0:
                layer_inputs = hidden_size * self.directions
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (4 * hidden_size, layer_inputs),
                "weight_hh": (4 * hidden_size, hidden_size),
            }
            if bias:
                shapes["bias"] = (4 * hidden_size,)
            for name, shape in shapes.items():
                empty = torch.empty(shape, device=device, dtype=dtype)
                self.register_parameter(name + suffix, torch.nn.Parameter(empty))
        self.reset_parameters()

    @property
    def directions(self) -> int:
        if self.bidirectional:
            return 2
        return 1

    def runs(self) -> Iterator[tuple[int, str]]:
        """Layer and parameter suffix of each LSTM, in torch's order."""
        for layer in range(self.num_layers):
            yield layer, f"_l{layer}"
            if self.bidirectional:
                yield layer, f"_l{layer}_reverse"

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each LSTM, in torch's order."""
        names = ["weight_ih", "weight_hh"]
        if self.bias:
            names.append("bias")
        return [[getattr(self, name + suffix) for name in names] for _, suffix in self.runs()]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Load as torch does. The two biases of torch.nn.LSTM become one."""
        errors: list[str] = rest[-1]
        for _, suffix in self.runs():
            names = [f"{prefix}bias_ih{suffix}", f"{prefix}bias_hh{suffix}"]
            present = [name for name in names if name in state_dict]
            if not self.bias or not present or f"{prefix}bias{suffix}" in state_dict:
                continue
            if len(present) == 1:  # also for strict=False: the other half would be missing silently
                errors.append(f"{present[0]} is there without the other bias of torch.nn.LSTM")
                continue
            first = state_dict.pop(names[0]).detach()
            second = state_dict.pop(names[1]).detach()
            if first.shape != second.shape:
                errors.append(f"{names[0]} is {tuple(first.shape)}, {names[1]} is {tuple(second.shape)}")
                continue
            state_dict[f"{prefix}bias{suffix}"] = first + second
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise the parameters as Keras does; see the class."""
        for _, suffix in self.runs():
            torch.nn.init.xavier_uniform_(getattr(self, f"weight_ih{suffix}"))
            _fill_orthogonal(getattr(self, f"weight_hh{suffix}"))
            if self.bias:
                bias = getattr(self, f"bias{suffix}").zero_()
                bias[self.hidden_size : 2 * self.hidden_size] = 1  # the forget gate

    def forward(
        self, input: Tensor | PackedSequence, hx: States | None = None, *, lengths: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, States]:
        """Run all layers over all sequences.

        input: (T, B, D), with batch_first (B, T, D); (T, D) for one sequence; a PackedSequence; or with `lengths`
        (B,) int64 the rows (N, D) of B sequences one after the other, without padding (N = sum of lengths). hx: h_0
        and c_0, each (layers x directions, B, H), for one sequence (layers x directions, H); None for zeros.

        Returns output, (h_n, c_n): h of every step of the top layer, H x directions wide, in the form of the input; and
        the states after the last step, in the form of hx. Their dtype is that of the input, under autocast that
        of autocast, float64 excepted. Raises CallError, which is an InputError and a RuntimeError, for arguments that
        do not fit.
        """
        packed: PackedSequence | None = None
        if isinstance(input, PackedSequence):
            packed = input
            data = input.data
        else:
            data = input
        self._check_input(input, data, lengths)
        is_single = data.dim() == 2 and lengths is None and packed is None
        if hx is not None:
            hx = _checked_pair(hx, data, 2 if is_single else 3)
        if is_single:
            return self._single(data, hx)
        runs_kernels = _runs_kernels(data)
        result_dtype: torch.dtype = self.weight_ih_l0.dtype  # type: ignore[assignment]
        if _autocast(data) and result_dtype != torch.float64:
            result_dtype = torch.get_autocast_dtype(data.device.type)
        if runs_kernels:  # they compute in float32 or float64
            compute_dtype = torch.float32
            if self.weight_ih_l0.dtype == torch.float64:
                compute_dtype = torch.float64
            data = data.to(compute_dtype)
        else:
            self._check_fallback(data)
            compute_dtype = data.dtype
        if hx is not None:
            hx = (hx[0].to(compute_dtype), hx[1].to(compute_dtype))
        if packed is not None:
            states = _reordered(self._states(hx, data, int(packed.batch_sizes[0])), packed.sorted_indices)
            run_packed = self._packed if runs_kernels else self._fallback
            output, states = run_packed(data, packed.batch_sizes, states)
            states = _reordered(states, packed.unsorted_indices)
        elif lengths is not None:
            states = self._states(hx, data, len(lengths))
            run_ragged = self._rows if runs_kernels else self._fallback_ragged
            output, states = run_ragged(data, lengths, states)
        else:
            batch_axis = 0 if self.batch_first else 1
            states = self._states(hx, data, data.shape[batch_axis])
            if runs_kernels:
                output, states = self._padded(data, states)
            else:
                output, states = self._fallback(data, None, states)
        output = output.to(result_dtype)
        states = (states[0].to(result_dtype), states[1].to(result_dtype))
        if packed is not None:
            return _with_data(packed, output), states
        return output, states

    def _single(self, x: Tensor, hx: States | None) -> tuple[Tensor, States]:
        """One sequence (T, D), with states (layers x directions, H), as a batch of one."""
        batch_axis = 0 if self.batch_first else 1
        if hx is not None:
            hx = (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
        output, (h_n, c_n) = self.forward(x.unsqueeze(batch_axis), hx)
        assert isinstance(output, Tensor)
        return output.squeeze(batch_axis), (h_n.squeeze(1), c_n.squeeze(1))

    def _padded(self, x: Tensor, states: States) -> tuple[Tensor, States]:
        """A batch of sequences of equal length, in the form of `batch_first`."""
        if not self.batch_first:
            x = x.transpose(0, 1)  # (B, T, D)
        batch, steps = x.shape[:2]
        lengths = torch.full((batch,), steps, dtype=torch.int64)
        output, states = self._rows(x.reshape(batch * steps, self.input_size), lengths, states)
        output = output.view(batch, steps, self.hidden_size * self.directions)
        if not self.batch_first:
            output = output.transpose(0, 1).contiguous()
        return output, states

    def _packed(self, x: Tensor, batch_sizes: Tensor, states: States) -> tuple[Tensor, States]:
        lengths, index, back = _packed_rows(batch_sizes)
        output, states = self._rows(x, lengths, states, index)
        return output.index_select(0, back), states

    def _rows(self, x: Tensor, lengths: Tensor, states: States, index: Tensor | None = None) -> tuple[Tensor, States]:
        """x (U, D), lengths (B,), states (runs, B, H), index (N,) or None -> output (N, H x directions), states."""
        kernel = None
        if self.precision == "bf16":
            kernel = "bf16"
        outputs: list[Tensor] = []  # of the directions of a layer
        last_h: list[Tensor] = []
        last_c: list[Tensor] = []
        for run, (layer, suffix) in enumerate(self.runs()):
            if layer and len(outputs) == self.directions:  # the layer below is complete
                x = functional.dropout(_side_by_side(outputs), self.dropout, self.training)
                index = None
                outputs = []
            weight_ih = getattr(self, f"weight_ih{suffix}").to(x.dtype)
            weight_hh = getattr(self, f"weight_hh{suffix}").to(x.dtype)
            if self.bias:
                bias = getattr(self, f"bias{suffix}").to(x.dtype)
            else:
                bias = weight_ih.new_zeros(len(weight_ih))
            h0 = states[0][run]
            c0 = states[1][run]
            mask = None
            if self.training and self.recurrent_dropout > 0:
                mask = functional.dropout(h0.new_ones(h0.shape), self.recurrent_dropout)
            h, h_T, c_T = run_layer(
                x,
                index,
                lengths,
                weight_ih,
                bias,
                weight_hh,
                h0,
                c0,
                reverse=suffix.endswith("_reverse"),
                gate=self.gate,
                mask=mask,
                kernel=kernel,
            )
            outputs.append(h)
            last_h.append(h_T)
            last_c.append(c_T)
        return _side_by_side(outputs), (torch.stack(last_h), torch.stack(last_c))

    def _check_fallback(self, data: Tensor) -> None:
        """Raise InputError for settings that torch's LSTM, which runs on other devices, does not have."""
        setting = None
        if self.gate != "sigmoid":
            setting = f"gate={self.gate!r}"
        elif self.precision != "float32":
            setting = f"precision={self.precision!r}"
        elif self.training and self.recurrent_dropout > 0:
            setting = "recurrent_dropout"
        if setting is not None:
            raise InputError(f"{setting} runs on the CPU only; the input is on '{data.device}'")

    def _fallback(self, x: Tensor, batch_sizes: Tensor | None, states: States) -> tuple[Tensor, States]:
        """torch's LSTM. batch_sizes: of a packed batch; None for a padded one."""
        weights: list[Tensor] = []
        for tensors in self.all_weights:
            weights += tensors
            if self.bias:
                weights.append(torch.zeros_like(tensors[-1]))  # torch's second bias
        if batch_sizes is None:
            output, h_n, c_n = torch.lstm(
                x,
                states,
                weights,
                self.bias,
                self.num_layers,
                self.dropout,
                self.training,
                self.bidirectional,
                self.batch_first,
            )
        else:
            output, h_n, c_n = torch.lstm(
                x,
                batch_sizes,
                states,
                weights,
                self.bias,
                self.num_layers,
                self.dropout,
                self.training,
                self.bidirectional,
            )
        return output, (h_n, c_n)

    def _fallback_ragged(self, x: Tensor, lengths: Tensor, states: States) -> tuple[Tensor, States]:
        """As a packed batch; sequences without steps, which torch does not accept, keep their states."""
        order = torch.argsort(lengths.cpu(), descending=True, stable=True)
        order = order[: int((lengths > 0).sum())]  # the sequences with a step, the longest first
        if not len(order):
            return x.new_zeros((0, self.hidden_size * self.directions)), states
        sequences = torch.split(x, lengths.tolist())
        packed = pack_sequence([sequences[n] for n in order.tolist()])
        on_device = order.to(x.device)
        output, (h_n, c_n) = self._fallback(packed.data, packed.batch_sizes, _reordered(states, on_device))
        outputs = dict(zip(order.tolist(), unpack_sequence(_with_data(packed, output)), strict=True))
        last_states = (states[0].index_copy(1, on_device, h_n), states[1].index_copy(1, on_device, c_n))
        return torch.cat([outputs[n] for n in sorted(outputs)]), last_states

    def _states(self, hx: States | None, like: Tensor, batch: int) -> States:
        """hx after validation, for `batch` sequences; for None zeros with the dtype of `like`."""
        shape = (self.num_layers * self.directions, batch, self.hidden_size)
        if hx is None:
            zeros = like.new_zeros(shape)
            return zeros, zeros
        for name, state in zip(("h_0", "c_0"), hx, strict=True):
            if state.shape != shape:
                raise CallError(f"{name}: expected {shape}, got {tuple(state.shape)}")
        return hx

    def _check_input(self, input: Tensor | PackedSequence, data: Tensor, lengths: Tensor | None) -> None:
        dims: tuple[int, ...] = (2, 3)
        if lengths is not None or isinstance(input, PackedSequence):
            dims = (2,)
        if data.dim() not in dims or data.shape[-1] != self.input_size:
            expected = " or ".join(f"({'..., ' * (n - 1)}{self.input_size})" for n in dims)
            raise CallError(f"input: expected {expected}, got {tuple(data.shape)}")
        if isinstance(input, PackedSequence) and lengths is not None:
            raise CallError("lengths: a PackedSequence has its own")
        # torch.compile would break the graph at the sum; the kernel checks the lengths then.
        if lengths is not None and not torch.compiler.is_compiling():
            steps = total_steps(as_array(lengths.cpu()))
            if steps != len(data):
                raise CallError(f"lengths sum to {steps}, the data have {counted(len(data), 'row')}")
        weight = self.weight_ih_l0
        lower = (torch.float16, torch.bfloat16, torch.float32, weight.dtype)
        if data.dtype != weight.dtype and not (_autocast(data) and data.dtype in lower):
            raise CallError(f"input is {data.dtype}, the weights are {weight.dtype}: their dtypes must be equal")
        trains = torch.is_grad_enabled() and weight.requires_grad and not torch.compiler.is_compiling()
        if trains and data.is_inference():
            raise CallError("input is an inference tensor, which cannot be saved for backward: clone it first")
        if not data.dtype.is_floating_point:
            raise CallError(f"input is {data.dtype}: LSTM computes with floating-point numbers")

    def flatten_parameters(self) -> None:
        """Does nothing; for code written for torch.nn.LSTM. The kernels pack weights themselves."""

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        extensions = {"gate": "sigmoid", "recurrent_dropout": 0.0, "precision": "float32"}
        for name, default in {**defaults, **extensions}.items():
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)!r}")
        return ", ".join(parts)


def _fill_orthogonal(weight: Tensor) -> None:
    """Fill a weight (4H, H) with orthonormal columns, distributed uniformly, as torch.nn.init.orthogonal_ does.

    torch's QR and its copies of large tensors run on OpenMP threads. A forked child of a process that has started
    these threads waits for them without end. NumPy's QR runs in such a child too.
    """
    if weight.is_meta:
        return
    q, r = np.linalg.qr(torch.empty(weight.shape, device="cpu", dtype=torch.float32).normal_().numpy())
    q *= np.sign(np.diagonal(r))
    if weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64):
        as_array(weight)[...] = q
    else:
        weight.copy_(torch.from_numpy(q))


def _runs_kernels(data: Tensor) -> bool:
    """Whether gatewise's kernels compute on this tensor; torch's LSTM does on other devices."""
    return data.device.type == "cpu"


def _checked_pair(hx: Any, data: Tensor, dims: int) -> States:
    """hx as two tensors of `dims` axes and the dtype of the input. Raises CallError."""
    if not isinstance(hx, tuple | list):
        raise CallError(f"hx: expected the tuple (h_0, c_0), got {type(hx).__name__}")
    if len(hx) != 2 or not all(isinstance(state, Tensor) for state in hx):
        raise CallError(f"hx: expected the tuple (h_0, c_0), got {counted(len(hx), 'value')}")
    h_0, c_0 = hx
    for name, state in (("h_0", h_0), ("c_0", c_0)):
        if state.dim() != dims:
            form = "a batch" if dims == 3 else "one sequence"
            raise CallError(f"{name}: expected {dims} axes for {form}, got {tuple(state.shape)}")
        if state.dtype != data.dtype and not _autocast(data):
            raise CallError(f"{name} is {state.dtype}, the input is {data.dtype}: their dtypes must be equal")
    return h_0, c_0


def _autocast(data: Tensor) -> bool:
    """Whether torch.autocast is on for the device of this tensor."""
    kind = data.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def _with_data(input: PackedSequence, data: Tensor) -> PackedSequence:
    """The sequences of `input` with other rows. torch.compile has no `_replace`."""
    return PackedSequence(data, input.batch_sizes, input.sorted_indices, input.unsorted_indices)


def _packed_rows(batch_sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """lengths (B,), index (N,) int32, back (N,) from the `batch_sizes (T,)` of a PackedSequence.

    A PackedSequence holds step 0 of all B sequences, then step 1 of those that have one, and so on, longest first.
    `index` is the packed row of each ragged row, `back` the ragged row of each packed row.

    >>> lengths, index, back = _packed_rows(torch.tensor([2, 1, 1]))  # a0 b0 a1 a2
    >>> lengths.tolist(), index.tolist(), back.tolist()
    ([3, 1], [0, 2, 3, 1], [0, 3, 1, 2])
    """
    rows = int(batch_sizes.sum())
    step = torch.repeat_interleave(torch.arange(len(batch_sizes)), batch_sizes, output_size=rows)  # of each packed row
    sequence = torch.arange(rows) - (batch_sizes.cumsum(0) - batch_sizes)[step]  # (N,)
    lengths = torch.bincount(sequence, minlength=int(batch_sizes[0]))  # (B,)
    back = (lengths.cumsum(0) - lengths)[sequence] + step
    index = torch.empty(rows, dtype=torch.int32)
    index[back] = torch.arange(rows, dtype=torch.int32)
    return lengths, index, back


def _side_by_side(outputs: list[Tensor]) -> Tensor:
    """The outputs (N, H) of the directions of a layer as one: (N, H x directions)."""
    if len(outputs) == 1:
        return outputs[0]
    return torch.cat(outputs, 1)


def _reordered(states: States, order: Tensor | None) -> States:
    """The states in another order of the sequences; None: as they are."""
    if order is None:
        return states
    return states[0].index_select(1, order), states[1].index_select(1, order)
