"""`Network`: the member that is traced, explained along its steps and intervened in.

`LSTM` is a network of an `Architecture`. Explanations, the server and the model card ask a network what it has, and
never which network it is. What a network does not have is refused, with the reason.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.member import Inputs, Member
from gatewise.members.recurrent_layer import RecurrentLayer
from gatewise.types import Array, InputNouns, Precision

if TYPE_CHECKING:
    from gatewise.kernels.interface import Kernel
    from gatewise.members.clamp import Clamp
    from gatewise.members.gates import Activations, LayerStates
    from gatewise.members.path_gradients import PathGradient, PathPoints
    from gatewise.members.running_network import RunningNetwork
    from gatewise.target import Target


class Network(Member):
    """A member with recurrent layers, which reads steps one after the other.

    A part of a sequence (`part_of`) is what the network reads of it; `read` says which of its steps. parameters: by
    name. precision: of the matrix products. kernel: None for the one of that precision. clamps: gates that every run
    holds at a value. unknown: the token of unknown words, if there is one.
    """

    parameters: Mapping[str, Array]
    storage: Mapping[str, str]
    precision: Precision
    kernel: Kernel | None
    clamps: tuple[Clamp, ...]
    unknown: int | None
    zero_text: ClassVar[str] = "zeros"
    """What a step of zeros stands for, in a series."""

    @abstractmethod
    def changed(self, **fields: Any) -> Self:
        """This network with other fields."""

    @property
    def compressible(self) -> Mapping[str, Array]:
        """The parameters that may be stored in a smaller dtype."""
        return self.parameters

    # What it is

    @property
    @abstractmethod
    def inputs(self) -> Inputs:
        """What it reads."""

    @property
    def nouns(self) -> InputNouns:
        """What it reads, in words."""
        return self.inputs.nouns

    @property
    def channels(self) -> int:
        """C, the values per step of a series; 0 for tokens."""
        return self.inputs.size if self.inputs.kind == "channels" else 0

    @property
    @abstractmethod
    def layers(self) -> tuple[RecurrentLayer, ...]:
        """Its recurrent layers, the lowest first."""

    @property
    @abstractmethod
    def per_step(self) -> bool:
        """Whether each step has logits."""

    @property
    @abstractmethod
    def is_causal(self) -> bool:
        """Whether no state depends on a later step, so that one run has the logits of each prefix."""

    @property
    @abstractmethod
    def not_causal(self) -> str:
        """Why it is not known to be causal, naming the layer or node; "" where it is."""

    @property
    @abstractmethod
    def step_size(self) -> int:
        """About how many numbers a run holds per step: it bounds the batches of explanations."""

    @property
    @abstractmethod
    def products_per_step(self) -> int:
        """About how many multiplications a step takes."""

    @property
    def shortest(self) -> int:
        """The fewest steps that it reads, 0 where it also reads none."""
        return 0

    @property
    def example_shapes(self) -> dict[str, tuple[int, ...]]:
        """Of a network with several inputs: the shape of an example of each, without an axis of the batch."""
        return {}

    @property
    def is_whole(self) -> bool:
        """Whether the numbers of a series that it reads must be whole."""
        return False

    @property
    def max_length(self) -> int:
        """The most steps that it reads, 0 for no limit."""
        return 0

    @property
    def has_pads(self) -> bool:
        """Whether pad steps run before each sequence (padding "pre")."""
        return False

    @property
    def has_binary_gates(self) -> bool:
        """Whether its gates are exactly 0 or 1, so that its gradients are estimates."""
        return False

    @property
    def has_channel_parts(self) -> bool:
        """Whether a step of its only layer is a sum over the channels (`gatewise.explain.attribution.channels`)."""
        return False

    @property
    def float_dtype(self) -> Any:
        """That of its parameters."""
        return np.float32

    @property
    def pooling_parts(self) -> list[str]:
        """What the logits read of the states of the top layer."""
        return []

    @property
    def start_text(self) -> str:
        """What the logits of no step are, in words."""
        return "the bias"

    def empty_text(self, noun: str) -> str:
        """What an empty sequence is, in words. noun: of a step."""
        return f"the prediction without any {noun}"

    @property
    def replaces_steps(self) -> bool:
        """Whether a step is replaced where an explanation takes it away, because the length must stay."""
        return False

    def refusal(self, method: str) -> str:
        """Why an attribution method does not explain it, with the methods that do; "" where it does."""
        return ""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """Its form as plain data, by what it is called: the architecture, or inputs and outputs."""

    def form_rows(self) -> list[tuple[str, str]]:
        """What a summary says of its form besides the layers, by name."""
        return []

    def check_target(self, target: Target) -> None:
        """Raise InputError unless it has the predictions of the target: one per step, or one per sequence."""
        if target.per_step and not self.per_step:
            raise InputError(f"{target.task} needs a network with a prediction per step, and this one has one in all")
        if self.per_step and not target.per_step:
            raise InputError(f"{target.task} needs a network with one prediction in all, and this one has one per step")

    def check_pads(self, length: int) -> None:
        """Raise InputError where sequences padded to `length` steps take too much memory."""

    def check_sequences(self, sequences: Sequence[EncodedSequence]) -> None:
        """Raise InputError naming the row of a sequence that it does not read, such as one that is too long."""

    # What it computes

    def rows(self, length: int) -> NDArray[np.intp]:
        """The numbers (T',) of the steps that it reads of a sequence of `length` steps."""
        return np.arange(length)

    @abstractmethod
    def read(self, part: Any) -> tuple[Array, Any]:
        """The numbers of the steps that it reads (T',), and the part of these steps."""

    def steps_of(self, part: Any) -> Array:
        """The token ids (T,) or channels (T, C) of a part."""
        return np.asarray(part)

    @abstractmethod
    def activations(self, parts: Iterable[Any]) -> Iterator[Activations]:
        """The activations of each sequence, as `read` returns it, in batches."""

    @abstractmethod
    def read_prefix_logits(self, part: Any, lstms: Sequence[LayerStates]) -> Array:
        """Logits (T' + 1, outputs) float64 after 0, 1, ... T' steps of what `read` returned. lstms: the activations of
        that run.
        """

    @abstractmethod
    def logits_after(self, part: Any, ends: Sequence[int]) -> Array:
        """Logits (n, outputs) float64 after the first `ends` steps of what `read` returned, each read by itself."""

    @abstractmethod
    def step_prefix_logits(self, part: Any, logits: Array) -> Array:
        """Of a network with logits per step, here (T', outputs): with those of no step before them (T' + 1, outputs)
        float64.
        """

    @abstractmethod
    def features(self, parts: Sequence[Any]) -> Array:
        """Features (n, features) float32 for other estimators. Raises InputError where it has none."""

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of its inputs, where they have any."""
        return ("inputs",)

    @property
    def main_input(self) -> str:
        """The name of the input with the steps."""
        return "inputs"

    @property
    def series_array(self) -> str | None:
        """The name of the input where its arrays are (B, T, ...), under which a file may hold series."""
        return None

    def outputs_of(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name, of arrays by name. Raises InputError for a network whose outputs have no names."""
        raise InputError("predict_outputs is for a network that is a graph: use predict, predict_proba or logits")

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of its outputs, where they have any."""
        return ()

    @property
    def explained_output(self) -> str:
        """The name of the output that is explained, where outputs have names."""
        return ""

    def outputs_of_rows(self, sequences: Sequence[EncodedSequence]) -> list[dict[str, Array]]:
        """All outputs by name of each sequence, without an axis for the batch. Errors as `outputs_of`."""
        raise InputError("the outputs of this network have no names: only those of a network that is a graph have")

    @abstractmethod
    def running(self, pads: int = 0) -> RunningNetwork:
        """This network at the start of a sequence that it reads step by step. pads: the length to which sequences are
        padded in front with token 0, 0 for none. Raises InputError for a network that cannot, with the reason.
        """

    # What explains it

    @abstractmethod
    def embedded(self, part: Any) -> Array:
        """What the first layer reads of a part: the embeddings (T, D) of token ids, or channels (T, C)."""

    @property
    def embedding_name(self) -> str:
        """The name of the embeddings (V, D) among the parameters. Raises InputError where there is not one table."""
        return "embedding.weight"

    @property
    @abstractmethod
    def embedding(self) -> Array:
        """The embeddings (V, D) of the tokens. Raises InputError where it has none."""

    @abstractmethod
    def path_gradients(self, points: Sequence[PathPoints]) -> list[PathGradient]:
        """The gradients of scores on straight paths of what `embedded` returns, for integrated gradients."""

    @property
    def no_effect(self) -> str:
        """Why its units have no effect of their own, where they have none."""
        return "the directions are merged, so it has no effect of its own"

    @property
    @abstractmethod
    def has_contributions(self) -> bool:
        """Whether each unit of the top layer has a part of its own in the logits."""

    @abstractmethod
    def contributions(self, score: Array, lstms: Sequence[LayerStates], step: int | None) -> Array | None:
        """How much each unit of the top layer changes a score at each step: (T, units) float64; None where units have
        no parts of their own. score (outputs,): the weights of the logits in the score. step: of a network with logits
        per step, the explained one.
        """

    def preactivations(
        self, part: Any, lstms: Sequence[LayerStates], gates: LayerStates, column: int
    ) -> dict[str, Preactivation]:
        """The parts of the preactivation of each gate of a unit, by its name; empty where they are not known. gates:
        those among `lstms` that have the unit, in this column.
        """
        return {}

    def gate_weights(self, unit: int, layer: int) -> tuple[dict[str, float], Array | None]:
        """The bias of each gate of a unit, and what its h adds to the logits (outputs, parts of the pooling), None
        where it has no part of its own.
        """
        return {}, None


@dataclass(frozen=True, eq=False)
class Preactivation:
    """What a gate of a unit reads at each step (T,): the layer below, and the previous step; and its bias."""

    x: Array
    h: Array
    bias: float
