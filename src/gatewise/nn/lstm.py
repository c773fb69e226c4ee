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
from gatewise.nn.kernel_ops import as_array, lstm, project
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
            number_given = isinstance(probability, numbers.Real) and not isinstance(probability, bool)
            if not number_given or not 0 <= probability <= 1:
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
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, float(dropout), bidirectional
        self.proj_size = 0
        self.gate: Gate = gate
        self.recurrent_dropout, self.precision = float(recurrent_dropout), precision
        for layer, suffix in self.runs():
            inputs = input_size if layer == 0 else hidden_size * self.directions
            shapes = {"weight_ih": (4 * hidden_size, inputs), "weight_hh": (4 * hidden_size, hidden_size)}
            if bias:
                shapes["bias"] = (4 * hidden_size,)  # type: ignore[assignment]
            for name, shape in shapes.items():
                empty = torch.empty(shape, device=device, dtype=dtype)
                self.register_parameter(name + suffix, torch.nn.Parameter(empty))
        self.reset_parameters()

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    def runs(self) -> Iterator[tuple[int, str]]:
        """Layer and parameter suffix of each LSTM, in torch's order."""
        for layer in range(self.num_layers):
            for direction in ("", "_reverse")[: self.directions]:
                yield layer, f"_l{layer}{direction}"

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each LSTM, in torch's order."""
        kinds = ("weight_ih", "weight_hh", "bias")[: 3 if self.bias else 2]
        return [[getattr(self, kind + suffix) for kind in kinds] for _, suffix in self.runs()]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """As torch does, and the biases of torch.nn.LSTM become one."""
        errors: list[str] = rest[-1]
        for _, suffix in self.runs():
            names = [f"{prefix}bias_{kind}{suffix}" for kind in ("ih", "hh")]
            there = [name for name in names if name in state_dict]
            if not self.bias or not there or f"{prefix}bias{suffix}" in state_dict:
                continue
            if len(there) == 1:  # also for strict=False: the other half would be missing in silence
                errors.append(f"{there[0]} is there without the other bias of torch.nn.LSTM")
                continue
            first, second = (state_dict.pop(name).detach() for name in names)
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
        data = input.data if isinstance(input, PackedSequence) else input
        self._check_input(input, data, lengths)
        one = data.dim() == 2 and lengths is None and not isinstance(input, PackedSequence)
        if hx is not None:
            hx = _checked_pair(hx, data, 2 if one else 3)
        if one:
            axis = 0 if self.batch_first else 1
            output, (h_n, c_n) = self.forward(data.unsqueeze(axis), hx and (hx[0].unsqueeze(1), hx[1].unsqueeze(1)))
            assert isinstance(output, Tensor)
            return output.squeeze(axis), (h_n.squeeze(1), c_n.squeeze(1))
        here, compute = _runs_kernels(data), data.dtype
        dtype: torch.dtype = self.weight_ih_l0.dtype  # type: ignore[assignment]
        if here:  # the kernels compute in float32 or float64; the results have the dtype of the call
            compute = torch.float64 if dtype == torch.float64 else torch.float32
            data = data.to(compute)
        else:
            self._check_fallback(data)
        if _autocast(data) and dtype != torch.float64:
            dtype = torch.get_autocast_dtype(data.device.type)
        hx = None if hx is None else (hx[0].to(compute), hx[1].to(compute))
        packed = input if isinstance(input, PackedSequence) else None
        if packed is not None:
            states = _reordered(self._states(hx, data, int(packed.batch_sizes[0])), packed.sorted_indices)
            output, states = (self._packed if here else self._fallback)(data, packed.batch_sizes, states)
            states = _reordered(states, packed.unsorted_indices)
        elif lengths is not None:
            states = self._states(hx, data, len(lengths))
            output, states = (self._rows if here else self._fallback_ragged)(data, lengths, states)
        else:
            states = self._states(hx, data, data.shape[0 if self.batch_first else 1])
            output, states = self._padded(data, states) if here else self._fallback(data, None, states)
        output = output.to(dtype)
        result = output if packed is None else _with_data(packed, output)
        return result, (states[0].to(dtype), states[1].to(dtype))

    def _padded(self, x: Tensor, states: States) -> tuple[Tensor, States]:
        x = x if self.batch_first else x.transpose(0, 1)  # (B, T, D)
        batch, steps = x.shape[:2]
        every = torch.full((batch,), steps, dtype=torch.int64)
        output, states = self._rows(x.reshape(batch * steps, self.input_size), every, states)
        output = output.view(batch, steps, self.hidden_size * self.directions)
        return output if self.batch_first else output.transpose(0, 1).contiguous(), states

    def _packed(self, x: Tensor, batch_sizes: Tensor, states: States) -> tuple[Tensor, States]:
        lengths, index, back = _packed_rows(batch_sizes)
        output, states = self._rows(x, lengths, states, index)
        return output.index_select(0, back), states

    def _rows(self, x: Tensor, lengths: Tensor, states: States, index: Tensor | None = None) -> tuple[Tensor, States]:
        """x (U, D), lengths (B,), states (runs, B, H), index (N,) or None -> output (N, H x directions), states."""
        outputs: list[Tensor] = []
        last: list[States] = []
        for run, (layer, suffix) in enumerate(self.runs()):
            if layer and len(outputs) == self.directions:  # the layer below is complete
                x, index, outputs = torch.cat(outputs, 1) if self.bidirectional else outputs[0], None, []
                x = functional.dropout(x, self.dropout, self.training)
            weight_ih, weight_hh = (getattr(self, kind + suffix).to(x.dtype) for kind in ("weight_ih", "weight_hh"))
            bias = getattr(self, f"bias{suffix}").to(x.dtype) if self.bias else weight_ih.new_zeros(len(weight_ih))
            h0, c0, mask = states[0][run], states[1][run], None
            if self.training and self.recurrent_dropout > 0:
                mask = functional.dropout(h0.new_ones(h0.shape), self.recurrent_dropout)
            kernel, reverse = "bf16" if self.precision == "bf16" else None, suffix.endswith("_reverse")
            call = project(x, weight_ih, bias, kernel=kernel), index, lengths, weight_hh, h0, c0  # pre is (U, 4H)
            h, _, h_T, c_T = lstm(*call, reverse=reverse, gate=self.gate, return_c=False, mask=mask, kernel=kernel)
            outputs.append(h)
            last.append((h_T, c_T))
        output = torch.cat(outputs, 1) if self.bidirectional else outputs[0]
        return output, (torch.stack([h for h, _ in last]), torch.stack([c for _, c in last]))

    def _check_fallback(self, data: Tensor) -> None:
        """Raise InputError for settings that torch's LSTM, which runs on other devices, does not have."""
        for name, used in (
            (f"gate={self.gate!r}", self.gate != "sigmoid"),
            (f"precision={self.precision!r}", self.precision != "float32"),
            ("recurrent_dropout", self.training and self.recurrent_dropout > 0),
        ):
            if used:
                raise InputError(f"{name} runs on the CPU only; the input is on '{data.device}'")

    def _fallback(self, x: Tensor, batch_sizes: Tensor | None, states: States) -> tuple[Tensor, States]:
        # After the bias, if there is one, the second one of torch.
        weights = [tensor for one in self.all_weights for tensor in [*one, *(torch.zeros_like(b) for b in one[2:])]]
        bias, layers, dropout, training = self.bias, self.num_layers, self.dropout, self.training
        both, first = self.bidirectional, self.batch_first
        if batch_sizes is None:
            output, h_n, c_n = torch.lstm(x, states, weights, bias, layers, dropout, training, both, first)
        else:
            output, h_n, c_n = torch.lstm(x, batch_sizes, states, weights, bias, layers, dropout, training, both)
        return output, (h_n, c_n)

    def _fallback_ragged(self, x: Tensor, lengths: Tensor, states: States) -> tuple[Tensor, States]:
        """As a packed batch; sequences without steps, which torch does not accept, keep their states."""
        order = torch.argsort(lengths.cpu(), descending=True, stable=True)
        order = order[: int((lengths > 0).sum())]
        if not len(order):
            return x.new_zeros((0, self.hidden_size * self.directions)), states
        parts = torch.split(x, lengths.tolist())
        packed, where = pack_sequence([parts[n] for n in order.tolist()]), order.to(x.device)
        output, (h_n, c_n) = self._fallback(packed.data, packed.batch_sizes, _reordered(states, where))
        rows = dict(zip(order.tolist(), unpack_sequence(_with_data(packed, output)), strict=True))
        states = states[0].index_copy(1, where, h_n), states[1].index_copy(1, where, c_n)
        return torch.cat([rows[n] for n in sorted(rows)]), states

    def _states(self, hx: States | None, like: Tensor, batch: int) -> States:
        """hx after validation, for `batch` sequences; for None zeros with the dtype of `like`."""
        shape = self.num_layers * self.directions, batch, self.hidden_size
        if hx is None:
            zeros = like.new_zeros(shape)
            return zeros, zeros
        for name, state in zip(("h_0", "c_0"), hx, strict=True):
            if state.shape != shape:
                raise CallError(f"{name}: expected {shape}, got {tuple(state.shape)}")
        return hx

    def _check_input(self, input: Tensor | PackedSequence, data: Tensor, lengths: Tensor | None) -> None:
        dims = (2,) if lengths is not None or isinstance(input, PackedSequence) else (2, 3)
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
    parts = tuple(hx) if isinstance(hx, tuple | list) else (hx,)
    if len(parts) != 2 or not all(isinstance(part, Tensor) for part in parts):
        got = f"{counted(len(parts), 'value')}" if isinstance(hx, tuple | list) else type(hx).__name__
        raise CallError(f"hx: expected the tuple (h_0, c_0), got {got}")
    for name, state in zip(("h_0", "c_0"), parts, strict=True):
        if state.dim() != dims:
            form = "a batch" if dims == 3 else "one sequence"
            raise CallError(f"{name}: expected {dims} axes for {form}, got {tuple(state.shape)}")
        if state.dtype != data.dtype and not _autocast(data):
            raise CallError(f"{name} is {state.dtype}, the input is {data.dtype}: their dtypes must be equal")
    return parts[0], parts[1]


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
    steps, rows, batch = len(batch_sizes), int(batch_sizes.sum()), int(batch_sizes[0])
    step = torch.repeat_interleave(torch.arange(steps), batch_sizes, output_size=rows)  # (N,) of each packed row
    sequence = torch.arange(rows) - (batch_sizes.cumsum(0) - batch_sizes)[step]  # (N,)
    lengths = torch.bincount(sequence, minlength=batch)  # (B,)
    back = (lengths.cumsum(0) - lengths)[sequence] + step
    index = torch.empty(rows, dtype=torch.int32)
    index[back] = torch.arange(rows, dtype=torch.int32)
    return lengths, index, back


def _reordered(states: States, order: Tensor | None) -> States:
    """The states in another order of the sequences; None: as they are."""
    if order is None:
        return states
    return states[0].index_select(1, order), states[1].index_select(1, order)
