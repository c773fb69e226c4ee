"""What a user holds: a network with its encoding, its classes and its card. Raw text or series in, labels out.

>>> import gatewise as gw
>>> model = gw.load("models/tutorial")  # doctest: +SKIP
>>> model.predict(["A film to see twice."])  # doctest: +SKIP
['positive']

Prediction needs NumPy and a kernel, never torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatewise.architecture import Architecture, parameter_shapes
from gatewise.batch import Batch
from gatewise.card import Facts, Measured, write_card
from gatewise.cell import Array
from gatewise.encoder import Encoder, encoder_from
from gatewise.errors import InputError, ModelFileError, quote
from gatewise.glassbox import Explanation, Trace, explain, trace
from gatewise.network import forward
from gatewise.ops import NumpyOps
from gatewise.storage import (
    fields_from,
    json_bytes,
    load_folder,
    parse_json,
    save_folder,
    tensors_from_bytes,
    tensors_to_bytes,
)
from gatewise.verdict import log_probabilities, scores

if TYPE_CHECKING:
    from gatewise.data import Labelled

__all__ = ["Evaluation", "Model", "load"]

STEPS_AT_ONCE = 65_536  # steps a prediction batch may hold: bounds its memory, 4H floats a step


@dataclass(frozen=True)
class Evaluation:
    """Accuracy (0..1), its standard error, mean cross-entropy (nats), and confusion[true][predicted] over n
    sequences.
    """

    n: int
    accuracy: float
    standard_error: float
    loss: float
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[str, ...]
    data: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Model:
    """A trained classifier. `classes[k]` is the name of class k; with one logit, it speaks for `classes[1]`."""

    architecture: Architecture
    parameters: Mapping[str, Array]
    encoder: Encoder
    classes: tuple[str, ...]
    facts: Facts = field(default_factory=Facts)
    history: str = ""  # the training history, JSON lines

    def __post_init__(self) -> None:
        wanted = 2 if self.architecture.outputs == 1 else self.architecture.outputs
        if len(self.classes) != wanted or len(set(self.classes)) != wanted:
            raise InputError(f"a network of {self.architecture.outputs} logits needs {wanted} distinct classes")
        for name, shape in parameter_shapes(self.architecture).items():
            if name not in self.parameters or self.parameters[name].shape != shape:
                raise InputError(f"parameter {name}: want {shape}")

    def logits(self, inputs: Sequence[Any], ops: NumpyOps | None = None) -> Array:
        """Logits (n, outputs) of n texts or series; the order and company of the inputs change only the last bits."""
        return self.logits_of(self.encoder.encode_all(inputs), ops)

    def logits_of(self, sequences: Sequence[Array], ops: NumpyOps | None = None) -> Array:
        """Logits (n, outputs) of n sequences that are encoded already: (length,) token ids or (length, C) channels."""
        out = np.zeros((len(sequences), self.architecture.outputs), dtype=np.float32)
        ops = ops or NumpyOps()
        for rows in _chunks([len(s) for s in sequences]):
            batch = Batch.of([sequences[n] for n in rows], self.architecture)
            out[rows] = forward(ops, self.parameters, self.architecture, batch)
        return out

    def predict_proba(self, inputs: str | Sequence[Any]) -> Array:
        """Probabilities (n, K) float64 of n texts, or of n series (steps, channels). Not calibrated.

        Raises InputError for an input that cannot be read: an empty text, a lone surrogate, a series of other channels.
        """
        return np.exp(log_probabilities(self.logits([inputs] if isinstance(inputs, str) else inputs)))

    def predict(self, inputs: str | Sequence[Any]) -> list[str]:
        """The most probable class of each input, by name. Errors as `predict_proba`."""
        return [self.classes[k] for k in self.predict_proba(inputs).argmax(axis=1)]

    def evaluate(self, data: Labelled) -> Evaluation:
        """Accuracy and loss on labelled data; its classes may be any of the model's. Raises InputError for others."""
        unknown = [c for c in data.classes if c not in self.classes]
        if unknown:
            raise InputError(
                f"the model does not know class {quote(unknown[0])}; it has {', '.join(map(quote, self.classes))}"
            )
        if not len(data.labels):
            raise InputError("there is nothing to evaluate: the data set is empty")
        truth = np.array([self.classes.index(c) for c in data.classes])[data.labels]
        log_p = log_probabilities(self.logits(data.inputs))
        accuracy, loss = scores(log_p, truth)
        predicted = log_p.argmax(axis=1)
        n, k = len(truth), len(self.classes)
        confusion = np.bincount(truth * k + predicted, minlength=k * k).reshape(k, k)
        return Evaluation(
            n=n,
            accuracy=accuracy,
            standard_error=(accuracy * (1 - accuracy) / n) ** 0.5,
            loss=loss,
            confusion=tuple(tuple(int(x) for x in row) for row in confusion),
            classes=self.classes,
            data=data.source,
        )

    def trace(self, item: Any) -> Trace:
        """i, f, g, o, c, h of every unit at every step, from the kernel that predicts. See
        `gatewise.glassbox.Trace`.
        """
        return trace(self.parameters, self.architecture, self._one(item), self.encoder.steps(item))

    def explain(self, item: Any, method: str | None = None) -> Explanation:
        """How each word (or step) moved the verdict. See `gatewise.glassbox.explain` for the methods."""
        sequence = self._one(item)
        return explain(self.parameters, self.architecture, sequence, self.encoder.steps(item), self.classes, method)

    def _one(self, item: Any) -> Array:
        sequence: Array = self.encoder.encode_all([item])[0]
        return sequence

    def measured(self, evaluation: Evaluation) -> Model:
        """This model with one more measurement on its card."""
        found = Measured(evaluation.data, evaluation.n, evaluation.accuracy, evaluation.loss)
        return replace(self, facts=self.facts.with_measured(found))

    def card(self) -> str:
        """The model card, Markdown."""
        return write_card(self.architecture, self.classes, self.facts)

    def save(self, path: str | Path) -> None:
        """Write the model folder: all of it or nothing. Raises ModelFileError naming the path and the reason."""
        config, vocabulary = self.encoder.to_files()
        described = {
            "architecture": asdict(self.architecture),
            "classes": list(self.classes),
            "encoder": config,
            "facts": asdict(self.facts),
        }
        files = {
            "config.json": json_bytes(described),
            "model.safetensors": tensors_to_bytes(dict(self.parameters)),
            "README.md": self.card().encode(),
            **vocabulary,
        }
        if self.history:
            files["history.jsonl"] = self.history.encode()
        save_folder(path, files)


