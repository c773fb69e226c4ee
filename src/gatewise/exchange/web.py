"""The files with which onnxruntime-web predicts from an exported model, besides the ONNX file.

model.js                 `loadModel`: the tokenisation, the tensors and the labels
model.json               task, classes, thresholds, and the channels of a series; of a graph its inputs
graph.js                 of a network that is a graph: its inputs as tensors
tokenizer.json           of a model of texts: the vocabulary, as @huggingface/tokenizers reads it, and
tokenizer_config.json    its unknown token
encodings.js             of a model that reads misspelt words: their respelling
package.json             the versions of the two packages that were tested
"""

import json
import string
from pathlib import Path
from typing import Any

from gatewise.errors import InputError, required
from gatewise.storage.strict_json import json_bytes
from gatewise.target import Target
from gatewise.text import KerasEncoding, TokenEncoding
from gatewise.text.tokens import RESPELLING

NOUN = "web model"
_ENCODINGS = Path(__file__).parents[1] / "serve" / "page" / "model" / "encodings.js"
_KERAS_WORD = r"[^!-&(-/:-@\[-`{-~\t\n ]+"
_PACKAGES = {"onnxruntime-web": "^1.30.0", "@huggingface/tokenizers": "^0.2.0"}


def web_files(target: Target, preprocessor: Any, graph: dict[str, Any] | None = None) -> dict[str, bytes]:
    """The files by name. graph: the inputs of a network that is a graph (`gatewise.exchange.graph_web`). Raises
    InputError for a model with a prediction per step, for one that reads further columns, and for texts whose
    vocabulary has no tokenizer.json, or of a fixed number of steps.
    """
    target.refuse_steps("a model with a prediction for every step cannot be exported to the web")
    if preprocessor.columns:
        raise InputError("a model that reads further columns cannot be exported to the web")
    about: dict[str, Any] = {
        "task": target.task,
        "classes": target.classes,
        "thresholds": target.thresholds,
        "channels": getattr(preprocessor, "channels", 0),
        "missing": getattr(preprocessor, "missing", "") == "interpolate",
        "respelling": getattr(getattr(preprocessor, "encoding", None), "pipeline", 0) == RESPELLING,
    }
    files = {
        "model.js": Path(__file__).with_name("model.js").read_bytes(),
        "model.json": json_bytes(about),
        "package.json": json_bytes({"type": "module", "private": True, "dependencies": _PACKAGES}),
    }
    if graph is not None:
        about["graph"] = graph
        files["model.json"] = json_bytes(about)
        files["graph.js"] = Path(__file__).with_name("graph.js").read_bytes()
    takes_numbers = bool(preprocessor.inputs.further) or getattr(preprocessor, "takes_ids", False)
    if graph is not None and takes_numbers:
        about["numbers"] = True
        files["model.json"] = json_bytes(about)
        return files
    if not about["channels"]:
        if preprocessor.steps is not None:
            raise InputError("texts that are cut or padded to a number of steps cannot be exported to the web")
        vocabulary = _tokenizer(preprocessor.encoding)
        unknown = vocabulary["model"].get("unk_token")
        if about["respelling"]:
            files["encodings.js"] = _ENCODINGS.read_bytes()  # it respells unknown words
        files["tokenizer.json"] = json_bytes(vocabulary, indent=None)
        files["tokenizer_config.json"] = json_bytes({"unk_token": unknown} if unknown else {})
    return files


def _tokenizer(encoding: Any) -> dict[str, Any]:
    """The encoding as the content of a tokenizer.json."""
    if isinstance(encoding, TokenEncoding):
        [raw] = encoding.to_files()[1].values()
        return {**json.loads(raw), "post_processor": None}  # gatewise reads no special tokens
    if not isinstance(encoding, KerasEncoding) or encoding.kind != "keras":
        raise InputError(f"texts with the encoding '{encoding.kind}' cannot be exported to the web")
    required("tokenizers", None, f"a {NOUN} of texts with the encoding 'keras'")
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    words = {word: rank + 3 for word, rank in encoding.index.items() if rank + 3 < encoding.num_words}
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "<start>": 1, "<unk>": 2, **words}, unk_token="<unk>"))
    # Keras's Tokenizer of the tutorial lowers A to Z alone: 'É' stays.
    lower = [normalizers.Replace(letter, letter.lower()) for letter in string.ascii_uppercase]
    tokenizer.normalizer = normalizers.Sequence(lower)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_KERAS_WORD), "removed", invert=True)
    tokenizer.post_processor = processors.TemplateProcessing("<start> $A", special_tokens=[("<start>", 1)])
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    return content
