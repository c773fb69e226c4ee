"""The forward pass, for prediction and training: embedding -> LSTM layers -> pooling -> dense layers.

It is written against `network.ops`, so it runs on arrays for prediction and records gradients for training.

With padding "pre" the states after 0, 1, 2, ... pads are equal for all sequences of a batch. They are computed once, as
one sequence (the pad states), and each sequence starts from the state after its own number of pads; `take` adds its
gradient to the pad states at that step. The pad states end where a step changes neither h nor c, bit for bit, since all
later states are equal. The gradient is then exact to rounding too: it omits the adjoint after as many steps as the
state needs to converge, and both decay at the same rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import Forward, LSTMCall
from gatewise.kernels.call import InputProduct
from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch, read_steps
from gatewise.network.distinct_tokens import PAD
from gatewise.network.ops import Ops, array_of
from gatewise.network.word_table import WordTable
from gatewise.ragged import Ragged
from gatewise.storage.compact import Unpacked
from gatewise.types import Array, Index

PAD_CHUNK = 192  # pad steps between two tests whether the state has converged
STEPS_PER_BATCH = 65_536  # bounds the memory of a batch, 4H floats per step


def forward(ops: Ops, parameters: Mapping[str, Any], arch: Architecture, batch: Batch, x: Any = None) -> Any:
    """Logits (B, outputs) of a batch, with pooling "none" (N, outputs). x: see `features`."""
    return head(ops, parameters, arch, features(ops, parameters, arch, batch, x))


def head(ops: Ops, parameters: Mapping[str, Any], arch: Architecture, x: Any) -> Any:
    """Logits (..., outputs) of what `features` returns: the hidden layers and the output layer."""
    return ops.linear(hidden(ops, parameters, arch, x), parameters["dense.weight"], parameters["dense.bias"])


def hidden(ops: Ops, parameters: Mapping[str, Any], arch: Architecture, x: Any) -> Any:
    """Inputs of the output layer, of what `features` returns: x itself without hidden layers."""
    for number, layer in enumerate(arch.hidden):
        x = ops.linear(x, parameters[f"hidden.{number}.weight"], parameters[f"hidden.{number}.bias"])
        x = ops.activate(x, layer.activation, layer.negative_slope)
    return x


def features(ops: Ops, parameters: Mapping[str, Any], arch: Architecture, batch: Batch, x: Any = None) -> Any:
    """Inputs (B, features) of the dense layers for a batch, with pooling "none" (N, features). x: instead of what
    `inputs` returns.
    """
    index = batch.index
    has_table = x is None and batch.values is None and batch.distinct is None
    if has_table:
        x = embedded(ops, parameters, np.array([PAD]))  # of the pads
    elif x is None:
        x = inputs(ops, parameters, batch)
    longest = 0 if batch.pads is None else int(batch.pads.max(initial=0))
    pad_inputs = x, np.zeros(1, dtype=np.int64)  # PAD is the smallest token: row 0
    runs: list[Forward] = []
    for layer, group in groupby(arch.lstms(), key=itemgetter(0)):
        if layer:
            x = ops.merge([run.h for run in runs], arch.layers[layer - 1].merge_mode)  # (N, width)
            index = None
        calls = []
        units = arch.layers[layer].units
        for _, direction, name in group:
            weight_ih = parameters[f"{name}.weight_ih"]
            bias = parameters[f"{name}.bias"]
            row_of_step = index
            if has_table and not layer:
                pre, row_of_step = _rows_of_table(ops, parameters, name, arch.vocab_size, index)  # (R, 4H)
            elif index is None:
                pre = ops.input_product(x, weight_ih, bias)  # (N, 4H)
            else:
                pre = ops.project(x, weight_ih, bias)  # (U, 4H)
            h0 = c0 = np.zeros((len(batch.lengths), units), dtype=array_of(x).dtype)
            if batch.pads is not None and longest:
                h_pads, c_pads = _pad_states(ops, parameters, name, pad_inputs, arch, longest)  # (S + 1, H)
                count = len(array_of(h_pads))
                after = np.minimum(batch.pads, count - 1)
                h0 = ops.take(h_pads, after)
                c0 = ops.take(c_pads, after)
                pad_inputs = h_pads, np.arange(1, count)
            weight_hh = parameters[f"{name}.weight_hh"]
            path = ops.interpolation
            if layer:
                path = None  # only the rows of the inputs are interpolated
            is_top = layer == len(arch.layers) - 1
            call = LSTMCall(
                pre,
                row_of_step,
                batch.lengths,
                weight_hh,
                h0,
                c0,
                reverse=direction == "backward",
                gate=arch.gate,
                interpolation=path,
                last_only=is_top and not arch.reads_outputs and isinstance(pre, InputProduct),
            )
            calls.append((name, call))
        runs = ops.lstms(calls)
    merge = arch.top.merge_mode
    if arch.per_step:
        return ops.merge([run.h for run in runs], merge)
    pooled = [states for pooling in arch.poolings for states in pooling.features(ops, runs, merge, batch.lengths)]
    return ops.concat(pooled, axis=1)


def inputs(ops: Ops, parameters: Mapping[str, Any], batch: Batch) -> Any:
    """Inputs of the first layer: for tokens (U, D), for channels (N, C), of which `batch.index` selects rows."""
    if batch.values is not None:
        return batch.values.astype(array_of(parameters["dense.bias"]).dtype, copy=False)
    assert batch.distinct is not None
    return embedded(ops, parameters, batch.distinct)


def embedded(ops: Ops, parameters: Mapping[str, Any], tokens: NDArray[np.int64]) -> Any:
    """The embeddings (U, D) of tokens (U,); of words with features (U, 1 + F), the embedding of the word and the sum of
    those of its features, side by side.
    """
    if tokens.ndim == 2:
        words = embedded(ops, parameters, tokens[:, 0])
        table = parameters["feature_embedding.weight"]
        known = np.where(tokens[:, 1:] < len(array_of(table)), tokens[:, 1:], 0)
        features = ops.take_sum(table, known)
        return ops.concat([words, features], axis=1)
    if isinstance(parameters, Unpacked):
        return parameters.rows("embedding.weight", tokens)
    return ops.take(parameters["embedding.weight"], tokens)


def has_word_tables(ops: Ops, arch: Architecture) -> bool:
    """Whether the first layer reads the input products of its tokens from tables."""
    is_one_id = arch.inputs == "tokens" and not arch.word_features
    return ops.tables is not None and not ops.keep and is_one_id


def _rows_of_table(
    ops: Ops, parameters: Mapping[str, Any], name: str, vocab_size: int, tokens: Any
) -> tuple[Array, Index]:
    """The input products (R, 4H) of an LSTM of the first layer, and the row (N,) of each of the tokens (N,)."""
    assert ops.tables is not None
    weight_ih = parameters[f"{name}.weight_ih"]
    bias = parameters[f"{name}.bias"]
    key = f"{name} {ops.kernel.name}"
    table = ops.tables.get(key)
    if table is None:
        # Of threads that get here at the same time, all take the table of the first.
        table = ops.tables.setdefault(key, WordTable(vocab_size, len(weight_ih), weight_ih.dtype))
    return table.read(tokens, lambda new: ops.project(embedded(ops, parameters, new), weight_ih, bias))


def _pad_states(
    ops: Ops,
    parameters: Mapping[str, Any],
    name: str,
    pad_inputs: tuple[Any, NDArray[np.int64]],
    arch: Architecture,
    longest: int,
) -> tuple[Any, Any]:
    """h and c (S + 1, H) after 0, 1, ... S pads from the zero state; S is at least `longest`, or where the state has
    converged.

    pad_inputs: an array, and its rows (P,) that are the inputs of the pad steps; the last one for every step beyond P.
    """
    if ops.memo is not None and name in ops.memo:
        return ops.memo[name]
    longest = longest if ops.memo is None else arch.max_length
    x_pad = ops.take(*pad_inputs)  # (P, D)
    pre = ops.project(x_pad, parameters[f"{name}.weight_ih"], parameters[f"{name}.bias"])  # (P, 4H)
    inputs, weight_hh = len(array_of(x_pad)), parameters[f"{name}.weight_hh"]
    h_T = c_T = np.zeros((1, array_of(weight_hh).shape[1]), dtype=array_of(pre).dtype)
    h, c, done = [h_T], [c_T], 0
    while done < longest:
        count = min(PAD_CHUNK, longest - done)
        index = np.minimum(np.arange(done, done + count), inputs - 1).astype(np.int32)
        chunk = np.array([count], dtype=np.intp)
        [run] = ops.lstms([(f"{name}.pads", LSTMCall(pre, index, chunk, weight_hh, h_T, c_T, gate=arch.gate))])
        h, c, done = [*h, run.h], [*c, run.c], done + count
        h_T, c_T = run.h_T, run.c_T
        last = [array_of(states)[-2:] for states in (run.h, run.c)]
        if done > inputs and count > 1 and all(np.array_equal(one[0], one[1]) for one in last):
            break  # neither the input nor the state changes any more, bit for bit
    states = ops.concat(h, axis=0), ops.concat(c, axis=0)
    if ops.interpolation is not None:
        states = array_of(states[0]), array_of(states[1])
    if ops.memo is not None:
        ops.memo[name] = states
    return states


def in_batches(
    run: Callable[..., Any],
    parameters: Mapping[str, Array],
    arch: Architecture,
    sequences: Ragged | Sequence[Array],
    ops: Ops | None = None,
) -> Array:
    """The result of `forward` (n, outputs) or of `features` (n, features) for n sequences: (length,) token ids or
    (length, C) channels; dtype of the parameters. With pooling "none" the rows are the steps that the network reads of
    each sequence, one sequence after the other.

    More than STEPS_PER_BATCH steps are read in several batches, of sequences of similar length; the order and number of
    the sequences change only the last bits.
    """
    ops = ops or Ops()
    steps = read_steps(sequences, arch)
    if not len(steps):
        width = arch.features if run is features else arch.outputs
        return np.zeros((0, width), dtype=parameters["dense.bias"].dtype)
    has_table = has_word_tables(ops, arch)
    if len(steps.values) <= STEPS_PER_BATCH:
        return np.asarray(run(ops, parameters, arch, Batch.of_steps(steps, arch, has_table)))
    out: Array | None = None
    order = np.argsort(steps.lengths, kind="stable")
    by_length = steps
    if (np.diff(order) != 1).any():
        by_length = steps[order]
    done = 0
    for some in by_length.chunks(STEPS_PER_BATCH):
        numbers = order[done : done + len(some)]
        done += len(some)
        rows = numbers
        if arch.per_step:
            rows = steps.steps_of(numbers)
        computed = run(ops, parameters, arch, Batch.of_steps(some, arch, has_table))
        if out is None:
            n_rows = len(steps.values) if arch.per_step else len(steps)
            out = np.empty((n_rows, computed.shape[1]), computed.dtype)
        out[rows] = computed
    assert out is not None
    return out
