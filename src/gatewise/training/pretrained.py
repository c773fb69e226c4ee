"""What training starts from: a language model of `gatewise pretrain`, or any classifier of gatewise.

Both give the vocabulary, the embeddings and the LSTM layers. The fits of `gatewise.training.members` map the dense
layer and the n-grams of a classifier to the new classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gatewise.errors import InputError
from gatewise.model.folder import kind_of, open_folder
from gatewise.model.model import Model
from gatewise.model.preprocessor import Preprocessor, TextPreprocessor, reader_of_arrays
from gatewise.model.pretrained import KIND, PretrainedLM
from gatewise.network.architecture import Architecture
from gatewise.text import Encoding, SubwordEncoding
from gatewise.text.index import IndexEncoding
from gatewise.text.tokens import RESPELLING
from gatewise.types import Array, Task

if TYPE_CHECKING:
    from gatewise.data.labelled import Labelled
    from gatewise.model.arrays_preprocessor import ArraysPreprocessor

BUNDLED = "bundled"


@dataclass(frozen=True)
class Pretrained:
    """parameters: embedding and LSTM layers by name, float32. fixed: the values of the recipe's fields that follow from
    the parameters, by `group.field`. free: the names of the fixed fields whose default may differ from the parameters.
    The pretrained value replaces the default; a value that a user sets must be equal. summary: one line for the card.
    model: the classifier, None for a language model.
    """

    preprocessor: Preprocessor
    parameters: Mapping[str, Array]
    fixed: Mapping[str, Any]
    free: tuple[str, ...]
    summary: str
    model: Model | None = None

    @classmethod
    def of(cls, pretrained: PretrainedLM | Model | str | Path | Pretrained) -> Pretrained:
        """From a model, the folder of one, or "bundled", the bundled sentiment model.

        Raises ModelFileError for a folder that is neither, InputError for anything else.
        """
        if isinstance(pretrained, Pretrained):
            return pretrained
        model = opened(pretrained)
        if isinstance(model, PretrainedLM):
            return _from_language_model(model)
        if _is_bundled(pretrained):
            return _from_classifier(model, "the bundled model")
        return _from_classifier(model, "classifier")

    def texts(self, inputs: Any) -> Any:
        """Lists of token ids as texts, where the model reads ids. Other inputs as they are."""
        preprocessor = self.preprocessor
        if not isinstance(preprocessor, TextPreprocessor) or not preprocessor.takes_ids:
            return inputs
        return cast(IndexEncoding, preprocessor.encoding).texts(inputs)

    @property
    def arrays(self) -> ArraysPreprocessor | None:
        """What reads the rows of a network with several inputs; None for another one."""
        return reader_of_arrays(self.preprocessor)

    @property
    def network_kind(self) -> str:
        """The kind of network that starts from the model, as of `gatewise.members`: "lstm", or "graph"."""
        return "lstm" if self.model is None else self.model.ensemble.network.kind

    @property
    def extends_vocabulary(self) -> bool:
        """Whether the network can get embeddings of further words."""
        return self.network_kind == "lstm"

    @property
    def default_task(self) -> Task | None:
        """The task of a training without one. None where the labels say it: with a language model, and with a
        classifier, whose labels may be one or several per row.
        """
        if self.model is None or self.model.task == "classification":
            return None
        return self.model.task

    def with_names(self, labelled: Labelled) -> Labelled:
        """The data with the names of the model's numbers or labels, where their columns have none."""
        if self.model is None:
            return labelled
        return labelled.with_names_of(self.model.target)

    @property
    def has_lstm(self) -> bool:
        """Whether an LSTM was trained, and not embeddings alone or a network of any form."""
        return any(name.startswith("lstm.") for name in self.parameters)

    def shape_of(self, arch: Architecture) -> Architecture:
        """The network that starts from the model: the recipe's, or where no recipe names its layers one with these."""
        if self.model is None or self.network_kind != "lstm":
            return arch
        own = self.model.architecture
        recipe_names_layers = own.stacked_fields() is not None and own.pooling != "step"
        if recipe_names_layers:
            return arch
        return replace(arch, layers=own.layers, hidden=own.hidden, pooling=own.pooling)

    def classifier(self, task: Task) -> Model | None:
        """The model, where both it and this task are about classes."""
        return self.of_task(task) if task in ("classification", "tagging") else None

    def of_task(self, task: Task) -> Model | None:
        """The model, where it has this task: its logits, or its numbers, are then mapped to the new ones."""
        if self.model is None or self.model.task != task:
            return None
        return self.model

    def fingerprint(self) -> str:
        """SHA-256 of all that training takes from the model."""
        digest = hashlib.sha256()
        for name, array in sorted(self.parameters.items()):
            digest.update(name.encode() + array.tobytes())
        if self.model is not None:
            digest.update(self.model.fingerprint.encode())
        return digest.hexdigest()


