"""Words divided into frequent pieces, by byte-pair encoding (Sennrich et al. 2016) on Hugging Face tokenizers.

The words are those of `gatewise.text.tokens`. A word starts as its characters; merges, the most frequent first, join
two adjacent pieces. A piece that does not start its word is written with ## in the vocabulary ("un", "##usual"). A word
that was never seen consists of pieces that were, so words with many forms, misspelt words and names share what is
learnt.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gatewise.errors import InputError, ModelFileError
from gatewise.text.tokens import (
    PAD,
    PIPELINE,
    UNKNOWN,
    TokenEncoding,
    check_rest,
    checked_texts,
    first_entries,
    tokenizer_of,
    vocabulary_of,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MERGES = 2_000  # few pieces, each of them frequent: docs/log/accuracy.md
_INSIDE = "##"  # before a piece that does not start its word

Merge = tuple[str, str]


def _tokenizer(vocabulary: dict[str, int], merges: list[Merge], pipeline: int = PIPELINE) -> Tokenizer:
    from tokenizers.models import BPE

    model = BPE(vocab=vocabulary, merges=merges, unk_token=UNKNOWN, continuing_subword_prefix=_INSIDE)
    return tokenizer_of(model, pipeline)


class SubwordEncoding(TokenEncoding):
    """Pieces of words to ids: 0 padding, 1 unknown, then the characters, then the pieces by merge. Build one with
    `fit`.
    """

    kind = "subwords"

    @classmethod
    def fit(
        cls, texts: Iterable[str], vocab_size: int = 30_000, min_count: int = 2, max_characters: int = 1_000_000
    ) -> SubwordEncoding:
        """The characters that occur at least `min_count` times, and up to `MERGES` merges of pairs that do; at most
        `vocab_size` entries. Equal texts give equal merges.
        """
        from tokenizers.trainers import BpeTrainer

        if isinstance(texts, str):
            raise InputError("texts must be a list of texts, not one text")
        texts = list(checked_texts(texts, max_characters))
        tokenizer, counts = _tokenizer({PAD: 0, UNKNOWN: 1}, []), Counter[str]()
        for text in texts:
            counts.update(tokenizer.normalizer.normalize_str(text))
        every = sorted(character for character in counts if not character.isspace())
        characters = [character for character in every if counts[character] >= min_count]
        # The trainer numbers pieces in the order of a hash table with a random key, and breaks ties by number. Given as
        # special tokens, all characters have their number before.
        trainer = BpeTrainer(
            vocab_size=2 * len(every) + MERGES,
            min_frequency=min_count,
            show_progress=False,
            special_tokens=[*every, *(_INSIDE + character for character in every)],
            continuing_subword_prefix=_INSIDE,
        )
        tokenizer.train_from_iterator(texts, trainer)
        merges = _merges(tokenizer)
        vocabulary = dict.fromkeys([PAD, UNKNOWN, *characters, *(_INSIDE + character for character in characters)])
        vocabulary |= dict.fromkeys(_joined(*merge) for merge in merges)
        tokenizer = _tokenizer({piece: row for row, piece in enumerate(vocabulary)}, merges)
        fitted = cls(tokenizer, max_characters)
        return fitted.truncate_vocab(vocab_size) if vocab_size < fitted.vocab_size else fitted

    def _of_first(self, vocab_size: int) -> Tokenizer:
        kept = first_entries(self.tokenizer, vocab_size)
        merges = [merge for merge in _merges(self.tokenizer) if {*merge, _joined(*merge)} <= kept.keys()]
        return _tokenizer(kept, merges, self.pipeline)

    @classmethod
    def _from_json(cls, stored: Any, pipeline: int) -> Tokenizer:
        vocabulary = vocabulary_of(stored, cls.file)
        merges = stored["model"].get("merges")
        if not isinstance(merges, list) or not all(_is_merge(merge, vocabulary) for merge in merges):
            raise ModelFileError(f"{cls.file}: a merge is not two pieces of the vocabulary that make a third one")
        pairs = [(left, right) for left, right in merges]
        if len(set(pairs)) != len(pairs):
            raise ModelFileError(f"{cls.file}: a merge occurs twice")
        tokenizer = _tokenizer(vocabulary, pairs, pipeline)
        stored["model"] |= {"vocab": {}, "merges": []}
        check_rest(stored, _tokenizer({}, [], pipeline), cls.file)
        return tokenizer


def _merges(tokenizer: Tokenizer) -> list[Merge]:
    """The merges of the tokenizer's model, in order."""
    return [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]


def _joined(left: str, right: str) -> str:
    return left + right.removeprefix(_INSIDE)


def _is_merge(merge: Any, vocabulary: dict[str, int]) -> bool:
    return (
        isinstance(merge, list)
        and len(merge) == 2
        and all(isinstance(piece, str) and piece in vocabulary for piece in merge)
        and merge[1].startswith(_INSIDE)
        and _joined(*merge) in vocabulary
    )
