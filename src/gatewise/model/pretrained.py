"""`PretrainedLM`, the result of pretraining: an encoding and the parameters that a classifier starts from.

>>> import gatewise as gw
>>> pretrained = gw.load_pretrained("pretrained")  # doctest: +SKIP
>>> model = gw.train(texts, labels, pretrained=pretrained)  # doctest: +SKIP
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from gatewise.errors import ModelFileError, counted
from gatewise.model.card import markdown_table
from gatewise.model.folder import HISTORY, config_of, errors_of, kind_of
from gatewise.network.architecture import language_model_shapes
from gatewise.storage.fields import fields_from
from gatewise.storage.folder import CONFIG, Folder, load_folder, save_folder
from gatewise.storage.strict_json import json_bytes, parse_json
from gatewise.storage.tensors import tensors_from_bytes, tensors_to_bytes
from gatewise.text import encoding_from
from gatewise.text.tokens import TokenEncoding
from gatewise.types import Array

KIND = "gatewise pretrained model"
_KEYS = {"kind", "vocab_size", "embedding_dim", "units", "preprocessor", "metadata"}
_PARAMETERS_FILE = "model.safetensors"
_MAX_HISTORY = 20_000  # lines of history.jsonl, one per evaluation


@dataclass(frozen=True)
class PretrainedMetadata:
    """How a language model was pretrained. perplexity: on the validation texts, by direction, with the full
    vocabulary.
    """

    gatewise: str = ""  # version
    data: str = ""  # the texts, one line
    fingerprint: str = ""  # SHA-256 of the texts
    n_train: int = 0
    n_validation: int = 0
    n_words: int = 0  # in the training texts
    seed: int = 0
    size: str = ""
    epochs: float = 0.0
    seconds: float = 0.0  # training time
    perplexity: dict[str, float] = field(default_factory=dict)
    kernel: str = ""
    created: str = ""  # date, UTC
    command: str = ""


@dataclass(frozen=True)
class PretrainedLM:
    """A pretrained language model. encoding: texts to ids. parameters: read-only float32 arrays by name,
    `embedding.weight` (V, D), the output layers `decoder.*` and, unless only embeddings were trained, the two LSTMs
    `lstm.0.forward.*` and `lstm.0.backward.*`. history_jsonl: what `history` reads.
    """

    encoding: TokenEncoding
    parameters: Mapping[str, Array]
    metadata: PretrainedMetadata = field(default_factory=PretrainedMetadata)
    history_jsonl: str = ""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """From pickle and deepcopy, which make writable arrays."""
        self.__dict__.update(state)
        for array in self.parameters.values():
            array.setflags(write=False)

    @property
    def embedding_dim(self) -> int:
        """D, the embedding size."""
        return int(self.parameters["embedding.weight"].shape[1])

    @property
    def units(self) -> int:
        """H of the LSTMs; 0 if only embeddings were trained."""
        bias = self.parameters.get("lstm.0.forward.bias")
        return 0 if bias is None else len(bias) // 4

    @property
    def history(self) -> list[dict[str, Any]]:
        """A row per measurement of the training, by name."""
        return [json.loads(line) for line in self.history_jsonl.splitlines()]

    @property
    def summary(self) -> str:
        """One line for the card of a model that starts from this one."""
        m = self.metadata
        return f"language model ({m.size or 'custom size'}, {self._epochs} of {m.n_words:,} words): {m.data}"

    @property
    def _epochs(self) -> str:
        return f"{self.metadata.epochs:g} epoch{'s' * (self.metadata.epochs != 1)}"

    def save(self, path: str | Path) -> None:
        """Write the folder, completely or not at all. Raises ModelFileError naming the path and the reason."""
        save_folder(path, self.to_files())

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """The language model in a folder that was read. Raises ModelFileError as `load_pretrained`."""
        with errors_of(folder):
            if kind_of(folder) != KIND:
                raise ModelFileError(f"{folder.path} is not a pretrained model: gatewise pretrain writes one")
            config = config_of(folder, KIND, _KEYS)
            vocab_size, embedding_dim, units = sizes = [
                config[name] for name in ("vocab_size", "embedding_dim", "units")
            ]
            if not all(type(n) is int for n in sizes) or vocab_size < 1 or embedding_dim < 1 or units < 0:
                raise ModelFileError(f"{CONFIG}: vocab_size, embedding_dim and units must be whole numbers")
            encoding = encoding_from(config["preprocessor"], folder.read)
            if not isinstance(encoding, TokenEncoding) or encoding.vocab_size != vocab_size:
                raise ModelFileError(f"the vocabulary is not a 'tokens' vocabulary of size {vocab_size:,}")
            shapes = {name: (shape, "float32") for name, shape in language_model_shapes(*sizes).items()}
            parameters = tensors_from_bytes(folder.read(_PARAMETERS_FILE), shapes, _PARAMETERS_FILE)
            for array in parameters.values():
                array.flags.writeable = False
            metadata = fields_from(PretrainedMetadata, config["metadata"], f"{CONFIG}: metadata")
            history = folder.files.get(HISTORY, b"").decode()
            lines = history.splitlines()
            if len(lines) > _MAX_HISTORY:
                raise ModelFileError(f"{HISTORY}: more than {_MAX_HISTORY:,} lines")
            for number, line in enumerate(lines, start=1):
                parse_json(line.encode(), f"{HISTORY}:{number}")
            return cls(encoding, parameters, metadata, history)

    def to_files(self) -> dict[str, bytes]:
        """The files of the folder by name."""
        preprocessor, vocabulary = self.encoding.to_files()
        config = {
            "kind": KIND,
            "vocab_size": self.encoding.vocab_size,
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "preprocessor": preprocessor,
            "metadata": asdict(self.metadata),
        }
        files = {
            CONFIG: json_bytes(config),
            _PARAMETERS_FILE: tensors_to_bytes(dict(self.parameters)),
            "README.md": self.card().encode(),
            **vocabulary,
        }
        if self.history_jsonl:
            files[HISTORY] = self.history_jsonl.encode()
        return files

    def card(self) -> str:
        """The model card, Markdown."""
        m = self.metadata
        network = f"two LSTMs of {self.units} units, one per direction" if self.units else "embeddings only, no LSTM"
        rows = [
            ("vocabulary size", f"{self.encoding.vocab_size:,}"),
            ("network", f"embedding size {self.embedding_dim}; {network}"),
            ("data", m.data),
            ("training set", f"{counted(m.n_train, 'text')}, {m.n_words:,} words, {self._epochs}"),
            ("validation set", counted(m.n_validation, "text")),
            *((f"perplexity, {direction}", f"{value:.1f}") for direction, value in m.perplexity.items()),
            ("seed", str(m.seed)),
            ("training time", f"{m.seconds:.0f} s"),
            ("kernel", m.kernel),
            ("data SHA-256", m.fingerprint),
            ("created", m.created),
            ("command", f"`{m.command}`" if m.command else ""),
            ("gatewise", m.gatewise),
        ]
        usage = "Train a classifier from it: `gatewise train DATA --pretrained DIR`."
        table = markdown_table([(name, value) for name, value in rows if value])
        return "\n".join(["# A gatewise pretrained model", "", usage, "", *table, ""])


def load_pretrained(path: str | Path) -> PretrainedLM:
    """Open a folder that `gatewise pretrain` wrote. It is checked like a model folder, and nothing in it is executed.
    Raises ModelFileError naming the file and the reason.

    >>> gw.load_pretrained("pretrained").units  # doctest: +SKIP
    256
    """
    return PretrainedLM.from_folder(load_folder(path))
