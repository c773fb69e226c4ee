"""The kinds of encodings by the names that config.json has. A model has one kind, so only that one is imported."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from gatewise.errors import ModelFileError, quote

KINDS = {
    "index": "IndexEncoding",
    "keras": "KerasEncoding",
    "spaces": "SpaceEncoding",
    "subwords": "SubwordEncoding",
    "tokenizer": "TokenizerEncoding",
    "tokens": "TokenEncoding",
    "word-features": "FeatureEncoding",
}
"""The class of each kind."""


def module_of(kind: str) -> str:
    """The module of a kind."""
    return f"gatewise.text.{kind.replace('-', '_')}"


def encoding_from(config: Any, read: Callable[[str], bytes]) -> Any:
    """The encoding that `to_files` wrote. read(name): the bytes of a file. Raises ModelFileError for anything else."""
    kind = None
    if isinstance(config, Mapping):
        kind = config.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ModelFileError(f"encoding: kind must be one of {', '.join(KINDS)}, not {quote(kind)}")
    encoding = getattr(import_module(module_of(kind)), KINDS[kind])
    return encoding.from_files(config, read)
