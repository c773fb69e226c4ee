"""One set of weights for both servers: the tutorial's sizes, masked, with words of the real reviews."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.reviews import EMBEDDING_DIM, LENGTH, UNITS, VOCAB_SIZE, weights
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.network.architecture import Architecture
from gatewise.text import KerasEncoding, keras_index


def write(texts: list[str], folder: Path) -> Path:
    """The model folder, with weights.npz and words.json next to it for ONNX Runtime. The weights are random, because
    speed does not depend on them, and scaled so that predictions differ between texts. The recurrent weights stay
    small: three times as large, they enlarge a rounding error over 900 steps to 0.4 of a probability.
    """
    index = keras_index(texts)
    words = sorted(index, key=index.__getitem__)[: VOCAB_SIZE - 4]
    encoding = KerasEncoding({word: rank for rank, word in enumerate(words, 1)}, VOCAB_SIZE)
    arch = Architecture.stacked(
        "tokens", vocab_size=VOCAB_SIZE, embedding_dim=EMBEDDING_DIM, units=UNITS, max_length=LENGTH
    )
    drawn = {name: array if name == "weight_hh" else 3 * array for name, array in weights().items()}
    named = {
        name if name.startswith(("embedding", "dense")) else f"lstm.0.forward.{name}": array
        for name, array in drawn.items()
    }
    model = Model.of_network(arch, named, TextPreprocessor(encoding), ("negative", "positive"))
    model.save(folder / "reviews")
    np.savez(folder / "weights.npz", length=np.array(LENGTH), **drawn)  # type: ignore[arg-type]
    (folder / "words.json").write_text(json.dumps(words), encoding="utf-8")
    return folder / "reviews"
