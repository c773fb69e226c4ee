"""Models from PyTorch modules and Keras models of the shape embedding -> LSTM -> linear.

>>> import gatewise as gw
>>> model = gw.from_torch(module, ["[PAD]", "[UNK]", "a", "good", "film"], ["no", "yes"])  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

from gatewise.errors import InputError
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.network.architecture import Architecture
from gatewise.network.forward import forward, in_batches
from gatewise.target import Target
from gatewise.text import Encoding, TokenEncoding
from gatewise.types import Array, Task

_CHECKED = 20  # random sequences that both compute
_TOLERANCE = 1e-4  # of a logit


def from_torch(
    module: Any,
    vocabulary: Sequence[str] | Encoding,
    classes: Sequence[str],
    *,
    task: Task = "classification",
    pooling: Literal["last", "mean", "max", "mean+max"] = "last",
    padding: Literal["none", "pre"] = "none",
    max_length: int = 0,
) -> Model:
    """A model from a torch.nn.Module with one Embedding, one LSTM (any layers and directions) and one Linear.

    vocabulary: the word of each id, where 0 is padding and 1 is unknown; or an encoding of `gatewise.text`. classes,
    task: as in `Model`; of two classes the module may have one logit or two. pooling, padding, max_length: see
    `Architecture`. Called with random token ids (1, T), the module must give the model's logits, so it must end without
    a sigmoid or softmax. Raises InputError where it differs or has other layers; MissingExtra without torch.
    """
    from gatewise.nn.network import outputs_of, parameters_of

    arch, parameters = parameters_of(module, pooling, padding, max_length)
    return _checked_model(partial(outputs_of, module), arch, parameters, vocabulary, classes, task)


def from_keras(
    network: Any,
    vocabulary: Sequence[str] | Encoding,
    classes: Sequence[str],
    *,
    task: Task = "classification",
    pooling: Literal["last", "mean", "max", "mean+max"] = "last",
    padding: Literal["none", "pre"] = "none",
    max_length: int = 0,
) -> Model:
    """A model from a keras.Model with one Embedding, LSTM or Bidirectional(LSTM) layers, and one Dense.

    The arguments are those of `from_torch`. padding: "none" for an Embedding with mask_zero=True, "pre" for one
    without, whose sequences `keras.utils.pad_sequences` pads in front to `max_length`. The Dense may end with the
    activation of the task: a softmax for classes, a sigmoid for one output of two classes and for several labels.
    Dropout layers have no effect. `keras.models.load_model` opens a `.keras` file; it can run code of the file
    (SECURITY.md). Raises InputError where a logit differs or a layer has settings that gatewise does not compute.
    """
    from gatewise.exchange.keras_model import check_activation, outputs_of, parameters_of

    arch, parameters = parameters_of(network, pooling, padding, max_length)
    check_activation(network, task, arch.outputs)
    return _checked_model(partial(outputs_of, network), arch, parameters, vocabulary, classes, task)


def _checked_model(
    outputs_of: Callable[[list[Array]], Sequence[Array]],
    arch: Architecture,
    parameters: Mapping[str, Array],
    vocabulary: Sequence[str] | Encoding,
    classes: Sequence[str],
    task: Task,
) -> Model:
    """The model of a network from elsewhere, whose logits for padded sequences are outputs_of(sequences). Two logits of
    two classes become their difference. Raises InputError where a logit differs.
    """
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, min(arch.max_length or 30, 30) + 1, _CHECKED)
    sequences = padded = [rng.integers(1, arch.vocab_size, length) for length in lengths]
    if arch.padding == "pre":  # as a module without masks reads them
        padded = [np.pad(one, (arch.max_length - len(one), 0)) for one in sequences]
    found, wanted = np.array(outputs_of(padded)), in_batches(forward, parameters, arch, sequences)
    if found.shape != wanted.shape:
        raise InputError(f"it returns {found.shape[1:]} numbers per sequence, its last layer has {wanted.shape[1]}")
    error = float(np.abs(found - wanted).max())
    if not error <= _TOLERANCE:
        raise InputError(
            f"it does not compute embedding, LSTM, pooling {arch.pooling!r}, linear: a logit differs by {error:.2g}"
        )
    target = Target(tuple(classes), task)
    if (target.outputs, arch.outputs) == (1, 2):
        difference = {name: parameters[name][1:] - parameters[name][:1] for name in ("dense.weight", "dense.bias")}
        arch, parameters = replace(arch, outputs=1), {**parameters, **difference}
    encoding = TokenEncoding.of_words(vocabulary) if isinstance(vocabulary, Sequence) else vocabulary
    return Model.of_network(arch, parameters, TextPreprocessor(encoding), target.classes, task=task)
