"""Encodings on the library Hugging Face tokenizers: a tokenizer.json as it came with an imported network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from gatewise.errors import InputError, ModelFileError, quote, required
from gatewise.storage.strict_json import parse_json
from gatewise.text.tokens import TokenEncoding

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_CHUNK = 1_000  # texts per call: an Encoding of the library takes about 100 bytes per token
# Steps whose time is linear in the text. A regular expression of a stranger might never end, and a Replace or a
# Precompiled normalizer rewrites the text by data that no one sees.
_STEPS = """
    Sequence Lowercase NFC NFD NFKC NFKD StripAccents Strip BertNormalizer Whitespace WhitespaceSplit BertPreTokenizer
    Punctuation ByteLevel Digits Metaspace WordLevel WordPiece BPE Unigram
"""


class LibraryEncoding(TokenEncoding):
    """Texts to ids by a tokenizer of the library."""

    tokenizer: Tokenizer

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def _ids_and_spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def _ids_of_texts(self, texts: Iterator[str]) -> Iterator[list[int]]:
        """As `TokenEncoding`, on all cores."""
        row = 0
        while chunk := list(islice(texts, _CHUNK)):
            for encoding in self.tokenizer.encode_batch_fast(chunk, add_special_tokens=False):
                ids = encoding.ids
                self._check_count(len(ids), row)
                row += 1
                yield ids


class TokenizerEncoding(LibraryEncoding):
    """The ids of a tokenizer, without its special tokens. vocab_size: the rows of the embedding, at least the size of
    the vocabulary. Raises InputError for a file that is not a tokenizer, and for a tokenizer with other steps than
    `_STEPS`.
    """

    kind = "tokenizer"

    def __init__(self, raw: str, vocab_size: int) -> None:
        required("tokenizers", None, f"a {self.file} of another program")
        from tokenizers import Tokenizer

        try:
            stored = json.loads(raw)
            steps = {step for name in ("normalizer", "pre_tokenizer", "model") for step in _types(stored[name])}
            refused = sorted(steps - set(_STEPS.split()))
            tokenizer = None
            if not refused:  # the library would compile a stranger's regular expression
                tokenizer = Tokenizer.from_str(raw)
        except Exception as error:  # the library raises exceptions of its own
            raise InputError(f"{self.file}: not a tokenizer: {quote(error)}") from None
        if tokenizer is None:
            raise InputError(f"{self.file}: {', '.join(refused)}: gatewise reads tokenizers without such steps")
        if tokenizer.get_vocab_size() > vocab_size:
            size = tokenizer.get_vocab_size()
            raise InputError(f"the tokenizer has {size:,} tokens, and the embedding has {vocab_size:,} rows")
        tokenizer.no_padding()
        tokenizer.no_truncation()
        super().__init__(tokenizer.get_vocab())
        self.tokenizer = tokenizer
        self.raw = raw
        self.vocab_size = vocab_size
        self.unknown = None  # type: ignore[assignment]
        unknown_token = stored["model"].get("unk_token")
        if unknown_token:
            self.unknown = tokenizer.token_to_id(unknown_token)  # type: ignore[assignment]

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The config entry, and the files by name."""
        return {"kind": self.kind, "vocab_size": self.vocab_size}, {self.file: self.raw.encode("utf-8")}

    @classmethod
    def from_files(cls, config: Mapping[str, Any], read: Callable[[str], bytes]) -> Self:
        """The encoding that `to_files` wrote. Raises ModelFileError for any other config or file."""
        size = config.get("vocab_size")
        if set(config) != {"kind", "vocab_size"} or type(size) is not int:
            raise ModelFileError(f"encoding '{cls.kind}': the config must have 'kind' and a whole number 'vocab_size'")
        raw = read(cls.file)
        parse_json(raw, cls.file)
        try:
            return cls(raw.decode(), size)
        except InputError as error:
            raise ModelFileError(str(error)) from None


def _types(step: Any) -> Iterator[str]:
    """The types of a step of tokenizer.json and of the steps inside it."""
    if isinstance(step, list):
        for inner in step:
            yield from _types(inner)
    elif isinstance(step, Mapping):
        if "type" in step:
            yield str(step["type"])
        for name, value in step.items():
            if name == "Regex":
                yield "Regex"
            elif name in ("normalizers", "pretokenizers", "pattern"):
                yield from _types(value)
