"""The LSTM of a model: embedding -> LSTM layers -> pooling -> dense, the member whose gates can be read and clamped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.kernels import for_precision, read_only
from gatewise.members.member import Inputs, PaddedSequences, Rule, check_entry
from gatewise.members.network import Network, Preactivation
from gatewise.members.recurrent_layer import RecurrentLayer
from gatewise.network.architecture import TRANSITIONS, Architecture, parameter_shapes, summary
from gatewise.network.batch import Batch, chunks, truncate
from gatewise.network.forward import embedded, features, forward, head, in_batches
from gatewise.network.ops import Ops
from gatewise.ragged import Ragged, starts_of
from gatewise.storage.compact import Unpacked, distinct_rows, pack, stored_forms
from gatewise.storage.tensors import tensors_from_bytes, tensors_to_bytes
from gatewise.target.crf import Transitions
from gatewise.types import Array, Precision

if TYPE_CHECKING:
    from gatewise.kernels.interface import Kernel
    from gatewise.members.clamp import Clamp
    from gatewise.members.gates import Activations, Gates
    from gatewise.members.path_gradients import PathGradient, PathPoints
    from gatewise.members.running_lstm import RunningLSTM
    from gatewise.network.word_table import WordTable
    from gatewise.target import Target

# Explanations run a quadratic number of steps. These bound the memory of a batch of them.
_STEPS_PER_BATCH = 65_536
_STATES_PER_BATCH = 1 << 23  # numbers: steps times the units of the last layer


@dataclass(frozen=True, eq=False)
class LSTM(Network):
    """A network as arrays. Raises InputError unless the parameters have the shapes of the architecture.

    parameters: float32 arrays by name. storage: tensor name to "float16" or "int8", the dtype in the saved file; other
    tensors are saved in float32. precision: dtype of the matrix products, "float32" or, if the processor supports it,
    "bf16"; not saved. kernel: None for the one of that precision. clamps: gates that every run holds at a value.
    unknown: the token of unknown words, if there is one.
    """

    arch: Architecture
    parameters: Mapping[str, Array]
    storage: Mapping[str, str] = field(default_factory=dict)
    precision: Precision = "float32"
    kernel: Kernel | None = None
    clamps: tuple[Clamp, ...] = ()
    unknown: int | None = None
    # Cache of the states after n pad steps. They depend on the parameters only, so it needs read-only parameters.
    memo: dict[str, tuple[Array, Array]] | None = field(init=False, repr=False, default=None)
    # The input products of the tokens that have occurred, likewise.
    tables: dict[str, WordTable] | None = field(init=False, repr=False, default=None)
    kind: ClassVar[str] = "lstm"
    noun: ClassVar[str] = "LSTM"
    zero_text: ClassVar[str] = "the training data's mean"

    def __post_init__(self) -> None:
        parameters = self.parameters
        if isinstance(parameters, Unpacked):  # a file, whose tensors are converted when they are read
            shapes = parameters.shapes
            is_read_only = True
        else:
            shapes = {name: array.shape for name, array in parameters.items()}
            is_read_only = not any(array.flags.writeable for array in parameters.values())
        for name, shape in parameter_shapes(self.arch).items():
            if shapes.get(name) != shape:
                raise InputError(f"parameter {name} must have shape {shape}")
        if self.kernel is None and self.precision != "float32":
            for_precision(self.precision)  # raises KernelUnavailable with the reason
        if is_read_only:
            object.__setattr__(self, "memo", {})
            object.__setattr__(self, "tables", {})

    def changed(self, **fields: Any) -> Self:
        """This LSTM with other fields. It keeps the cached pad states where these do not change."""
        lstm = replace(self, **fields)
        is_same_network = all(
            getattr(lstm, name) is getattr(self, name) for name in ("arch", "parameters", "precision", "kernel")
        )
        clamps_pads = any(clamp.pads for clamp in (*self.clamps, *lstm.clamps))
        if is_same_network:
            object.__setattr__(lstm, "tables", self.tables)
        if is_same_network and not clamps_pads:
            object.__setattr__(lstm, "memo", self.memo)
        return lstm

    @property
    def outputs(self) -> int:
        return self.arch.outputs

    @cached_property
    def transitions(self) -> Transitions | None:
        if not self.arch.crf:
            return None
        return Transitions.of(self.parameters, TRANSITIONS)

    @property
    def inputs(self) -> Inputs:
        """What it reads."""
        return Inputs(self.arch.inputs, self.arch.vocab_size, word_features=self.arch.word_features)

    @cached_property
    def layers(self) -> tuple[RecurrentLayer, ...]:
        return tuple(RecurrentLayer(layer.units, layer.directions) for layer in self.arch.layers)

    @property
    def per_step(self) -> bool:
        return self.arch.per_step

    def described(self) -> dict[str, Any]:
        return {"architecture": self.arch.as_dict()}

    def check_target(self, target: Target) -> None:
        target.check_pooling(self.arch.pooling)

    def check_pads(self, length: int) -> None:
        self.arch.check_pads(length)

    @property
    def is_causal(self) -> bool:
        return self.arch.unidirectional

    @property
    def not_causal(self) -> str:
        for number, layer in enumerate(self.arch.layers):
            if layer.direction != "forward":
                return f"a direction of layer {number} reads the steps from the last to the first"
        return ""

    def running(self, pads: int = 0) -> RunningLSTM:
        from gatewise.members.running_lstm import RunningLSTM

        return RunningLSTM(self.arch, self.parameters, self.ops().kernel, pads)

    @property
    def step_size(self) -> int:
        return self.arch.top.size

    @property
    def products_per_step(self) -> int:
        """Of one step in all LSTMs, without the input product of the first layer."""
        widths_below = [0, *(layer.width for layer in self.arch.layers)]
        products = 0
        for layer, _, _ in self.arch.lstms():
            units = self.arch.layers[layer].units
            products += 4 * units * (units + widths_below[layer])
        return products

    @property
    def max_length(self) -> int:
        return self.arch.max_length

    @property
    def has_pads(self) -> bool:
        return self.arch.padding == "pre"

    @property
    def start_text(self) -> str:
        if self.has_pads:
            return "the bias, and the state after the pads"
        return "the bias"

    @property
    def has_binary_gates(self) -> bool:
        return self.arch.gate == "binary"

    @property
    def float_dtype(self) -> Any:
        return self.parameters["dense.bias"].dtype

    @property
    def embedding(self) -> Array:
        return self.parameters["embedding.weight"]

    def check(self, inputs: Inputs) -> None:
        own = self.inputs
        # Features without an embedding count as none.
        reads_features = bool(inputs.word_features) or not own.word_features
        if (inputs.kind, inputs.size) != (own.kind, own.size) or not reads_features:
            raise InputError(f"the LSTM reads {self.inputs}, not {inputs}")

    def truncate_vocab(self, vocab_size: int) -> Self:
        parameters = dict(self.parameters)
        parameters["embedding.weight"] = read_only(parameters["embedding.weight"][:vocab_size])
        arch = replace(self.arch, vocab_size=vocab_size)
        return self.changed(arch=arch, parameters=MappingProxyType(parameters))

    def ops(self, keep: bool = False) -> Ops:
        """The operations for `network.forward`; with `keep`, they save the activations."""
        kernel = self.kernel or for_precision(self.precision)
        if not self.clamps:
            return Ops(kernel, keep, self.memo, tables=self.tables)
        from gatewise.members.clamp import ClampedOps  # a prediction does without

        return ClampedOps(self.arch, self.layers, self.clamps, kernel, keep, self.memo)

    @np.errstate(over="ignore", invalid="ignore")
    def logits(self, sequences: Ragged | Iterable[Array]) -> Array:
        """Logits (n, outputs) float64. Weights that are too large can make them infinite or NaN
        (`gatewise.target.check_logits`).
        """
        if isinstance(sequences, Ragged | list | tuple):
            return in_batches(forward, self.parameters, self.arch, sequences, self.ops()).astype(np.float64)
        return self._logits_of_many(sequences)

    def _logits_of_many(self, sequences: Iterable[Array]) -> Array:
        """Logits (n, outputs) float64 of sequences that are made one by one, as explanations do."""
        from gatewise.system.cancel import check_cancelled  # a user may give up an explanation

        steps = min(_STEPS_PER_BATCH, _STATES_PER_BATCH // self.arch.top.size)
        logits = [np.zeros((0, self.outputs))]
        for chunk in chunks(sequences, steps):
            check_cancelled()
            logits.append(self.logits(chunk))
        return np.concatenate(logits)

    def features(self, sequences: Ragged | Sequence[Array]) -> Array:
        """The pooled states (n, features) float32: inputs of the dense layers. Raises InputError without pooling."""
        if self.arch.per_step:
            raise InputError("the LSTM has no pooled states: with pooling 'none' every step has a prediction")
        return in_batches(features, self.parameters, self.arch, sequences, self.ops())

    def rows(self, length: int) -> NDArray[np.intp]:
        """The numbers (T',) of the steps that the LSTM reads of a sequence of `length` steps."""
        return np.asarray(truncate(np.arange(length), self.arch))

    def read(self, steps: Array) -> tuple[Array, Array]:
        """The numbers of the steps that the LSTM reads (T',), and these of the steps (T, ...): (T', ...)."""
        rows = self.rows(len(steps))
        return rows, np.asarray(steps)[rows]

    def steps_of(self, part: Array) -> Array:
        if self.arch.inputs == "tokens" and part.ndim == 2:  # words with features
            return np.asarray(part[:, 0])
        return np.asarray(part)

    def embedded(self, read: Array) -> Array:
        """The inputs of the first layer for steps, or for a single one: the embeddings (T, D) of token ids (T,), or
        channels (T, C) as they are.
        """
        if self.arch.inputs == "channels":
            return read
        return np.asarray(embedded(Ops(), self.parameters, read))

    def activations(self, sequences: Iterable[Array]) -> Iterator[Activations]:
        """The gates and states of each sequence, as `read` returns it, in batches."""
        from gatewise.members.gates import STEPS_PER_BATCH, Activations, Gates

        for chunk in chunks(sequences, STEPS_PER_BATCH):
            ops = self.ops(keep=True)
            batch = Batch.of(chunk, self.arch)
            logits = np.asarray(forward(ops, self.parameters, self.arch, batch), dtype=np.float64)
            runs = []  # layer, direction, gates of all steps of the batch, and what the kernel saved
            for layer, direction, name in self.arch.lstms():
                [saved] = ops.saved_activations[name]
                runs.append((layer, direction, np.split(saved.gates(), 4, axis=-1), saved))
            for n, (start, length) in enumerate(zip(starts_of(batch.lengths), batch.lengths, strict=True)):
                steps = slice(start, start + length)
                lstms = tuple(
                    Gates(
                        layer=layer,
                        direction=direction,
                        i=i[steps],
                        f=f[steps],
                        g=g[steps],
                        o=o[steps],
                        c=saved.c[steps],
                        h=saved.h[steps],
                        h0=saved.h0[n],
                        c0=saved.c0[n],
                    )
                    for layer, direction, (i, f, g, o), saved in runs
                )
                yield Activations(
                    lstms,
                    logits[steps] if self.arch.per_step else logits[n],
                    0 if batch.pads is None else int(batch.pads[n]),
                )

    def prefix_logits(self, sequence: Array) -> Array:
        """As `Member`; a step that the truncation removes changes nothing."""
        rows, read = self.read(sequence)
        [activations] = self.activations([read])
        is_read = np.zeros(len(sequence) + 1, dtype=np.int64)  # 1 after a step that the LSTM reads
        is_read[rows + 1] = 1
        n_read = np.cumsum(is_read)  # after 0, 1, ... T steps
        return np.asarray(self.read_prefix_logits(read, activations.lstms)[n_read])

    def read_prefix_logits(self, read: Array, lstms: Sequence[Any]) -> Array:
        """Logits (T' + 1, outputs) float64 after 0, 1, ... T' steps of `read`. lstms: the activations of that run. With
        padding "pre" each row continues it, after the same number of pads.
        """
        arch = self.arch
        top = arch.top
        # Forward layers have the states after each prefix from the given run. A backward direction starts anew at the
        # end of each: `backward_prefixes` does so for a single layer. Other networks run each prefix by itself.
        has_one_layer = len(arch.layers) == 1 and not top.merge_mode.by_unit and arch.pooling != "step"
        if not arch.unidirectional and not has_one_layer:
            return self.logits_after(read, range(len(read) + 1))
        from gatewise.members.prefix import backward_prefixes, pooled_prefixes

        of_directions = []  # for each direction, its pooled states: one array for each part of the pooling
        if top.direction != "backward":
            of_directions.append(pooled_prefixes(arch, lstms[-len(top.directions)]))
        if top.direction != "forward":
            of_directions.append(backward_prefixes(arch, self.parameters, self.ops(), read))
        # The dense layer reads the directions of a part, mean or max, next to each other.
        in_order = [states for of_part in zip(*of_directions, strict=True) for states in of_part]
        pooled = np.concatenate(in_order, axis=1)
        return np.asarray(head(Ops(), self.parameters, arch, pooled))

    def logits_after(self, part: Array, ends: Sequence[int]) -> Array:
        return self.logits(part[:end] for end in ends)

    def step_prefix_logits(self, part: Array, logits: Array) -> Array:
        """Those of no step are the logits of a state of zeros."""
        zeros = np.zeros((1, self.arch.features))
        return np.concatenate([head(Ops(), self.parameters, self.arch, zeros), logits])

    def path_gradients(self, points: Sequence[PathPoints]) -> list[PathGradient]:
        from gatewise.members.path_gradients import lstm_path_gradients

        return lstm_path_gradients(self.arch, self.parameters, points, self.ops().kernel, self.memo)

    @property
    def has_contributions(self) -> bool:
        from gatewise.members.contributions import has_contributions

        return has_contributions(self.arch)

    @property
    def has_channel_parts(self) -> bool:
        one_layer = self.arch.inputs == "channels" and len(self.arch.layers) == 1
        return one_layer and not self.has_binary_gates and not self.clamps

    def contributions(self, score: Array, lstms: Sequence[Any], step: int | None) -> Array | None:
        from gatewise.members.contributions import has_contributions, unit_contributions

        net, top = self.top_run(lstms, step)
        if not has_contributions(net.arch):
            return None
        return unit_contributions(net, score, top)

    def top_run(self, lstms: Sequence[Any], step: int | None) -> tuple[LSTM, tuple[Gates, ...]]:
        """The network and the gates of its top layer (directions,), of all its LSTMs, for the explained prediction. For
        that of a step of a tagger, each direction has read what it reads before the step and the step, and its last
        state is pooled.
        """
        top = tuple(lstms[-len(self.arch.top.directions) :])
        if step is None:
            return self, top
        pooled_last = replace(self, arch=replace(self.arch, pooling="last", crf=False))
        return pooled_last, tuple(gates.held_after(step) for gates in top)

    def preactivations(self, part: Array, lstms: Sequence[Any], gates: Any, column: int) -> dict[str, Preactivation]:
        units = gates.h.shape[1]
        prefix = f"lstm.{gates.layer}.{gates.direction}"
        rows = column + units * np.arange(4)  # of the gates i, f, g, o
        if gates.layer:
            below = [states.h for states in lstms if states.layer == gates.layer - 1]
            x = Ops().merge(below, self.arch.layers[gates.layer - 1].merge_mode)  # (T, D)
        else:
            x = self.embedded(part)
        weight_ih = self.parameters[f"{prefix}.weight_ih"][rows].T.astype(np.float64)
        weight_hh = self.parameters[f"{prefix}.weight_hh"][rows].T.astype(np.float64)
        from_x = x.astype(np.float64) @ weight_ih  # (T, 4)
        order = gates.reading_order
        previous_h = np.concatenate([gates.h0[None], gates.h[order][:-1]])[order]
        from_h = previous_h.astype(np.float64) @ weight_hh
        bias = self.parameters[f"{prefix}.bias"][rows]
        return {gate: Preactivation(from_x[:, n], from_h[:, n], float(bias[n])) for n, gate in enumerate("ifgo")}

    def gate_weights(self, unit: int, layer: int) -> tuple[dict[str, float], Array | None]:
        shape = self.arch.layers[layer]
        number, column = divmod(unit, shape.units)
        bias = self.parameters[f"lstm.{layer}.{shape.directions[number]}.bias"].reshape(4, shape.units)[:, column]
        by_gate = {gate: float(value) for gate, value in zip("ifgo", bias, strict=True)}
        # Only a unit whose h the dense layer reads alone has weights of its own.
        is_read_alone = layer == len(self.arch.layers) - 1 and not self.arch.hidden and not shape.merge_mode.by_unit
        if not is_read_alone:
            return by_gate, None
        return by_gate, self.parameters["dense.weight"][:, unit :: shape.size]

    @property
    def pooling_parts(self) -> list[str]:
        return self.arch.pooling.split("+")

    def note(self, rule: Rule) -> str:
        return ""  # the method's own note says it

    def summary(self) -> list[tuple[str, str, int]]:
        return summary(self.arch)

    def entry(self) -> dict[str, Any]:
        return {"architecture": self.arch.as_dict()}

    def arrays(self) -> dict[str, Array]:
        return dict(self.parameters)

    def to_file(self) -> tuple[dict[str, Any], bytes]:
        stored = pack(self.parameters, self.storage)
        entries = {**self.entry(), "storage": dict(self.storage), "distinct_rows": distinct_rows(stored)}
        return {name: entry for name, entry in entries.items() if entry}, tensors_to_bytes(stored)

    @classmethod
    def from_file(cls, entry: dict[str, Any], raw: bytes, inputs: Inputs, outputs: int, file: str) -> Self:
        """Names, shapes and dtypes are compared with the architecture before any tensor is read. The parameters are
        read-only.
        """
        check_entry(entry, ["architecture"], ["storage", "distinct_rows"], cls.kind)
        arch = Architecture.from_config(entry["architecture"], "config.json: architecture")
        forms = {name: (shape, "float32") for name, shape in parameter_shapes(arch).items()}
        storage = entry.get("storage", {})
        stored = tensors_from_bytes(raw, stored_forms(forms, storage, entry.get("distinct_rows", {})), file)
        return cls(arch, Unpacked(stored, storage), storage)

    def to_onnx(self, graph: Any, padded: PaddedSequences) -> str:
        from gatewise.members.onnx.lstm import lstm_logits

        logits = lstm_logits(graph, self.parameters, self.arch, padded.steps, padded.lengths)
        return str(graph.cast(logits, np.float64))

    @classmethod
    def file_of_onnx(cls, entry: dict[str, Any], constants: Mapping[str, Array]) -> tuple[dict[str, Any], bytes]:
        from gatewise.members.onnx.lstm import parameters_of

        arch = Architecture.from_config(entry["architecture"], "config.json: architecture")
        return cls(arch, parameters_of(arch, constants)).to_file()

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy, without the cached states. A memo, empty, says that the parameters are read-only."""
        memo: dict[str, Any] | None = None
        tables: dict[str, WordTable] | None = None
        if self.memo is not None:
            memo = {}
            tables = {}
        return {**self.__dict__, "parameters": dict(self.parameters), "memo": memo, "tables": tables}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.memo is not None:  # pickle and deepcopy make writable arrays
            for array in self.parameters.values():
                array.setflags(write=False)
            self.__dict__["parameters"] = MappingProxyType(self.parameters)
