"""What pretraining leaves: an encoding and the weights that a classifier starts from, in a folder like a model's.

>>> import gatewise as gw
>>> pretrained = gw.load_pretrained("pretrained")  # doctest: +SKIP
>>> model = gw.train(texts, labels, pretrained=pretrained)  # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType

from gatewise.errors import InputError, ModelFileError
from gatewise.storage import (
    fields_from,
    json_bytes,
    load_folder,
    parse_json,
    save_folder,
    tensors_from_bytes,
    tensors_to_bytes,
)
from gatewise.storage.markdown import plain
from gatewise.text import TokenEncoding, encoding_from
from gatewise.types import Array

__all__ = ["PretrainedLM", "PretrainedMetadata", "load_pretrained", "pretrained_shapes"]

KIND = "gatewise base"


@dataclass(frozen=True)
class PretrainedMetadata:
    """Where a base comes from. perplexity: of held-out texts, by direction, over the whole vocabulary."""

    gatewise: str = ""
    texts: str = ""  # the source, one line
    fingerprint: str = ""  # SHA-256 over the texts
    count: int = 0
    held_out: int = 0
    words: int = 0  # that the texts hold, each once
    seed: int = 0
    size: str = ""
    epochs: float = 0.0
    seconds: float = 0.0
    perplexity: dict[str, float] = field(default_factory=dict)
    kernel: str = ""
    made: str = ""  # date, UTC
    command: str = ""


@dataclass(frozen=True)
class PretrainedLM:
    """encoding: how texts become ids. parameters, by name: `embedding.weight` (V, D), read-only; and, unless only word
    vectors were trained, `lstm.0.forward.*` and `lstm.0.backward.*`; the decoders that guessed the next word.
    """

    encoding: TokenEncoding
    parameters: Mapping[str, Array]
    metadata: PretrainedMetadata = field(default_factory=PretrainedMetadata)
    history: str = ""  # JSON lines

    @property
    def embedding_dim(self) -> int:
        """D, numbers a word."""
        return int(self.parameters["embedding.weight"].shape[1])

    @property
    def units(self) -> int:
        """H of the LSTMs; 0 where there are only word vectors."""
        bias = self.parameters.get("lstm.0.forward.bias")
        return 0 if bias is None else len(bias) // 4

    @property
    def summary(self) -> str:
        """One line, for the card of what starts from it."""
        f = self.metadata
        return f"language model ({f.size or 'of its own size'}, {f.epochs:g} times {f.words:,} words): {f.texts}"

    def save(self, path: str | Path) -> None:
        """Write the folder: all of it or nothing. Raises ModelFileError naming the path and the reason."""
        config, vocabulary = self.encoding.to_files()
        described = {
            "kind": KIND,
            "vocab_size": self.encoding.rows,
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "preprocessor": config,
            "metadata": asdict(self.metadata),
        }
        files = {
            "config.json": json_bytes(described),
            "base.safetensors": tensors_to_bytes(dict(self.parameters)),
            "README.md": self.card().encode(),
            **vocabulary,
        }
        if self.history:
            files["history.jsonl"] = self.history.encode()
        save_folder(path, files)

    def card(self) -> str:
        """What is known of it, Markdown."""
        f = self.metadata
        network = f"two LSTMs of {self.units} units, one a direction" if self.units else "no LSTM: word vectors alone"
        rows = [
            ("network", f"{self.encoding.rows:,} words, {self.embedding_dim} numbers a word; {network}"),
            ("texts", f.texts),
            ("trained on", f"{f.count:,} texts, {f.words:,} words, {f.epochs:g} times"),
            ("held out", f"{f.held_out:,} texts"),
            *((f"perplexity, {way}", f"{value:.1f}") for way, value in f.perplexity.items()),
            ("seed", str(f.seed)),
            ("training took", f"{f.seconds:.0f} s"),
            ("kernel", f.kernel),
            ("texts SHA-256", f.fingerprint),
            ("made", f.made),
            ("command", f"`{f.command}`" if f.command else ""),
            ("gatewise", f.gatewise),
        ]
        table = [f"| {name} | {plain(value)} |" for name, value in rows if value]
        head = ["# A gatewise base", "", "To start classifiers from: `gatewise train DATA --pretrained` it.", ""]
        return "\n".join([*head, "| | |", "|---|---|", *table, ""])


def load_pretrained(path: str | Path) -> PretrainedLM:
    """Open a folder that `gatewise pretrain` wrote; checked like a model, nothing in it is executed. Raises
    ModelFileError.
    """
    folder = load_folder(path)
    config = parse_json(folder.read("config.json"), "config.json")
    keys = {"kind", "vocab_size", "embedding_dim", "units", "preprocessor", "metadata"}
    if not isinstance(config, dict) or config.get("kind") != KIND:
        raise ModelFileError(f"{path} is not a base that gatewise pretrain wrote")
    if set(config) != keys:
        raise ModelFileError(f"{path}/config.json: must hold {', '.join(sorted(keys))}, and nothing else")
    vocab_size, embedding_dim, units = (config[name] for name in ("vocab_size", "embedding_dim", "units"))
    sizes = (vocab_size, embedding_dim, units)
    if not all(type(n) is int for n in sizes) or vocab_size < 1 or embedding_dim < 1 or units < 0:
        raise ModelFileError(f"{path}/config.json: vocab_size, embedding_dim and units must be whole numbers")
    try:
        encoding = encoding_from(config["preprocessor"], folder.read)
        if not isinstance(encoding, TokenEncoding) or encoding.rows != vocab_size:
            raise ModelFileError(f"{path}: the vocabulary is not one of {vocab_size:,} words and punctuation marks")
        shapes = {name: (shape, "float32") for name, shape in pretrained_shapes(*sizes).items()}
        parameters = tensors_from_bytes(folder.read("base.safetensors"), shapes, "base.safetensors")
        for array in parameters.values():
            array.flags.writeable = False
        metadata = fields_from(PretrainedMetadata, config["metadata"], "metadata")
        history = folder.files.get("history.jsonl", b"").decode()
        for line in history.splitlines():
            json.loads(line)
        return PretrainedLM(encoding, MappingProxyType(parameters), metadata, history)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelFileError(f"{path}/history.jsonl: not lines of JSON in UTF-8") from error
    except InputError as error:
        raise ModelFileError(f"{path}: {error}") from error


def pretrained_shapes(vocab_size: int, embedding_dim: int, units: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter of a base, as the language model trained it; units 0 for word vectors alone."""
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (vocab_size, embedding_dim)}
    for direction in ("forward", "backward"):
        if units:
            shapes[f"lstm.0.{direction}.weight_ih"] = (4 * units, embedding_dim)
            shapes[f"lstm.0.{direction}.weight_hh"] = (4 * units, units)
            shapes[f"lstm.0.{direction}.bias"] = (4 * units,)
        shapes[f"decoder.{direction}.weight"] = (embedding_dim, units or embedding_dim)
    shapes["decoder.bias"] = (vocab_size,)
    return shapes
