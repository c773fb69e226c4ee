"""Models from networks of Keras, PyTorch and ONNX: `from_keras`, `from_torch`, `from_onnx`.

>>> import gatewise as gw
>>> model = gw.from_keras("sentiment.keras", word_index=index, classes=["no", "yes"])  # doctest: +SKIP

A reader turns the network into a graph, node by node, and no value is looked at. A graph that has the form of an
`Architecture` (`gatewise.network.recognise`) becomes one, and any other stays a graph. Each value of the graph is
compared with that of the network (`gatewise.exchange.proof`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import numpy as np

from gatewise.errors import InputError, ModelFileError, quote, warn
from gatewise.exchange.proof import prove
from gatewise.exchange.proof_architecture import difference_of
from gatewise.exchange.read_network import ReadNetwork
from gatewise.members.graph_axes import GraphAxes
from gatewise.model import Model, ModelMetadata, SeriesPreprocessor, TextPreprocessor
from gatewise.model.preprocessor import Preprocessor
from gatewise.model.step_rule import StepRule
from gatewise.network.lengths_input import lengths_input
from gatewise.network.recognise import Recognised, recognise
from gatewise.target.of_outputs import target_of_outputs
from gatewise.text import Encoding, TokenEncoding
from gatewise.types import Task


class Meaning(TypedDict, total=False):
    """What a network of another library does not say itself."""

    output: str | None
    """The name of the output that is predicted and explained, None for the first one; `Model.predict_outputs` returns
    all. The names are those of Keras and ONNX; of a PyTorch module the keys of a dict, else output, output_1, ..."""
    word_index: Any
    """Of a network that reads token ids alone: how texts become ids. A dict of words to ids, such as the word_index of
    Keras's Tokenizer; a TextVectorization; a tokenizer of Hugging Face, or its file; an encoding of `gatewise.text`; or
    a list of words, the first two of them for padding and unknown words. None: a model of token ids, which takes lists
    of them."""
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


_OF_TARGET = ("output", "classes", "task")
"""The options in place of which a file of a graph of gatewise says what its first output means."""


def _check_options(meaning: Meaning) -> None:
    """Refuse an option that there is not, such as a name with a typing error."""
    unknown = [name for name in meaning if name not in Meaning.__annotations__]
    if unknown:
        known = ", ".join(Meaning.__annotations__)
        raise InputError(f"there is no option {quote(unknown[0])}; the options are {known}")


def from_keras(network: Any, **meaning: Unpack[Meaning]) -> Model:
    """A model from a Keras model of any form, or from its file.
    meaning: output, word_index, classes, task, max_length and padding, see `Meaning`.

    >>> model = gw.from_keras("reviews.keras", word_index=word_index, classes=["bad", "good"])  # doctest: +SKIP

    The inputs of the model have the names of those of the network.

    Raises InputError naming the layer, its type and its place where an operation is not read, and the first one that
    differs in the comparison (`gatewise.exchange.proof`); also for options that do not fit the network. ModelFileError
    for a file that `keras.models.load_model` does not open with safe_mode.
    """
    _check_options(meaning)
    from gatewise.exchange.keras_graph import read_keras

    return _model(read_keras(network), meaning)


def from_torch(module: Any, example: Any, **meaning: Unpack[Meaning]) -> Model:
    """A model from a torch.nn.Module of any form, as it computes in eval mode. The module does not change.

    >>> import torch
    >>> model = gw.from_torch(torch.nn.LSTM(3, 8, batch_first=True), torch.zeros(1, 24, 3))
    >>> np.shape(model.predict(np.zeros((2, 24, 3)))[0])  # of the first series, 8 numbers for each step
    (24, 8)

    example: what the module is called with: a tensor, a tuple of tensors for several arguments, or a dict of them by
    the names of the arguments. It tells the number of axes, their order and the dtypes; other sizes are read too. The
    inputs of the model have the names of the arguments of `forward`. Lengths (B,) for `pack_padded_sequence` are filled
    in by the model.

    The options and errors are those of `from_keras`. A refusal also names the line of the module. A DataWarning says
    where the model takes one number of steps only, because a loop over them is not read for others.
    """
    _check_options(meaning)
    from gatewise.exchange.torch_graph import read_torch

    network = read_torch(module, example)
    model = _model(network, meaning)
    for note in network.notes:
        warn(note)
    return model


def from_onnx(path: str | Path, **meaning: Unpack[Meaning]) -> Model:
    """A model from an ONNX file of a network, as torch and tf2onnx export it, or from the file of `Model.export`, with
    all its members. Needs the extra onnx.

    >>> model = gw.from_onnx("network.onnx", task="regression")  # doctest: +SKIP

    The inputs and outputs have the names of those of the file. The options and errors are those of `from_keras`; a file
    of `Model.export` needs no options. ModelFileError for a file that is not an ONNX file, and InputError for one that
    needs too much memory or time (`gatewise.exchange.onnx_limits`), before anything of it runs.
    """
    _check_options(meaning)
    from gatewise.exchange.graph_model import exported_target
    from gatewise.exchange.onnx_export import TOLERANCE, largest_difference, own_folder
    from gatewise.exchange.onnx_limits import check_file
    from gatewise.exchange.onnx_process import OnnxProcess
    from gatewise.members.onnx.graph import load

    file = load(path)
    folder = own_folder(file, path)
    if folder is None:
        from gatewise.exchange.onnx_network import read_onnx

        network = read_onnx(file, quote(path, 200))
        stored = None
        if meaning.keys().isdisjoint(_OF_TARGET):
            stored = exported_target(file, path)
        if stored is not None:
            meaning = {**meaning, "classes": stored.classes, "task": stored.task}
        try:
            model = _model(network, meaning)
        finally:
            network.close()
        if stored is not None:
            # With the thresholds and the type of the labels.
            model = replace(model, ensemble=replace(model.ensemble, target=stored))
        return model
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


def _model(network: ReadNetwork, meaning: Meaning) -> Model:
    """The model of a network: an `Architecture` where its graph has the form of one, else the graph. What needs no
    comparison with the original is refused before it.
    """
    outputs = network.graph.outputs
    output = meaning.get("output")
    if output is not None and output not in outputs:
        raise InputError(f"output: the network has {', '.join(map(quote, outputs))}, not {quote(output)}")
    # An architecture is that of the first output.
    is_first = output is None or output == outputs[0]
    recognised = recognise(network.graph) if is_first else ""
    if isinstance(recognised, Recognised):
        difference = difference_of(network.graph, recognised)
        if difference:
            warn(f"the network stays a graph: as LSTM layers with a pooling and dense layers, {difference}")
            recognised = ""
    if isinstance(recognised, Recognised):
        model = _of_architecture(recognised, network.framework, meaning)
    else:
        model = _of_graph(network, meaning)
    prove(network)
    return model


def _of_architecture(recognised: Recognised, framework: str, meaning: Meaning) -> Model:
    arch = recognised.arch
    words = meaning.get("word_index")
    if arch.inputs == "tokens":
        encoding, vectorized = _encoding(words, arch.vocab_size)
        length, side = _padding(recognised.steps, vectorized, meaning)
        masked = recognised.pad_value is not None
        rule = None
        if length and side == "pre" and arch.unidirectional and arch.pooling == "last" and not masked:
            # The states of the pads, which are the same for all texts, are computed once.
            arch = replace(arch, padding="pre", max_length=length)
        elif length or masked:
            rule = StepRule(length, side, masked)
        reads: Preprocessor = TextPreprocessor(encoding, rule)
    elif words is not None:
        raise InputError("word_index is for networks of token ids, and this one reads series")
    else:
        scaling = recognised.scaling or ((0.0,) * arch.channels, (1.0,) * arch.channels)
        reads = SeriesPreprocessor(*scaling, mask_value=recognised.pad_value, missing="refuse")
    target = target_of_outputs(
        recognised.output_activation,
        arch.outputs,
        arch.per_step,
        meaning.get("classes"),
        meaning.get("task"),
    )
    parameters = {name: array.astype(np.float32) for name, array in recognised.parameters.items()}
    if (target.outputs, arch.outputs) == (1, 2):
        difference = {name: parameters[name][1:] - parameters[name][:1] for name in ("dense.weight", "dense.bias")}
        arch, parameters = replace(arch, outputs=1), {**parameters, **difference}
    for array in parameters.values():
        array.setflags(write=False)
    # The default of a tagger, leave-one-out, needs a token in place of the word that it leaves out.
    no_unknown = target.per_step and arch.inputs == "tokens" and reads.unknown is None
    method = "integrated-gradients" if no_unknown else ""
    card = ModelMetadata(data=f"imported from {framework}", attribution_method=method)
    kind = target.label_type
    return Model.of_network(arch, parameters, reads, target.classes, card, task=target.task, label_type=kind)


def _of_graph(network: ReadNetwork, meaning: Meaning) -> Model:
    card = ModelMetadata(data=f"imported from {network.framework}")
    model = Model.of_graph(
        network.graph,
        output=meaning.get("output"),
        classes=meaning.get("classes"),
        task=meaning.get("task"),
        lengths=lengths_input(network.graph),
        metadata=card,
    )
    words = meaning.get("word_index")
    if not isinstance(model.preprocessor, TextPreprocessor):
        if words is not None:
            raise InputError("word_index is for networks of token ids alone, and this one reads other inputs")
        return model
    graph_network = model.ensemble.network
    encoding, vectorized = _encoding(words, graph_network.inputs.size)
    steps = GraphAxes(network.graph).steps
    length, side = _padding(steps if isinstance(steps, int) else None, vectorized, meaning)
    reads = TextPreprocessor(encoding, StepRule(length, side) if length else None)
    if model.target.per_step and reads.unknown is None:
        card = replace(card, attribution_method="integrated-gradients")
    return replace(model, preprocessor=reads, metadata=card)


def _padding(steps: int | None, vectorized: int, meaning: Meaning) -> tuple[int, Literal["pre", "post"]]:
    """To how many steps texts are padded, 0 for none, and on which side. steps: the only number that the network takes.
    vectorized: to how many a TextVectorization pads.
    """
    length = meaning.get("max_length", 0) or steps or vectorized
    side = meaning.get("padding") or ("post" if vectorized else "pre")
    return length, side


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
