"""What a user holds: a network with its encoding, its classes and its card. Raw text or series in, labels out.

>>> import gatewise as gw
>>> model = gw.load("models/tutorial")  # doctest: +SKIP
>>> model.predict(["A film to see twice."])  # doctest: +SKIP
['positive']

Prediction needs NumPy and a kernel, never torch; the glass box is imported when it is opened, so that a verdict does
not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.errors import InputError, ModelFileError
from gatewise.kernels import for_precision
from gatewise.metrics.evaluation import Evaluation, log_probabilities
from gatewise.model.bundled import folder as in_the_box
from gatewise.model.card import EvalResult, ModelMetadata, write_card
from gatewise.model.files import Parts, files_of, parts_from
from gatewise.model.preprocessor import Preprocessor, TextPreprocessor
from gatewise.network.architecture import Architecture, parameter_shapes
from gatewise.network.inference import logits_of
from gatewise.network.ngrams import Ngrams
from gatewise.network.ops import NumpyOps
from gatewise.storage import load_folder, save_folder, table_for
from gatewise.types import Array, Precision

if TYPE_CHECKING:
    from gatewise.data import Labelled
    from gatewise.explain import Clamp, Example, ExplainedNetwork, Explanation, Intervention, Method
    from gatewise.explain.units import UnitsReport

__all__ = ["Evaluation", "Model", "load"]


@dataclass(frozen=True)
class Model:
    """A trained classifier. `classes[k]` is the name of class k; with one logit, it speaks for `classes[1]`.

    ngrams: the linear path beside the network, if there is one: its part is added to the logits.
    precision: what prediction multiplies in, "float32", or "bf16" where the processor can; a choice of whoever holds
    the model, not a part of it. The glass box is always float32.
    """

    architecture: Architecture
    parameters: Mapping[str, Array]
    preprocessor: Preprocessor
    classes: tuple[str, ...]
    metadata: ModelMetadata = field(default_factory=ModelMetadata)
    history: str = ""  # the training history, JSON lines
    units_file: bytes = b""  # what `units` reads
    storage: Mapping[str, str] = field(default_factory=dict)  # how `save` keeps which tensor, where not as it is
    precision: Precision = "float32"
    ngrams: Ngrams | None = None
    # What follows from the parameters alone, kept where they cannot change: the states after so many pads.
    _memo: dict[str, tuple[Array, Array]] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        wanted = 2 if self.architecture.outputs == 1 else self.architecture.outputs
        if len(self.classes) != wanted or len(set(self.classes)) != wanted:
            raise InputError(f"a network of {self.architecture.outputs} logits needs {wanted} distinct classes")
        if self.precision != "float32":
            for_precision(self.precision)  # refused here, with the reason, where it cannot run
        for name, shape in parameter_shapes(self.architecture).items():
            if name not in self.parameters or self.parameters[name].shape != shape:
                raise InputError(f"parameter {name}: want {shape}")
        if self.ngrams is not None:
            self.ngrams.check(self.architecture)
        if not any(array.flags.writeable for array in self.parameters.values()):
            object.__setattr__(self, "_memo", {})

    def logits(self, inputs: Sequence[Any], ops: NumpyOps | None = None) -> Array:
        """Logits (n, outputs) of n texts or series; the order and company of the inputs change only the last bits."""
        return self.logits_of(self.preprocessor.encode_batch(inputs), ops)

    def logits_of(self, sequences: Sequence[Array], ops: NumpyOps | None = None) -> Array:
        """Logits (n, outputs) of n sequences that are encoded already: (length,) token ids or (length, C) channels."""
        ops = ops or NumpyOps(for_precision(self.precision), memo=self._memo)
        logits = logits_of(self.parameters, self.architecture, sequences, ops)
        # The n-grams read the whole sequence; what the network cuts away is words all the same.
        return logits if self.ngrams is None else (logits + self.ngrams.logits(sequences)).astype(logits.dtype)

    def predict_proba(self, inputs: str | Sequence[Any]) -> Array:
        """Probabilities (n, K) float64 of n texts, or of n series (steps, channels).

        Calibrated where `facts.calibrated` says so, on data of that kind alone.

        Raises InputError for an input that cannot be read: an empty text, a lone surrogate, a series of other channels.
        """
        return np.exp(log_probabilities(self.logits([inputs] if isinstance(inputs, str) else inputs)))

    def predict(self, inputs: str | Sequence[Any]) -> list[str]:
        """The most probable class of each input, by name. Errors as `predict_proba`."""
        return [self.classes[k] for k in self.predict_proba(inputs).argmax(axis=1)]

    def evaluate(self, data: Labelled) -> Evaluation:
        """Accuracy, loss and calibration on labelled data; its classes may be any of the model's, InputError for
        others.
        """
        truth = data.labels_among(self.classes)
        if not len(truth):
            raise InputError("there is nothing to evaluate: the data set is empty")
        log_p = log_probabilities(self.logits(data.inputs))
        return Evaluation.of(log_p, truth, self.classes, data.source)

    @property
    def net(self) -> ExplainedNetwork:
        """The network as `gatewise.explain` runs it."""
        from gatewise.explain import ExplainedNetwork

        kernel, unknown = for_precision(self.precision), self.preprocessor.unknown
        return ExplainedNetwork(
            self.parameters, self.architecture, kernel, unknown, ngrams=self.ngrams, memo=self._memo
        )

    def trace(self, item: Any) -> Example:
        """One text or series with the gates and states of every unit at every step, the prefix predictions and more.

        Each part is computed when it is first read, and kept: pass the example to `explain` and `intervene` in place of
        the item, and they do not run the network again. Errors as `predict_proba`.
        """
        from gatewise.explain.example import Example

        if isinstance(item, Example):
            return item
        [sequence] = self.preprocessor.encode_batch([item])
        return Example(self.net, sequence, self.preprocessor.steps(item), item=item)

    def explain(self, item: Any, method: str | Method | None = None) -> Explanation:
        """How much each word (or step) contributed to the prediction for an item, or for an example from `trace`.

        method: a name of `gatewise.explain.METHODS` or a Method; None for the one that measured best on this model.
        Errors as `predict_proba`; InputError for an unknown method.
        """
        from gatewise.explain.explanation import explain_example

        m = self.metadata
        example, calibrated = self.trace(item), m.calibrated is not None
        return explain_example(example, self.classes, method, m.faithfulness, m.explained_by, calibrated)

    def intervene(
        self, item: Any, clamps: Iterable[Clamp] = (), words: Mapping[int | str, str] | None = None
    ) -> Intervention:
        """The prediction for an item, or for an example from `trace`, without and with clamps and replaced words.

        words: new words by step (from 0, after truncation) or by old word, which is replaced at each occurrence. Raises
        InputError for a clamp that does not fit and for a step or word that does not exist.
        """
        from gatewise.explain.intervene import intervene, word_places

        example = self.trace(item)
        if not words:
            return intervene(example, self.classes, clamps)
        if not isinstance(self.preprocessor, TextPreprocessor):
            raise InputError("a series has no words to replace")
        places = word_places(example, words)
        edited = self.preprocessor.replaced(example.item, places)
        changes = [f"'{example.names[place]}' at step {place + 1} = '{word}'" for place, word in places.items()]
        return intervene(example, self.classes, clamps, edited, changes)

    @property
    def units(self) -> UnitsReport | None:
        """The summary of each unit over a data set; None unless `with_units` computed one. Raises ModelFileError for
        any other file.
        """
        from gatewise.explain.units import UnitsReport

        return UnitsReport.from_bytes(self.units_file) if self.units_file else None

    def with_units(self, data: Labelled) -> Model:
        """This model with a report on its units over that data. Raises InputError for classes that it does not have."""
        from gatewise.explain.units import units_over

        sequences, names = (
            self.preprocessor.encode_batch(data.inputs),
            [self.preprocessor.steps(item) for item in data.inputs],
        )
        truth, fingerprint = data.labels_among(self.classes), data.fingerprint()
        report = units_over(self.net, sequences, names, truth, self.classes, data.source, fingerprint)
        return replace(self, units_file=report.to_bytes())

    def with_faithfulness(self, sequences: Sequence[Array]) -> Model:
        """This model with its methods' deletion scores on its card, and the default method that they choose.

        sequences: encoded, of data that did not train it; a small sample of them is drawn, the same one each time, and
        a smaller one for more than 128 units.
        """
        from gatewise.explain.attribution.faithfulness import STEPS, choose, measure_all, sample

        steps = STEPS * 128 // max(128, self.architecture.units)
        rows = sample([min(len(s), self.architecture.max_length or len(s)) for s in sequences], steps=steps)
        if not rows:
            return self
        found = measure_all(self.net, [sequences[row] for row in rows])
        faithfulness = {name: one.faithfulness for name, one in found.items()}
        return replace(self, metadata=replace(self.metadata, faithfulness=faithfulness, explained_by=choose(found)))

    def measured(self, evaluation: Evaluation) -> Model:
        """This model with one more measurement on its card."""
        e = evaluation
        found = EvalResult(e.data, e.n, e.accuracy, e.loss, e.calibration_error)
        return replace(self, metadata=self.metadata.with_result(found))

    def card(self) -> str:
        """The model card, Markdown."""
        return write_card(self.architecture, self.classes, self.metadata, self.ngrams)

    def save(self, path: str | Path, storage: str | Mapping[str, str] | None = None) -> None:
        """Write the model folder: all of it or nothing. Raises ModelFileError naming the path and the reason.

        storage: "float32", "float16" or "int8" for the large tensors, or a table of tensors with "float16" or "int8"
        each (see `gatewise.storage.compact`); None keeps them as they were kept when the model was loaded. Loading
        gives float32 again, rounded. Raises InputError for a storage that cannot be.
        """
        save_folder(path, files_of(self.parts(storage)))

    def parts(self, storage: str | Mapping[str, str] | None = None) -> Parts:
        """What `save` writes. storage: as there."""
        if isinstance(storage, str):
            storage = table_for(self.parameters, storage)
        return Parts(
            self.architecture,
            self.parameters,
            self.preprocessor,
            self.classes,
            self.metadata,
            self.history,
            self.units_file,
            self.storage if storage is None else storage,
            self.ngrams,
        )


def load(path: str | Path | None = None, *, precision: Precision = "float32") -> Model:
    """Open a model folder; None: the one in the box, the sentiment model that comes with the package.

    Nothing in it is executed, and every byte is checked first; raises ModelFileError otherwise. The parameters are
    read-only. precision: see `Model`; raises KernelUnavailable where it cannot run.
    """
    parts = parts_from(load_folder(in_the_box() if path is None else path))
    try:
        return Model(**vars(parts), precision=precision)
    except InputError as error:
        raise ModelFileError(f"{path}: {error}") from error