def load(path: str | Path) -> Model:
    """Open a model folder. Nothing in it is executed, and every byte is checked first; raises ModelFileError
    otherwise.
    """
    folder = load_folder(path)
    config = parse_json(folder.read("config.json"), "config.json")
    if not isinstance(config, dict) or set(config) != {"architecture", "classes", "encoder", "facts"}:
        raise ModelFileError(
            f"{path}/config.json: must hold architecture, classes, encoder and facts, and nothing else"
        )
    classes = config["classes"]
    if not isinstance(classes, list) or not all(isinstance(c, str) for c in classes):
        raise ModelFileError(f"{path}/config.json: classes must be a list of names")
    try:
        arch = fields_from(Architecture, config["architecture"], "architecture")
        encoder = encoder_from(config["encoder"], folder.read)
        encoder.check(arch)
        shapes = {name: (shape, "float32") for name, shape in parameter_shapes(arch).items()}
        parameters = tensors_from_bytes(folder.read("model.safetensors"), shapes)
        facts = fields_from(Facts, config["facts"], "facts")
        history = folder.files.get("history.jsonl", b"").decode()
        return Model(arch, parameters, encoder, tuple(classes), facts, history)
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{path}/history.jsonl: not UTF-8 at byte {error.start}") from error
    except InputError as error:
        raise ModelFileError(f"{path}: {error}") from error


def _chunks(lengths: list[int]) -> Iterator[NDArray[np.int64]]:
    """Row numbers, similar lengths together, at most STEPS_AT_ONCE steps (or one sequence) at a time."""
    order = np.argsort(lengths, kind="stable")
    start = total = 0
    for place, row in enumerate(order):
        total += lengths[row]
        if total > STEPS_AT_ONCE and place > start:
            yield order[start:place]
            start, total = place, lengths[row]
    if start < len(order):
        yield order[start:]
