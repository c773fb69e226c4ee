"""Models from networks of Keras, PyTorch and ONNX: `from_keras`, `from_torch`, `from_onnx`.

>>> import gatewise as gw
>>> model = gw.from_keras("sentiment.keras", word_index=index, classes=["no", "yes"])  # doctest: +SKIP

The network runs on random inputs while its operations are recorded, and they become an `Architecture`
(`gatewise.network.value_matching`). Then gatewise and the network compute the outputs of the same inputs
(`gatewise.exchange.comparison`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import numpy as np

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.exchange.comparison import compare, random_inputs
from gatewise.model import Model, ModelMetadata, SeriesPreprocessor, TextPreprocessor
from gatewise.model.preprocessor import Preprocessor
from gatewise.model.step_rule import StepRule
from gatewise.network.value_matching import Found, Source, read
from gatewise.target.of_outputs import target_of_outputs
from gatewise.text import Encoding, TokenEncoding
from gatewise.types import Task


class Meaning(TypedDict, total=False):
    """What a network of another library does not say itself."""

    word_index: Any
    """How texts become token ids: a dict of words to ids, such as the word_index of Keras's Tokenizer; a
    TextVectorization; a tokenizer of Hugging Face, or its file; an encoding of `gatewise.text`; or a list of words, the
    first two of them for padding and unknown words. None: a model of token ids, which takes lists of them."""
    classes: Sequence[Any] | None
    """The names of the classes, labels or numbers; None: "0", "1", ..."""
    task: Task | None
    """None: that of the activation of the outputs; without one classification where there are classes, else
    regression."""
    max_length: int
    """Of a network without a mask: to how many steps `pad_sequences` pads the sequences. By default a network of a
    fixed length pads to it, and others do not pad. A network with a mask skips padded steps."""
    padding: Literal["pre", "post"] | None
    """On which side it pads: by default in front, or at the end after a TextVectorization."""


def from_keras(network: Any, **meaning: Unpack[Meaning]) -> Model:
    """A model from a Keras model, or from its file: Embedding or series, LSTM and Bidirectional layers, pooling, Dense.
    meaning: word_index, classes, task, max_length and padding, see `Meaning`.

    >>> model = gw.from_keras("reviews.keras", word_index=word_index, classes=["bad", "good"])  # doctest: +SKIP

    Raises InputError naming the layer, its type and its place where gatewise does not compute the network, or an output
    differs (`gatewise.exchange.comparison`). ModelFileError for a file that `keras.models.load_model` does not open
    with safe_mode.
    """
    from gatewise.exchange.keras_operations import KerasSource

    return _model(KerasSource(network), **meaning)


def from_torch(module: Any, example: Any, **meaning: Unpack[Meaning]) -> Model:
    """A model from a torch.nn.Module, which runs as it is: Embedding or series, LSTM, pooling, Linear.

    >>> import torch
    >>> model = gw.from_torch(torch.nn.LSTM(3, 8, batch_first=True), torch.zeros(1, 24, 3))
    >>> np.shape(model.predict(np.zeros((2, 24, 3)))[0])  # of the first series, 8 numbers for each step
    (24, 8)

    example: what the module is called with: token ids (B, T) or (T,), series (B, T, C) or (T, C), also with the axes B
    and T exchanged; or a tuple of these and the lengths (B,), for `pack_padded_sequence`. Of several results the first
    is read. The other arguments and errors are those of `from_keras`.
    """
    from gatewise.nn.operations import TorchSource

    return _model(TorchSource(module, example), **meaning)


def from_onnx(path: str | Path, **meaning: Unpack[Meaning]) -> Model:
    """A model from an ONNX file of such a network, as torch and tf2onnx export it, or from the file of
    `Model.export`, with all its members. Needs the extra onnx.

    >>> model = gw.from_onnx("network.onnx", task="regression")  # doctest: +SKIP

    The file has one input, token ids or series, and may have one of the lengths (B,). Of several outputs the first is
    read. The arguments and errors are those of `from_keras`; a file of `Model.export` needs no arguments.
    ModelFileError for a file that is not an ONNX file.
    """
    from gatewise.exchange.onnx_export import TOLERANCE, largest_difference, own_folder
    from gatewise.exchange.onnx_limits import check_file
    from gatewise.exchange.onnx_process import OnnxProcess
    from gatewise.members.onnx.graph import load

    file = load(path)
    folder = own_folder(file, path)
    if folder is None:
        from gatewise.exchange.onnx_operations import OnnxSource

        return _model(OnnxSource(file, path), **meaning)
    if meaning:
        raise InputError(f"{', '.join(meaning)}: {quote(path, 200)} is a file of gatewise, which says this itself")
    model = Model.from_folder(folder)
    check_file(file, quote(path, 200))
    series = model.preprocessor if model.channels else None
    try:
        first = file.graph.output[0].name
        with OnnxProcess(file.SerializeToString(), quote(path, 200)) as process:
            error = largest_difference(model.explained, series, lambda feed: process.run(feed, [first])[first])
    except Exception as cause:  # NumPy has its own for outputs of another shape
        raise ModelFileError(f"{quote(path, 200)}: its graph does not run: {quote(cause, 200)}") from cause
    if not error <= TOLERANCE:
        raise ModelFileError(
            f"{quote(path, 200)}: its graph does not compute its model: a logit differs by {error:.2g}"
        )
    return model


def _model(
    source: Source,
    word_index: Any = None,
    classes: Sequence[Any] | None = None,
    task: Task | None = None,
    max_length: int = 0,
    padding: Literal["pre", "post"] | None = None,
) -> Model:
    found = _read(source)
    arch, parameters, preprocessor = found.arch, dict(found.parameters), None
    if source.tokens:
        encoding, vectorized = _encoding(word_index, arch.vocab_size)
        length, side = max_length or source.steps or vectorized, padding or ("post" if vectorized else "pre")
        masked = source.pad is not None
        if length and side == "pre" and arch.unidirectional and arch.pooling == "last" and not masked:
            arch, length = replace(arch, padding="pre", max_length=length), 0  # the states of pads are computed once
        rule = StepRule(length, side, masked) if length or masked else None
        preprocessor = TextPreprocessor(encoding, rule)
    elif word_index is not None:
        raise InputError("word_index is for networks of token ids, and this one reads series")
    target = target_of_outputs(found.activation, arch.outputs, arch.pooling == "none", classes, task)
    compare(source, found, arch)
    if (target.outputs, arch.outputs) == (1, 2):
        difference = {name: parameters[name][1:] - parameters[name][:1] for name in ("dense.weight", "dense.bias")}
        arch, parameters = replace(arch, outputs=1), {**parameters, **difference}
    for array in parameters.values():
        array.setflags(write=False)
    reads: Preprocessor = preprocessor or SeriesPreprocessor(*found.scaling, mask_value=source.pad, missing="refuse")
    # The default of a tagger, leave-one-out, needs a token in place of the word that it leaves out.
    no_unknown = target.per_step and source.tokens and reads.unknown is None
    method = "integrated-gradients" if no_unknown else ""
    card = ModelMetadata(data=f"imported from {source.framework}", attribution_method=method)
    kind = target.label_type
    return Model.of_network(arch, parameters, reads, target.classes, card, task=target.task, label_type=kind)


def _encoding(words: Any, vocab_size: int) -> tuple[Encoding, int]:
    """The encoding of what `word_index` was given, and the length to which a TextVectorization pads, or 0."""
    from gatewise.text import IndexEncoding, TokenizerEncoding

    if isinstance(words, str | Path):
        try:
            words = Path(words).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"word_index: {quote(words)} cannot be read: {quote(error)}") from None
        return TokenizerEncoding(words, vocab_size), 0
    if words is None or isinstance(words, Mapping):
        return IndexEncoding(vocab_size) if words is None else IndexEncoding.of_keras(words, vocab_size), 0
    if hasattr(words, "get_vocabulary"):
        return IndexEncoding.of_vectorization(words, vocab_size), words.get_config().get("output_sequence_length") or 0
    if hasattr(words, "to_str"):
        return TokenizerEncoding(words.to_str(), vocab_size), 0
    encoding = TokenEncoding.of_words(words) if isinstance(words, Sequence) else words
    if not hasattr(encoding, "tokenize") or not hasattr(encoding, "vocab_size"):
        raise InputError(f"word_index: {quote(type(words).__name__)} is neither words with their ids nor a tokenizer")
    if encoding.vocab_size != vocab_size:
        raise InputError(f"word_index has {encoding.vocab_size:,} entries, and the embedding has {vocab_size:,} rows")
    return encoding, 0


def _read(source: Source) -> Found:
    """The network as it runs on random inputs. Raises InputError naming the operation that is not read."""
    rng, count, length = np.random.default_rng(0), source.batch or 4, source.steps or 7
    x, lengths = random_inputs(source, None, rng, length, count)
    try:
        found = read(source.operations(x, lengths), x, lengths)
    except InputError as error:
        if source.pad is None:
            raise
        x, lengths = np.where(x == source.pad, x[:1], x), np.full(count, length)  # the first one has all steps
        read(source.operations(x, lengths), x, lengths)
        raise InputError(f"{error}; without padded steps it is, so it reads the steps that the mask skips") from None
    if not source.tokens and any(found.scaling[0]):  # those inputs were far from what the network is made for
        x, lengths = random_inputs(source, found.scaling, rng, length, count)
        found = read(source.operations(x, lengths), x, lengths)
    return found
