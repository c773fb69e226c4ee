"""The LSTM of a model: embedding -> LSTM layers -> pooling -> dense, the member whose gates can be read and clamped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.kernels import for_precision, read_only
from gatewise.members.member import Inputs, Member, PaddedSequences, Rule, check_entry
from gatewise.network.architecture import Architecture, parameter_shapes, summary
from gatewise.network.batch import Batch, chunks, truncate
from gatewise.network.forward import features, forward, head, in_batches
from gatewise.network.ops import Ops
from gatewise.ragged import starts_of
from gatewise.storage.compact import Unpacked, distinct_rows, pack, stored_forms
from gatewise.storage.tensors import tensors_from_bytes, tensors_to_bytes
from gatewise.types import Array, Precision

if TYPE_CHECKING:
    from gatewise.kernels.interface import Kernel
    from gatewise.members.clamp import Clamp
    from gatewise.members.gates import Activations, Gates

_STEPS_PER_BATCH = 65_536  # bounds the memory of explanations that run a quadratic number of steps
_STATES_PER_BATCH = 1 << 23  # numbers: steps times the units of a layer


@dataclass(frozen=True, eq=False)
class LSTM(Member):
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
    kind: ClassVar[str] = "lstm"
    noun: ClassVar[str] = "LSTM"

    def __post_init__(self) -> None:
        given = self.parameters
        shapes = given.shapes if isinstance(given, Unpacked) else {name: one.shape for name, one in given.items()}
        for name, shape in parameter_shapes(self.arch).items():
            if shapes.get(name) != shape:
                raise InputError(f"parameter {name} must have shape {shape}")
        if self.kernel is None and self.precision != "float32":
            for_precision(self.precision)  # raises KernelUnavailable with the reason
        if isinstance(given, Unpacked) or not any(array.flags.writeable for array in given.values()):
            object.__setattr__(self, "memo", {})

    def changed(self, **fields: Any) -> Self:
        """This LSTM with other fields. It keeps the cached pad states where these do not change."""
        found = replace(self, **fields)
        same = all(
            getattr(found, name) is getattr(self, name) for name in ("arch", "parameters", "precision", "kernel")
        )
        if same and not any(clamp.pads for clamp in (*self.clamps, *found.clamps)):
            object.__setattr__(found, "memo", self.memo)
        return found

    @property
    def outputs(self) -> int:
        return self.arch.outputs

    @property
    def inputs(self) -> Inputs:
        """What it reads."""
        return Inputs(self.arch.inputs, self.arch.vocab_size)

    def check(self, inputs: Inputs) -> None:
        if (inputs.kind, inputs.size) != (self.arch.inputs, self.arch.vocab_size):
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
            return Ops(kernel, keep, self.memo)
        from gatewise.members.clamp import ClampedOps  # a prediction does without

        return ClampedOps(self.arch, self.clamps, kernel, keep, self.memo)

    @np.errstate(over="ignore", invalid="ignore")
    def logits(self, sequences: Iterable[Array]) -> Array:
        """Logits (n, outputs) float64. Weights that are too large can make them infinite or NaN
        (`gatewise.target.check_logits`).
        """
        if isinstance(sequences, list | tuple):
            return in_batches(forward, self.parameters, self.arch, sequences, self.ops()).astype(np.float64)
        from gatewise.system.cancel import check_cancelled  # for explanations, which a user may give up

        steps = min(_STEPS_PER_BATCH, _STATES_PER_BATCH // (self.arch.top.size))
        parts = [np.zeros((0, self.outputs))]
        for some in chunks(sequences, steps):
            check_cancelled()
            parts.append(self.logits(some))
        return np.concatenate(parts)

    def features(self, sequences: Sequence[Array]) -> Array:
        """The pooled states (n, features) float32: inputs of the dense layers. Raises InputError without pooling."""
        if self.arch.pooling == "none":
            raise InputError("the LSTM has no pooled states: with pooling 'none' every step has a prediction")
        return in_batches(features, self.parameters, self.arch, sequences, self.ops())

    def rows(self, length: int) -> NDArray[np.intp]:
        """The numbers (T',) of the steps that the LSTM reads of a sequence of `length` steps."""
        return np.asarray(truncate(np.arange(length), self.arch))

    def read(self, steps: Array) -> tuple[Array, Array]:
        """The numbers of the steps that the LSTM reads (T',), and these of the steps (T, ...): (T', ...)."""
        rows = self.rows(len(steps))
        return rows, np.asarray(steps)[rows]

    def embedded(self, read: Array) -> Array:
        """What the first layer reads of steps, or of one: the embeddings (T, D) of token ids (T,), or channels (T, C)
        as they are.
        """
        if self.arch.inputs == "channels":
            return read
        return np.asarray(self.parameters["embedding.weight"][read])

    def activations(self, sequences: Iterable[Array]) -> Iterator[Activations]:
        """The gates and states of each sequence, as `read` returns it, in batches."""
        from gatewise.members.gates import STEPS_PER_BATCH, Activations, Gates

        for some in chunks(sequences, STEPS_PER_BATCH):
            ops, batch = self.ops(keep=True), Batch.of(some, self.arch)
            logits = np.asarray(forward(ops, self.parameters, self.arch, batch), dtype=np.float64)
            runs = []
            for layer, direction, name in self.arch.lstms():
                [saved] = ops.saved_activations[name]
                runs.append((layer, direction, np.split(saved.gates(), 4, axis=-1), saved))
            for n, (start, length) in enumerate(zip(starts_of(batch.lengths), batch.lengths, strict=True)):
                rows = slice(start, start + length)
                lstms = tuple(
                    Gates(layer, direction, i[rows], f[rows], g[rows], o[rows], s.c[rows], s.h[rows], s.h0[n], s.c0[n])
                    for layer, direction, (i, f, g, o), s in runs
                )
                yield Activations(
                    lstms,
                    logits[rows] if self.arch.pooling == "none" else logits[n],
                    0 if batch.pads is None else int(batch.pads[n]),
                )

    def prefix_logits(self, sequence: Array) -> Array:
        """As `Member`; a step that the truncation removes changes nothing."""
        rows, read = self.read(sequence)
        [(lstms, _, _)] = self.activations([read])
        done = np.zeros(len(sequence) + 1, dtype=np.int64)
        done[rows + 1] = 1
        return np.asarray(self.read_prefix_logits(read, lstms)[np.cumsum(done)])

    def read_prefix_logits(self, read: Array, lstms: Sequence[Gates]) -> Array:
        """Logits (T' + 1, outputs) float64 after 0, 1, ... T' steps of `read`. lstms: the activations of that run. With
        padding "pre" each row continues it, after the same number of pads.
        """
        arch, top = self.arch, self.arch.top
        one = len(arch.layers) == 1 and top.merge == "concat" and arch.pooling != "step"
        if not arch.unidirectional and not one:
            return self.logits(read[:t] for t in range(len(read) + 1))
        from gatewise.members.prefix import backward_prefixes, pooled_prefixes

        directions = []
        if top.direction != "backward":
            directions.append(pooled_prefixes(arch, lstms[-len(top.directions)]))
        if top.direction != "forward":
            directions.append(backward_prefixes(arch, self.parameters, self.ops(), read))
        pooled = np.concatenate([part for parts in zip(*directions, strict=True) for part in parts], axis=1)
        return np.asarray(head(Ops(), self.parameters, arch, pooled))

    def note(self, rule: Rule) -> str:
        return ""  # the method's own note says it

    def summary(self) -> list[tuple[str, str, int]]:
        return summary(self.arch)

    def entry(self) -> dict[str, Any]:
        return {"architecture": asdict(self.arch)}

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
        table = entry.get("storage", {})
        stored = tensors_from_bytes(raw, stored_forms(forms, table, entry.get("distinct_rows", {})), file)
        return cls(arch, Unpacked(stored, table), table)

    def to_onnx(self, graph: Any, padded: PaddedSequences) -> str:
        from gatewise.members.onnx.lstm import lstm_logits

        return str(graph.cast(lstm_logits(graph, self.parameters, self.arch, padded.steps, padded.lengths), np.float64))

    @classmethod
    def file_of_onnx(cls, entry: dict[str, Any], constants: Mapping[str, Array]) -> tuple[dict[str, Any], bytes]:
        from gatewise.members.onnx.lstm import parameters_of

        arch = Architecture.from_config(entry["architecture"], "config.json: architecture")
        return cls(arch, parameters_of(arch, constants)).to_file()

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy, without the cached states."""
        return {**self.__dict__, "parameters": dict(self.parameters), "memo": None if self.memo is None else {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.memo is not None:  # pickle and deepcopy make writable arrays
            for array in self.parameters.values():
                array.setflags(write=False)
            self.__dict__["parameters"] = MappingProxyType(self.parameters)