def opened(pretrained: Any) -> PretrainedLM | Model:
    """The model, that of a folder, or "bundled". Raises as `Pretrained.of`."""
    if isinstance(pretrained, PretrainedLM | Model):
        return pretrained
    if not isinstance(pretrained, str | Path):
        raise InputError(f"pretrained must be a model, its folder or 'bundled', not {type(pretrained).__name__}")
    path = None if _is_bundled(pretrained) else pretrained
    folder = open_folder(path)
    if kind_of(folder) == KIND:
        return PretrainedLM.from_folder(folder)
    return Model.from_folder(folder)


def _is_bundled(pretrained: Any) -> bool:
    return isinstance(pretrained, str | Path) and str(pretrained) == BUNDLED


def _from_language_model(pretrained: PretrainedLM) -> Pretrained:
    fixed = _of_tokens(pretrained.encoding, pretrained.embedding_dim)
    free = (*fixed, "lstm.units")
    fixed |= {"lstm.gate": "sigmoid", "lstm.padding": "none"}
    if pretrained.units:
        fixed |= {"lstm.units": pretrained.units, "lstm.layers": 1, "lstm.bidirectional": True}
    preprocessor = TextPreprocessor(pretrained.encoding)
    return Pretrained(preprocessor, pretrained.parameters, fixed, free, pretrained.summary)


def _of_tokens(encoding: Encoding, embedding_dim: int, needed: Sequence[str] = ()) -> dict[str, Any]:
    """The fields of a recipe that say what a token is. needed: the tokenizations that the labels of the model allow."""
    return {
        "text.vocab_size": encoding.vocab_size,
        "lstm.embedding_dim": embedding_dim,
        "text.tokenization": _tokenization(encoding, needed),
    }


def _tokenization(encoding: Encoding, needed: Sequence[str]) -> str:
    if isinstance(encoding, SubwordEncoding):
        return "subwords"
    if getattr(encoding, "pipeline", 0) == RESPELLING:
        return "respelled"
    if needed and encoding.kind not in needed:
        return needed[0]
    if encoding.kind in ("keras", "spaces", "word-features"):
        return str(encoding.kind)
    return "words"


def _from_classifier(model: Model, what: str) -> Pretrained:
    """what: the model in a word or two, for the summary."""
    recipe = model.metadata.recipe or "unknown recipe"
    classes = ", ".join(map(str, model.classes))
    summary = f"{what} ({recipe}; {classes})"
    if model.metadata.data:
        summary += f": {model.metadata.data}"
    network = model.ensemble.network
    if network.kind != "lstm":
        return _from_network(model, summary)
    arch = model.architecture
    fixed: dict[str, Any] = {f"lstm.{name}": value for name, value in _lstm_fields(arch).items()}
    if isinstance(model.preprocessor, TextPreprocessor):
        fixed |= _of_tokens(model.preprocessor.encoding, arch.embedding_dim, model.target.tokenizations)
    return Pretrained(model.preprocessor, model.parameters, fixed, tuple(fixed), summary, model)


def _from_network(model: Model, summary: str) -> Pretrained:
    """From a network of any form, whose layers no field of a recipe describes."""
    fixed: dict[str, Any] = {}
    if isinstance(model.preprocessor, TextPreprocessor):
        encoding = model.preprocessor.encoding
        fixed["text.vocab_size"] = encoding.vocab_size
        fixed["text.tokenization"] = _tokenization(encoding, model.target.tokenizations)
    return Pretrained(model.preprocessor, {}, fixed, tuple(fixed), summary, model)


def _lstm_fields(arch: Architecture) -> dict[str, Any]:
    """The fields of a recipe's LSTM that the parameters of a classifier fix."""
    pads_in_front = arch.padding == "pre"
    fields: dict[str, Any] = {}
    stacked = arch.stacked_fields()
    if stacked:
        fields |= stacked
    elif pads_in_front:
        fields["bidirectional"] = False
    fields["gate"] = arch.gate
    fields["crf"] = arch.crf
    fields["padding"] = arch.padding
    # Pads in front go through the LSTM, so their number changes the states.
    if pads_in_front:
        fields["max_length"] = arch.max_length
        fields["truncation"] = arch.truncation
    if arch.pooling != "step":  # which no recipe has
        fields["pooling"] = arch.pooling
    return fields
